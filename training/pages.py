"""Recorded pages as screens: every question that can be asked of one, with its answer.

A page of an episode carries the questions the episode itself answers (all three roles), those of other
goals whose oracle can tell what to do here (`Suite.asides`), and plain ones (`Artist.asides`); forms are
pages again partly filled in (`Suite.midway`). Sharing one reading of the page they cost a small part of what
a row for each would. Kept as one parquet file, made once.

Not covered: drawn screens (`screens.py`), rows of single questions (`sft.py`).
"""

from __future__ import annotations

import math
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pandas as pd
from PIL import Image

from agents import prompts
from tools.actions import Action, parse
from tools.observation import Observation
from training.screens import Artist, Question, Screen
from training.sft import NOTHING
from trajectories.dagger import NAME as DAGGER
from trajectories.dagger import answered
from trajectories.episode import Episode
from trajectories.examples import NOT_YET, examples, pairs
from trajectories.goals import reword
from trajectories.suites import SUITES, open_suite

ASIDES = 8  # other goals kept for each page
PLAIN = 4  # plain questions kept for each page
ENDS = 0.15  # share of pages that are where a goal was met
SHORT = 0.08  # of those where one was not, though the episode is over: what a reviewer has to tell apart
BEGUN = 0.35  # of those where something was done and more is to do: the hardest to tell what comes next on
MISSED = 0.25  # of those where the model was wrong
REVIEWED = 0.04  # share of other goals that the reviewer is asked about: hardly any is met
HALFWAY = 0.25  # of forms partly filled in: asked about all of them it takes no form for sent
JUDGED = 0.6  # of the pages where a goal was met
MIDWAY = 4  # times a form is asked about partly filled in
DONE = 'send_msg_to_user("done")'
LEAST, MOST = 2.0, 5.0  # steps that a task counts as, at least and at most
KNOWN = 0.6  # share of its weight that a family keeps in which the model was never wrong
LOOKING = 6  # times as often: seeing is slower to learn than reading
# An answer in coordinates: 128 pixels a side are too few for more than to click about there.
PLACE = re.compile(r"\bmouse_(?!click\()\w+\(")
CLICK = re.compile(r"\bmouse_click\((\d+)(?:\.\d+)?, (\d+)(?:\.\d+)?\)")
ABOUT = 20  # thousandths of the picture's side
SETS = re.compile(r'("(?:[^"\\]|\\.)*") (?:fill|select_option)\(\d+, "(.*)"\)')
ASKED = re.compile(r"\n(?=did: |goal: )")  # no line of a page begins like that


