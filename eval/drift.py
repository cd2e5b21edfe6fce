"""Drift: whether what agents see, are asked and do is still what it was where the reference was recorded.

    reference = Reference.of(store_of_training_data)
    for window in windows(live, WINDOW):
        report = compare(reference, window)

The unit is an episode: the steps of one share a page, so they are no independent draws, and tests over steps
alarm for nothing. Each episode has one value for each figure (`figures`), a mean or a share over its steps.
A window of them is held against the reference by scipy's two-sample Kolmogorov-Smirnov test, success by
Fisher's exact test. Effects are D, the greatest distance of the two distributions, and the difference of the
two shares. A figure alarms where p times the number of figures tested (Bonferroni) is below `ALPHA` and the
effect is not small; PSI, of roles and of actions as wholes, is told beside it.

A reference has to be of the same mix as what is watched. Training data of many looks against one app of one
look alarms, rightly and for ever; a reference of that app's own first weeks does not.

Not covered: changes slower than a window can show, and why something changed. Episodes that depend on each
other, such as the same task tried again and again, make alarms more likely than `ALPHA` says.
"""

from __future__ import annotations

import gzip
import io
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from tools.observation import Observation
from trajectories.episode import Episode

WINDOW = 100  # steps, and what the last episode has beyond them: a change is seen within two windows
ALPHA = 0.001  # chance that a window alarms where nothing has changed
DISTANCE = 0.2  # of two distributions, below which no alarm is raised however sure it is
SHARE = 0.15  # the same for a difference of success
COMMON = 0.01  # of the reference; rarer roles and actions, and new ones, are counted together
FEWEST = 5  # values of a figure on either side, for a test; a window of fewer episodes: as many
LARGEST = 500  # episodes of a reference
SMALL = (64, 48)  # pixels that a screenshot's statistics are taken from


class NoReference(ValueError):
    """There is nothing to compare with; the message says what to give."""


@dataclass(frozen=True)
class Sample:
    """One episode as drift sees it. `numbers` lacks what the episode has no value for."""

    started: str
    steps: int
    success: bool
    goal: str
    numbers: Mapping[str, float]
    roles: Mapping[str, int]
    actions: Mapping[str, int]


@dataclass(frozen=True)
class Figure:
    """One test: means of both sides, p before correction, the effect, and whether it alarms."""

    name: str
    test: str  # "KS" or "Fisher"
    reference: float
    window: float
    p: float
    effect: float
    alarm: bool


@dataclass(frozen=True)
class Drift:
    """A window against the reference. `psi` is the population stability index of roles and of actions: below
    0.1 counts as no change, above 0.25 as a large one."""

    started: str  # of the window's first episode
    ended: str  # when its last one began
    episodes: int
    steps: int
    figures: tuple[Figure, ...]
    psi: Mapping[str, float]

    @property
    def alarms(self) -> tuple[Figure, ...]:
        """What drifted, the largest effect first."""
        return tuple(sorted((f for f in self.figures if f.alarm), key=lambda f: -f.effect))

    def json(self) -> dict[str, Any]:
        return asdict(self) | {"alarms": [f.name for f in self.alarms]}


@dataclass(frozen=True)
class Reference:
    """What windows are held against; `made_from` tells one apart from another."""

    samples: tuple[Sample, ...]
    made_from: str = ""

    @staticmethod
    def of(episodes: Iterable[Episode], made_from: str = "") -> Reference:
        """Raises NoReference where there are too few for any alarm."""
        made = tuple(samples(episodes))
        if len(made) < 2 * FEWEST:
            raise NoReference(
                f"a reference of {len(made)} episodes says nothing; give a folder with a hundred or more"
            )
        return Reference(made, made_from)

    def save(self, path: Path) -> None:
        """Whole or not at all, as gzipped JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".new")
        partial.write_bytes(gzip.compress(json.dumps(asdict(self)).encode(), mtime=0))
        partial.replace(path)

    @staticmethod
    def load(path: Path) -> Reference:
        """What `save` wrote. Raises NoReference."""
        try:
            read = json.loads(gzip.decompress(path.read_bytes()))
            return Reference(tuple(Sample(**row) for row in read["samples"]), read["made_from"])
        except (OSError, EOFError, ValueError, TypeError, KeyError) as error:
            raise NoReference(f"{path} holds no reference ({error}); give --reference DIR again") from error

    @cached_property
    def goals(self) -> np.ndarray[Any, Any]:
        """Its goals embedded, (episodes, dimensions)."""
        return _embedded(self.samples)


def samples(episodes: Iterable[Episode]) -> Iterator[Sample]:
    """Episodes as drift sees them; those without a step tell nothing and are left out."""
    for episode in episodes:
        if episode.steps:
            yield Sample(
                episode.started,
                len(episode.steps),
                episode.outcome.success,
                episode.goal,
                _numbers(episode),
                dict(Counter(e.role for step in episode.steps for e in step.observation.elements)),
                dict(Counter(step.decision.action.name for step in episode.steps)),
            )


class Timed(Protocol):
    """An episode, as far as cutting windows goes: a sample, or a catalogue's row."""

    @property
    def started(self) -> str: ...

    @property
    def steps(self) -> int: ...


T = TypeVar("T", bound=Timed)


def windows(live: Iterable[T], steps: int = WINDOW) -> Iterator[tuple[T, ...]]:
    """Live episodes in order, cut where `steps` are reached; a rest that is shorter is no window."""
    found: list[T] = []
    for sample in sorted(live, key=lambda sample: sample.started):
        found.append(sample)
        if sum(s.steps for s in found) >= steps:
            yield tuple(found)
            found = []


