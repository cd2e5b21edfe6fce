"""Training examples for all three roles, made from episodes.

    actor     page, what was done, goal       ->  the next action
    coder     page, goal, a like program      ->  the program (or `act(goal)` where memory has none)
              page, goal                      ->  the script, where the task comes with one
    reviewer  page, goal, program             ->  approve / revise
              page, what was done, goal       ->  done / not yet

Texts come from `agents.prompts`, the same functions that serve. What strayed stands in the history but is
never an answer: that is what the oracle would have done there, whatever came of the episode; or what a person
did there, having taken over. How they undid what was done is none either. Apart from that failed episodes
give the reviewer counter-examples and nothing to imitate. Where a script is wanted an actor learns nothing:
what it would have to type is not to be seen.

Not covered: how rows become tokens (`training/sft.py`).
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from agents import prompts
from agents.program import Program, compile_program
from agents.prompts import Role
from tools.actions import Action
from tools.observation import Observation
from trajectories.episode import Episode, image_name
from trajectories.nearmiss import NAME as NEAR_MISS

NOT_YET = "not yet: more to do"
UNFIT = "revise: does not fit the goal"
GAVE_UP = "report_infeasible"  # an oracle's mistake where the goal was met
UNDO = "undo"  # what is said in a step that only takes one back


@dataclass(frozen=True)
class Example:
    """One question and its answer; `screenshot` is PNG bytes."""

    role: Role
    task: str
    prompt: str
    answer: str
    screenshot: bytes | None


def examples(episode: Episode, other: Episode | None = None) -> Iterator[Example]:
    """The examples of one episode. `other`, of the same family, lends values for a program to adapt."""
    draw = random.Random(episode.id)
    if episode.policy != NEAR_MISS:  # slips are nothing to imitate, though the checker may let one pass
        yield from _actor(episode)
        if episode.outcome.success:
            yield from _coder(episode, other, draw)
    yield from _reviewer(episode, draw)


def pairs(episodes: Iterable[Episode]) -> Iterator[tuple[Episode, Episode | None]]:
    """Each episode with the last successful one of its family before it."""
    last: dict[str, Episode] = {}
    for episode in episodes:
        yield episode, last.get(f"{episode.suite}/{episode.family}")
        if episode.outcome.success:
            last[f"{episode.suite}/{episode.family}"] = episode


def rows(episodes: Iterable[Episode]) -> Iterator[dict[str, object]]:
    """The examples of all episodes as plain rows: role, task, prompt, answer, and the image's path from the
    folder that holds the store."""
    for episode, other in pairs(episodes):
        for e in examples(episode, other):
            shot = None if e.screenshot is None else f"episodes/{episode.id}/{image_name(e.screenshot)}"
            yield {"role": e.role, "task": e.task, "prompt": e.prompt, "answer": e.answer, "image": shot}


def corrections(episode: Episode) -> dict[int, Action]:
    """What a person did otherwise, having taken over, on the very page on which the team had acted, by the
    number of the team's step; nothing where it did not end well."""
    before: dict[str, int] = {}
    found: dict[int, Action] = {}
    for number, step in enumerate(episode.steps if episode.outcome.success else ()):
        page = replace(step.observation, error=None).text()
        if step.by != "person":
            before[page] = number
        elif step.decision.said != UNDO and page in before:
            number = before[page]
            if episode.steps[number].decision.action != step.decision.action:
                found[number] = step.decision.action
    return found


def exemplary(episode: Episode) -> set[int]:
    """The numbers of the steps that an actor may imitate: of an episode that ended well, from where a person
    took over, if one did, but for chance's, what was no action, and what only takes one back."""
    if not episode.outcome.success or episode.policy == NEAR_MISS:
        return set()
    corrected = next((i for i, step in enumerate(episode.steps) if step.by == "person"), 0)
    return {
        number
        for number, step in enumerate(episode.steps)
        if number >= corrected and step.by != "random" and step.decision.valid
        if step.decision.said != UNDO and step.decision.action.name != GAVE_UP
    }


def _actor(episode: Episode) -> Iterator[Example]:
    if "script" in episode.extra:
        return
    history: list[Action] = []
    instead: dict[str, str] = {**episode.extra.get("better", {})}
    instead |= {str(number): str(action) for number, action in corrections(episode).items()}
    right = exemplary(episode)
    for number, step in enumerate(episode.steps):
        answer = instead.get(str(number))
        if answer is None and number in right:
            answer = str(step.decision.action)
        if answer is not None:
            text = prompts.actor_text(episode.goal, step.observation, history)
            yield Example("actor", episode.task, text, answer, step.observation.screenshot)
        history.append(step.decision.action)


