"""BrowserGym's side of `benchmarks/rollouts.py`: its own package and Playwright, in its own environment.

Reads on stdin one JSON line a round, {"families": [...], "steps": N}, and answers each with one JSON line,
{"resets": count, "reset_seconds": s, "steps": count, "step_seconds": s}. Environments are made as its
benchmark makes them: headless, the tasks' own viewport and slow motion, the shipped delays.

Not covered: what is asked and how the answers are compared (`rollouts.py`).
"""

import json
import sys
import time
from functools import partial

import browsergym.core
import browsergym.miniwob
import gymnasium
from playwright.sync_api import sync_playwright


def episodes(families: list[str], steps: int) -> dict[str, float]:
    """One episode of each family: a reset, then clicks on an empty corner."""
    took = {"resets": 0, "reset_seconds": 0.0, "steps": 0, "step_seconds": 0.0}
    for family in families:
        env = gymnasium.make(f"browsergym/miniwob.{family}", headless=True, disable_env_checker=True)
        begun = time.perf_counter()
        env.reset(seed=1)
        took["resets"] += 1
        took["reset_seconds"] += time.perf_counter() - begun
        begun = time.perf_counter()
        for _ in range(steps):
            env.step("mouse_click(320, 5)")
        took["steps"] += steps
        took["step_seconds"] += time.perf_counter() - begun
        env.close()
    return took


def main() -> None:
    with sync_playwright() as playwright:
        # Both of its browsers, page and chat, are the one that our side runs: there is no other here.
        playwright.chromium.launch = partial(playwright.chromium.launch, executable_path=sys.argv[1])
        browsergym.core._set_global_playwright(playwright)
        for line in sys.stdin:
            print(json.dumps(episodes(**json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
