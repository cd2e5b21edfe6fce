"""What /metrics tells besides the server's own: the line, the agents, drift and A/B, from the state folder.

    registry.register(Watched())

Commands come and go, so nothing of theirs could be scraped; what they leave in the state folder can, each
time Prometheus asks: runs and evaluations from MLflow's database, tasks from the episodes that the chat kept,
and the last word of `shopfloor drift` and `shopfloor ab`. A part that can't be read is left out of the answer
and counted in `shopfloor_watched_errors`.

Not covered: the server's own figures (`server.py`), and machines with other state folders.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tools import settings

if TYPE_CHECKING:
    from trajectories.catalogue import Catalogue

log = logging.getLogger("shopfloor.watched")


class Watched(Collector):
    """Asked at each scrape; a scrape of a store that has not changed reads no episode."""

    def __init__(self) -> None:
        self._catalogue: Catalogue | None = None

    def collect(self) -> Iterable[Metric]:
        parts: tuple[Callable[[], Iterator[Metric]], ...] = (_line, self._agents, _drift, _trial)
        failed = 0
        for part in parts:
            try:
                yield from list(part())
            except Exception:  # one file that can't be read must not cost the server's own figures
                log.exception("a part of the metrics can't be read")
                failed += 1
        yield GaugeMetricFamily("shopfloor_watched_errors", "Parts that can't be read", failed)

    def _agents(self) -> Iterator[Metric]:
        """Tasks that the chat kept, by who did them and how they ended."""
        from trajectories.catalogue import Catalogue
        from trajectories.store import Store

        folder = settings.home_path() / "episodes"
        if self._catalogue is None and folder.is_dir():
            self._catalogue = Catalogue(Store(folder))
        rows = self._catalogue.rows() if self._catalogue else []
        tasks = CounterMetricFamily(
            "shopfloor_agents_tasks", "Tasks kept, by policy and result", labels=["policy", "result"]
        )
        for (policy, result), n in sorted(Counter((row.policy, row.result) for row in rows).items()):
            tasks.add_metric([policy, result], n)
        yield tasks
        steps = CounterMetricFamily("shopfloor_agents_steps", "Steps of those tasks", labels=["policy"])
        total: Counter[str] = Counter()
        for row in rows:
            total[row.policy] += row.steps
        for policy, n in sorted(total.items()):
            steps.add_metric([policy], n)
        yield steps


def _line() -> Iterator[Metric]:
    """What was trained and evaluated, and which model is in use (0: the released one)."""
    from training.registry import CHAMPION, alias, finished, successes

    runs = CounterMetricFamily("shopfloor_line_runs", "Runs by kind and status", labels=["kind", "status"])
    last = GaugeMetricFamily(
        "shopfloor_line_last_run_timestamp_seconds", "When one of that kind last ended", labels=["kind"]
    )
    ended: dict[str, float] = {}
    for kind, status, n, at in finished():
        runs.add_metric([kind, status.lower()], n)
        ended[kind] = max(at, ended.get(kind, 0.0))
    for kind, at in sorted(ended.items()):
        last.add_metric([kind], at)
    yield runs
    yield last
    success = GaugeMetricFamily(
        "shopfloor_line_success", "Success on held-out tasks, the newest", labels=["suite", "policy"]
    )
    for suite, policy, share, _ in successes():
        success.add_metric([suite, policy], share)
    yield success
    version = alias(CHAMPION)
    yield GaugeMetricFamily(
        "shopfloor_line_champion_version", "Of the registry; 0 is the released model", int(version or 0)
    )


def _drift() -> Iterator[Metric]:
    """The newest window that `shopfloor drift` looked at, and whether any of that look alarmed."""
    from apps.drift import last

    found = last()
    yield GaugeMetricFamily(
        "shopfloor_drift_alarm", "1: something drifted", int(bool(found and found["alarm"]))
    )
    yield GaugeMetricFamily(
        "shopfloor_drift_timestamp_seconds", "When that was looked for", found["time"] if found else 0
    )
    effect = GaugeMetricFamily(
        "shopfloor_drift_effect", "Distance from the reference, 0 to 1", labels=["figure"]
    )
    psi = GaugeMetricFamily("shopfloor_drift_psi", "Population stability index", labels=["of"])
    if found:
        newest = found["windows"][-1]
        for figure in newest["figures"]:
            effect.add_metric([figure["name"]], figure["effect"])
        for name, value in newest["psi"].items():
            psi.add_metric([name], value)
    yield effect
    yield psi


def _trial() -> Iterator[Metric]:
    """The trial of two models that runs, or ended last."""
    from apps.ab import standing
    from training.experiment import latest

    trial = latest()
    tasks = GaugeMetricFamily(
        "shopfloor_ab_tasks", "Tasks of the trial, by variant and result", labels=["variant", "result"]
    )
    bounds = GaugeMetricFamily(
        "shopfloor_ab_difference", "Second variant's success less the first's", labels=["bound"]
    )
    yield GaugeMetricFamily(
        "shopfloor_ab_running", "1: a trial runs", int(trial is not None and not trial.ended)
    )
    if trial is not None:
        _, told = standing(trial)
        for name, row in told["variants"].items():
            tasks.add_metric([name, "success"], row["successes"])
            tasks.add_metric([name, "failure"], row["n"] - row["successes"])
        for bound, value in (("low", told["low"]), ("mean", told["difference"]), ("high", told["high"])):
            bounds.add_metric([bound], value)
    yield tasks
    yield bounds