def compare(reference: Reference, window: Sequence[Sample], alpha: float = ALPHA) -> Drift:
    """A window against the reference."""
    then, now = _table(reference, reference.samples, own=True), _table(reference, window, own=False)
    pairs = {name: (then.get(name, []), now.get(name, [])) for name in sorted({*then, *now})}
    tested = {n: p for n, p in pairs.items() if min(map(len, p)) >= min(FEWEST, len(window))}
    figures = [_figure(name, *sides, alpha / max(1, len(tested))) for name, sides in tested.items()]
    psi = {
        kind: stability(
            sum((Counter(getattr(s, kind)) for s in reference.samples), Counter()),
            sum((Counter(getattr(s, kind)) for s in window), Counter()),
        )
        for kind in ("roles", "actions")
    }
    began = [sample.started for sample in window]
    return Drift(min(began), max(began), len(window), sum(s.steps for s in window), tuple(figures), psi)


def stability(then: Mapping[str, int], now: Mapping[str, int]) -> float:
    """The population stability index of two counts: the sum of (q - p) ln(q / p) over what is counted.

    What one side lacks counts there as half of one.
    """
    names = {*then, *now}
    p, q = ([max(side.get(n, 0), 0.5) for n in names] for side in (then, now))
    return sum(
        (b / sum(q) - a / sum(p)) * math.log((b / sum(q)) / (a / sum(p))) for a, b in zip(p, q, strict=True)
    )


def _figure(name: str, then: Sequence[float], now: Sequence[float], alpha: float) -> Figure:
    from scipy.stats import fisher_exact, ks_2samp

    means = sum(then) / len(then), sum(now) / len(now)
    if name == "success":
        table = [[round(sum(side)), len(side) - round(sum(side))] for side in (then, now)]
        p, effect, least, test = float(fisher_exact(table).pvalue), abs(means[1] - means[0]), SHARE, "Fisher"
    else:
        found = ks_2samp(then, now)
        p, effect, least, test = float(found.pvalue), float(found.statistic), DISTANCE, "KS"
    return Figure(name, test, *means, p, effect, p < alpha and effect >= least)


def _table(reference: Reference, side: Sequence[Sample], *, own: bool) -> dict[str, list[float]]:
    """Each figure's values on one side, a value an episode that has one."""
    table: dict[str, list[float]] = {"success": [float(s.success) for s in side]}
    for name in sorted({n for s in side for n in s.numbers}):
        table[name] = [s.numbers[name] for s in side if name in s.numbers]
    for kind in ("roles", "actions"):
        common = _common(reference.samples, kind)
        counts = [Counter(getattr(s, kind)) for s in side]
        for name in common:
            table[f"{kind}: {name}"] = [c[name] / max(1, c.total()) for c in counts]
        table[f"{kind}: others"] = [
            (c.total() - sum(c[n] for n in common)) / max(1, c.total()) for c in counts
        ]
    likeness = (reference.goals if own else _embedded(side)) @ reference.goals.T
    if own:
        np.fill_diagonal(likeness, -1.0)  # a goal of the reference is not compared with itself
    # Rounded: what is equal but for the last bits is no other distribution, though KS would call it one.
    table["goal: distance to the nearest"] = (1 - likeness.max(axis=1)).round(4).tolist()
    return table


def _embedded(side: Sequence[Sample]) -> np.ndarray[Any, Any]:
    return np.array([_vector(sample.goal) for sample in side])


@lru_cache(10_000)
def _vector(goal: str) -> list[float]:
    from tools.memory import embed

    return embed([goal])[0]


def _common(side: Sequence[Sample], kind: str) -> list[str]:
    """What makes up at least `COMMON` of the reference."""
    total: Counter[str] = sum((Counter(getattr(s, kind)) for s in side), Counter())
    return sorted(name for name, n in total.items() if n >= COMMON * total.total())


def _numbers(episode: Episode) -> dict[str, float]:
    """An episode's means over its steps."""
    rows: list[dict[str, float]] = []
    seen: dict[bytes, dict[str, float]] = {}
    for step in episode.steps:
        look = step.observation
        row = {"elements": float(len(look.elements) + look.hidden)}
        if look.screenshot is not None:
            if look.screenshot not in seen:
                seen[look.screenshot] = picture(look)
            row |= seen[look.screenshot]
        if step.decision.confidence is not None:
            row["confidence"] = step.decision.confidence
        rows.append(row)
    means = {}
    for name in sorted({n for row in rows for n in row}):
        values = [row[name] for row in rows if name in row]
        means[name] = round(sum(values) / len(values), 4)
    return means | {"steps": float(len(rows))}


def picture(look: Observation) -> dict[str, float]:
    """Brightness and contrast of a screenshot, how colourful and how warm it is, each in 0 to 255."""
    from PIL import Image

    assert look.screenshot is not None
    with Image.open(io.BytesIO(look.screenshot)) as image:
        small = np.asarray(image.convert("RGB").resize(SMALL, Image.Resampling.BOX), dtype=np.float64)
    grey = small.mean(axis=2)
    return {
        "image: brightness": float(grey.mean()),
        "image: contrast": float(grey.std()),
        "image: colourfulness": float((small.max(axis=2) - small.min(axis=2)).mean()),
        "image: warmth": float((small[:, :, 0] - small[:, :, 2]).mean()),
    }