def _coder(episode: Episode, other: Episode | None, draw: random.Random) -> Iterator[Example]:
    start = episode.steps[0].observation
    text = prompts.coder_text(episode.goal, start, [])
    answer = episode.extra.get("script", "act(goal)")
    yield Example("coder", episode.task, text, answer, start.screenshot)
    program = _program(episode)
    if program is None:
        return
    if other is not None and (like := _with_values_of(program, episode.goal, other)) is not None:
        text = prompts.coder_text(episode.goal, start, [like])
        yield Example("coder", episode.task, text, str(program), start.screenshot)


def _reviewer(episode: Episode, draw: random.Random) -> Iterator[Example]:
    start = episode.steps[0].observation if episode.steps else episode.final

    def plan(program: str, verdict: str) -> Example:
        text = prompts.plan_review_text(episode.goal, start, program)
        return Example("reviewer", episode.task, text, verdict, start.screenshot)

    def result(look: Observation, history: list[Action], verdict: str) -> Example:
        text = prompts.result_review_text(episode.goal, look, history)
        return Example("reviewer", episode.task, text, verdict, look.screenshot)

    history = [a for a in episode.actions if a.name != "noop"]
    if not episode.outcome.success:
        yield result(episode.final, history, NOT_YET)
        return
    script = episode.extra.get("script")
    yield plan(script or "act(goal)", "approve")
    if script and (other := _mistaken(script, draw)):
        yield plan(other, UNFIT)
    yield result(episode.final, history, "done")
    acts = [i for i, s in enumerate(episode.steps) if not s.decision.action.final]
    if acts:
        cut = draw.choice(acts)
        yield result(
            episode.steps[cut].observation, [s.decision.action for s in episode.steps[:cut]], NOT_YET
        )
    slipped = _slip(history, draw)
    if slipped is not None:  # nearly right is not right
        yield result(episode.final, slipped, NOT_YET)
    program = _program(episode)
    if program is not None:
        yield plan(str(program), "approve")
        wrong = _slip(list(program.actions), draw)
        if wrong is not None:
            yield plan("\n".join(map(str, wrong)), UNFIT)


def _slip(actions: list[Action], draw: random.Random) -> list[Action] | None:
    """The actions with one typed or chosen value changed; None where nothing was typed."""
    typed = [
        i for i, a in enumerate(actions) if a.name == "fill" and isinstance(a.args[1], str) and a.args[1]
    ]
    if not typed:
        return None
    spot = draw.choice(typed)
    action = actions[spot]
    value = str(action.args[1])
    letters = list(value)
    draw.shuffle(letters)
    wrong = "".join(letters) if "".join(letters) != value else value + "x"
    if draw.random() < 0.5:
        wrong = value[: max(1, len(value) // 2)] if len(value) > 1 else value + "1"
    return [*actions[:spot], replace(action, args=(action.args[0], wrong)), *actions[spot + 1 :]]


def _mistaken(script: str, draw: random.Random) -> str | None:
    """The script with a mistake that a coder makes: the least for the most, two of its texts in each other's
    place, or one cut short; None where there is nothing to mistake."""
    wrong = []
    if found := re.search(r"\b(max|min)\(", script):
        other = {"max": "min", "min": "max"}[found[1]]
        wrong.append(f"{script[: found.start(1)]}{other}{script[found.end(1) :]}")
    texts = sorted({t for t in re.findall(r'"([^"\n]+)"', script) if len(t) > 3 and t != "Enter"})
    if len(texts) > 1:
        one, two = (f'"{text}"' for text in draw.sample(texts, 2))
        wrong.append(two.join(part.replace(two, one) for part in script.split(one)))
    if texts:
        text = draw.choice(texts)
        wrong.append(script.replace(f'"{text}"', f'"{text[: len(text) // 2]}"'))
    return draw.choice(wrong) if wrong else None


def _program(episode: Episode) -> Program | None:
    if "better" in episode.extra or any(step.by in ("random", "script") for step in episode.steps):
        return None
    if any(step.decision.said == UNDO for step in episode.steps):
        return None
    taken = [(s.observation, s.decision, s.by) for s in episode.steps]
    return compile_program(taken, episode.final)


def _with_values_of(program: Program, goal: str, other: Episode) -> str | None:
    """The program as memory would hold it from a like task here: its goal, and that task's typed values."""
    theirs = [str(a.args[1]) for a in other.actions if a.name == "fill"]
    lines, told, used = [], goal, 0
    for step in program.steps:
        if isinstance(step, Action) and step.name == "fill" and used < len(theirs):
            told = told.replace(str(step.args[1]), theirs[used])
            step = replace(step, args=(step.args[0], theirs[used]))
            used += 1
        lines.append(str(step))
    return f"# {told}\n" + "\n".join(lines) if used else None
