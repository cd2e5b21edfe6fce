"""How many servers, browsers and coins for how many tasks an hour: the queues simulated, nothing measured.

    python benchmarks/scaling.py                              # the table of docs/scaling.md
    python benchmarks/scaling.py --tasks 600 --answer 0.4 --step 0.15

A task holds a browser for some steps: each asks a model server (one queue before all of them, first come
first served) and then acts. Tasks arrive at random (Poisson); answers and steps take times of their mean,
spread as lognormal. That is all there is: no batching, no failures, no network.

Checked against the formulas of queueing in tests/test_scaling.py. Not covered: what an answer takes on your
hardware, which `benchmarks/step_latency.py` measures.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import math
import random
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Setup:
    """What is bought, and what is asked of it. Times in seconds, prices an hour."""

    tasks: float = 60.0  # an hour
    steps: int = 8  # questions a task
    answer: float = 0.066  # of a server, one question: the released model on two cores (README, Speed)
    step: float = 0.033  # in the browser: a look and an action (README, Speed)
    spread: float = 0.6  # of both: standard deviation over mean
    servers: int = 1
    browsers: int = 4
    server_price: float = 0.10
    browser_price: float = 0.01


@dataclass(frozen=True)
class Outcome:
    """Of the tasks that were finished: seconds from arrival to end, shares of time at work, and the cost."""

    median: float
    p95: float
    answer_p95: float  # from question to answer, waiting included
    servers_busy: float
    browsers_busy: float
    kept_up: bool  # the queue did not grow over the second half
    cost: float  # of a thousand tasks


def simulate(setup: Setup, hours: float = 24.0, seed: int = 0) -> Outcome:
    """Run it for so many hours, the first tenth of which does not count."""
    draw = random.Random(seed)
    events: list[tuple[float, int, str, int]] = []
    number = itertools.count()
    end, warm = hours * 3600, hours * 360

    def at(time: float, what: str, task: int) -> None:
        heapq.heappush(events, (time, next(number), what, task))

    arrived: dict[int, float] = {}
    asked: dict[int, float] = {}
    left: dict[int, int] = {}
    started: dict[int, float] = {}
    waiting_browser: list[int] = []
    waiting_server: list[int] = []
    free_browsers, free_servers = setup.browsers, setup.servers
    busy_server = busy_browser = 0.0
    tasks: list[float] = []
    answers: list[float] = []
    queue_half = 0
    at(draw.expovariate(setup.tasks / 3600), "arrive", 0)
    halfway = False
    while events:
        now, _, what, task = heapq.heappop(events)
        if now > end:
            break
        if not halfway and now > end / 2:
            halfway, queue_half = True, len(waiting_browser) + len(waiting_server)
        if what == "arrive":
            arrived[task] = now
            waiting_browser.append(task)
            at(now + draw.expovariate(setup.tasks / 3600), "arrive", task + 1)
        elif what == "answered":
            free_servers += 1
            if arrived[task] > warm:
                answers.append(now - asked[task])
            seconds = _spread(draw, setup.step, setup.spread)
            at(now + seconds, "stepped", task)
        else:  # stepped
            left[task] -= 1
            if left[task]:
                asked[task] = now
                waiting_server.append(task)
            else:
                free_browsers += 1
                busy_browser += now - started[task]
                if arrived[task] > warm:
                    tasks.append(now - arrived[task])
        while free_browsers and waiting_browser:
            begun = waiting_browser.pop(0)
            free_browsers -= 1
            started[begun] = now
            left[begun], asked[begun] = setup.steps, now
            waiting_server.append(begun)
        while free_servers and waiting_server:
            served = waiting_server.pop(0)
            free_servers -= 1
            seconds = _spread(draw, setup.answer, setup.spread)
            busy_server += seconds
            at(now + seconds, "answered", served)
    grown = len(waiting_browser) + len(waiting_server) - queue_half
    price = setup.servers * setup.server_price + setup.browsers * setup.browser_price
    done = len(tasks) / (hours * 0.9)  # an hour
    return Outcome(
        _quantile(tasks, 0.5),
        _quantile(tasks, 0.95),
        _quantile(answers, 0.95),
        busy_server / (setup.servers * end),
        busy_browser / (setup.browsers * end),
        grown <= max(5.0, 0.02 * setup.tasks * hours),
        1000 * price / done if done else math.inf,
    )


def _spread(draw: random.Random, mean: float, spread: float) -> float:
    """A lognormal time of that mean and standard deviation over mean; spread 1 is as wide as exponential."""
    variance = math.log(1 + spread * spread)
    return draw.lognormvariate(math.log(mean) - variance / 2, math.sqrt(variance))


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else math.inf


def fewest(setup: Setup, answer_p95: float, hours: float = 4.0) -> tuple[Setup, Outcome]:
    """The fewest servers and browsers found with which questions are answered in time and no task piles up;
    the search goes up in steps, so a little fewer may do."""
    work = setup.tasks * setup.steps / 3600
    servers = max(1, math.ceil(work * setup.answer / 0.95))
    while True:
        browsers = max(1, math.ceil(work * (setup.answer + setup.step) / 0.6))
        for _ in range(6):
            tried = replace(setup, servers=servers, browsers=browsers)
            outcome = simulate(tried, hours)
            if outcome.kept_up and outcome.browsers_busy < 0.85:
                break
            browsers = math.ceil(browsers * 1.4)
        if outcome.kept_up and outcome.browsers_busy < 0.85 and outcome.answer_p95 <= answer_p95:
            return tried, outcome
        servers += max(1, servers // 8)


SIZES = (
    # name, seconds of an answer, price of a server an hour, tasks an hour
    ("released model, two cores", 0.066, 0.10, (60, 600, 6000)),
    ("a 2B model, one small GPU", 0.5, 0.80, (60, 600, 6000)),
    ("a 7B model, one large GPU", 1.2, 3.00, (60, 600, 6000)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tasks", type=float, help="an hour; with the next two, one row instead of all")
    parser.add_argument("--answer", type=float, default=Setup.answer, help="seconds")
    parser.add_argument("--step", type=float, default=Setup.step, help="seconds in the browser")
    parser.add_argument("--price", type=float, default=Setup.server_price, help="of a server an hour")
    args = parser.parse_args()
    print(
        "| model | seconds an answer | server an hour | tasks an hour | servers | browsers | answer p95, s | "
        "task median, s | task p95, s | servers at work | a thousand tasks |"
    )
    print("| --- " * 11 + "|")
    rows = [("yours", args.answer, args.price, (args.tasks,))] if args.tasks else SIZES
    for name, answer, price, loads in rows:
        for tasks in loads:
            asked = Setup(tasks=tasks, answer=answer, step=args.step, server_price=price)
            setup, out = fewest(asked, answer_p95=4 * answer)
            print(
                f"| {name} | {answer:g} | {price:.2f} | {tasks:g} | {setup.servers} | {setup.browsers} | "
                f"{out.answer_p95:.2f} | {out.median:.1f} | {out.p95:.1f} | {out.servers_busy:.0%} | "
                f"{out.cost:.2f} |"
            )


if __name__ == "__main__":
    main()