@dataclass(frozen=True)
class Page:
    """One recorded look: text, picture (PNG bytes) and the questions on it, the episode's own apart."""

    family: str
    text: str
    picture: bytes | None
    own: tuple[Question, ...]
    others: tuple[Question, ...]
    missed: bool | None = None  # whether the model was wrong here; None where it was not asked

    @property
    def ends(self) -> bool:
        """Whether the episode's goal was met here."""
        return any(question.answer == DONE for question in self.own)

    @property
    def short(self) -> bool:
        """Whether the episode was over here and its goal not met: all there is to say is the reviewer's."""
        return not any(q.acts for q in self.own) and any(q.answer == NOT_YET for q in self.own)

    @property
    def begun(self) -> bool:
        """Whether something was done for the episode's goal, and more is to do here."""
        return any(q.acts and q.text.startswith("did: ") and q.answer != DONE for q in self.own)

    def screen(self, count: int, draw: random.Random) -> Screen:
        """A screen with `count` of the questions: up to half are the episode's own, one of them for the next
        action where there is one; where a goal was met, a little more often for the reviewer's word on it."""
        own = draw.sample(self.own, len(self.own))
        if not (self.ends and draw.random() < JUDGED):
            own.sort(key=lambda question: not question.acts)  # stable: the rest stays shuffled
        else:
            own.sort(key=lambda q: (not q.text.endswith("check result:"), q.answer == NOT_YET))
        own = own[:1] + draw.sample(own[1:], min(len(own), (count + 1) // 2) - 1)
        others = draw.sample(self.others, min(len(self.others), count - len(own)))
        asked = own + others
        draw.shuffle(asked)
        picture = Image.open(BytesIO(self.picture)).convert("RGB") if self.picture else None
        return Screen(self.text, tuple(asked), picture)


def pages(episodes: Iterable[Episode], shrink: Callable[[bytes], bytes], seed: int = 0) -> Iterator[Page]:
    """The pages of episodes, in their order; looks that read the same within an episode are one page."""
    for episode, other in pairs(episodes):
        draw = random.Random(f"{seed}/{episode.id}")
        family = f"{episode.suite}/{episode.family}"
        suite = open_suite(episode.suite) if episode.suite in SUITES else None  # a site's map may be gone
        own: dict[str, list[Question]] = defaultdict(list)
        for example in examples(episode, other):
            page, asked = ASKED.split(example.prompt, 1)
            question = Question(asked, example.answer)
            if not _unknowable(question):
                own[page + "\n"].append(question)
        for at in range(len(episode.steps) + 1):
            look = episode.steps[at].observation if at < len(episode.steps) else episode.final
            if not (questions := own.pop(look.text() + "\n", None)):
                continue
            history = tuple(step.decision.action for step in episode.steps[:at])
            picture = shrink(look.screenshot) if look.screenshot else None
            plain = Artist(str(draw.random())).asides(look, PLAIN)
            others = suite.asides(episode, at, ASIDES, draw) if suite else ()
            asked_too = [_asked(goal, look, action, draw) for goal, action in others]
            others_too = (*asked_too, *plain)
            yield Page(
                family, look.text() + "\n", picture, tuple(questions), others_too, _missed(episode, at)
            )
            for half, done, goal, action in suite.midway(episode, at, MIDWAY, draw) if suite else ():
                before = (*history, *done)
                said = _said(goal, draw)
                follows = _question(prompts.actor_text(said, half, before), str(action), half)
                review = _question(prompts.result_review_text(said, half, before), NOT_YET, half)
                others = suite.asides(episode, at, ASIDES // 2, draw, half) if suite else ()
                asked_too = [_asked(goal, half, action, draw) for goal, action in others]
                own_here = (follows, review) if draw.random() < HALFWAY else (follows,)
                asked_here = tuple(q for q in own_here if not _unknowable(q))
                yield Page(family, half.text() + "\n", picture, asked_here, tuple(asked_too))


def _unknowable(question: Question) -> bool:
    """Whether an oracle puts back what stood in a field before the model wrote over it: it knows, but neither
    the page nor the goal says so, and to teach that is to teach guessing."""
    if not (question.acts and (sets := SETS.fullmatch(question.answer))):
        return False
    name, value = sets.groups()
    goal = question.text[question.text.rindex("goal: ") :]
    return f"did: {name} " in question.text and '"' in goal and value not in goal


def _missed(episode: Episode, at: int) -> bool | None:
    better = episode.extra.get("better", {}).get(str(at))
    if better is None or episode.policy != DAGGER:
        return None
    return bool(answered(episode.steps[at].decision) != parse(better))


def _asked(goal: str, look: Observation, action: Action, draw: random.Random) -> Question:
    """Another goal put to the actor or, now and then, to the reviewer, as if it had just been set: what was
    done for the episode's own goal would only teach that what was done says nothing."""
    said = _said(goal, draw)
    if draw.random() < REVIEWED:
        return _question(
            prompts.result_review_text(said, look, ()), "done" if action.final else NOT_YET, look
        )
    return _question(prompts.actor_text(said, look, ()), str(action), look)


def _question(prompt: str, answer: str, look: Observation) -> Question:
    return Question(prompt[len(look.text()) + 1 :], answer)


def _said(goal: str, draw: random.Random) -> str:
    return reword(goal, draw.choice((0, draw.randrange(1, 1000), draw.randrange(1, 1000))))


def write(found: Iterable[Page], file: Path) -> None:
    """Keep pages in a parquet file; whole or absent. Raises ValueError where there are none."""
    rows = [
        {
            "family": p.family,
            "text": p.text,
            "picture": p.picture,
            "own": [[q.text, q.answer] for q in p.own],
            "others": [[q.text, q.answer] for q in p.others],
            "missed": p.missed,
        }
        for p in found
    ]
    if not rows:
        raise ValueError(NOTHING)
    aside = file.with_suffix(".new")
    pd.DataFrame(rows).to_parquet(aside)
    aside.rename(file)


class Album:
    """The pages of a file, drawn family by family; those that take looking more often than the others."""

    def __init__(self, file: Path) -> None:
        self.families: dict[str, list[Page]] = defaultdict(list)
        for row in pd.read_parquet(file).to_dict("records"):
            own, others = (
                tuple(Question(text, _about(answer)) for text, answer in row[k]) for k in ("own", "others")
            )
            if own := tuple(question for question in own if not PLACE.search(question.answer)):
                page = Page(row["family"], row["text"], row["picture"], own, others, row["missed"])
                self.families[page.family].append(page)
        self.ends = {family: [page for page in found if page.ends] for family, found in self.families.items()}
        self.short = {family: [p for p in found if p.short] for family, found in self.families.items()}
        self.begun = {
            family: [page for page in found if page.begun] for family, found in self.families.items()
        }
        self.missed = {family: [p for p in found if p.missed] for family, found in self.families.items()}
        self._weights: dict[str, dict[str, float]] = defaultdict(dict)  # by suite and family
        for family in sorted(self.families):
            self._weights[family.partition("/")[0]][family] = self._weight(family)
        self._suites = {
            suite: math.sqrt(sum(len(self.families[family]) for family in weights))
            for suite, weights in self._weights.items()
        }

    def _weight(self, family: str) -> float:
        """Decisions an episode, so that one of a long task is seen as often as one of a short task; at most
        `MOST`, or a few long tasks would take nearly all of the time, at least `LEAST`, for each task of one
        step is another. The more often a model was wrong where it was asked, the more."""
        asked = [question for page in self.families[family] for question in page.own]
        episodes = sum(question.answer == "act(goal)" for question in asked)  # once each
        acts = sum(question.acts for question in asked)
        decisions = min(MOST, max(LEAST, acts / max(1, episodes) * (LOOKING if _looks_only(family) else 1)))
        asked_model = sum(page.missed is not None for page in self.families[family])
        return decisions * (KNOWN + len(self.missed[family]) / asked_model if asked_model else 1)

    def page(self, draw: random.Random) -> Page:
        """Any page: its suite first, by the root of its pages, then its family: one of few tasks is not lost
        among those of many, and one of few pages not learnt by heart.

        Some are drawn more often (`ENDS`, `SHORT`, `BEGUN`, `MISSED`): where a goal was met, or the model
        would hardly ever see what that looks like (of one in four it learns to say done too early), where it
        was missed, where it was begun, and where the model was wrong.
        """
        (suite,) = draw.choices(list(self._suites), list(self._suites.values()))
        weights = self._weights[suite]
        (family,) = draw.choices(list(weights), list(weights.values()))
        kinds = (self.ends, self.short, self.begun, self.missed, self.families)
        (kind,) = draw.choices(kinds, (ENDS, SHORT, BEGUN, MISSED, 1 - ENDS - SHORT - BEGUN - MISSED))
        return draw.choice(kind[family] or self.families[family])

    def texts(self) -> Iterator[str]:
        """Every page with its questions and answers, to learn a tokenizer from."""
        for found in self.families.values():
            for page in found:
                yield page.text + "".join(q.text + q.answer for q in (*page.own, *page.others))


def _about(answer: str) -> str:
    """The answer, to click a place rounded to what can be seen."""
    return CLICK.sub(
        lambda m: f"mouse_click({', '.join(str(ABOUT * round(int(v) / ABOUT)) for v in m.groups())})", answer
    )


def _looks_only(family: str) -> bool:
    suite, _, name = family.partition("/")
    return suite in SUITES and name in open_suite(suite).looks_only
