"""Pairs of a better and a worse action on the same page, from episodes where something went wrong.

Not covered: the reviewer's pairs, and a person's (`training/dpo.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from agents import prompts
from tools.actions import parse
from trajectories.dagger import answered
from trajectories.episode import Episode, image_name
from trajectories.examples import exemplary

Row = dict[str, Any]


def preferences(episodes: Iterable[Episode]) -> Iterator[Row]:
    """Preference pairs: where an oracle stood when chance or a model acted in its place, and where a failed
    episode left the way of a successful one of the same task. The prompt is the actor's; the image lies in
    the store."""
    right: dict[str, str] = {}
    failed: list[tuple[str, Row]] = []
    for episode in episodes:
        if "script" in episode.extra:
            continue  # nothing for an actor to imitate
        exemplars = exemplary(episode)
        for number, step in enumerate(episode.steps):
            action = str(step.decision.action)
            look = step.observation
            shot = f"episodes/{episode.id}/{image_name(look.screenshot)}" if look.screenshot else None
            text = prompts.actor_text(episode.goal, look, episode.actions[:number])
            row: Row = {
                "task": episode.task,
                "episode": episode.id,
                "step": number,
                "image": shot,
                "text": text,
            }
            better = episode.extra.get("better", {}).get(str(number))
            if better is not None:
                worse = answered(step.decision)
                if worse is not None and worse != parse(better):
                    yield row | {"chosen": better, "rejected": str(worse), "source": "oracle"}
            elif number in exemplars:
                right[f"{episode.task}\0{text}"] = action
            elif not episode.outcome.success and step.by != "random" and step.decision.valid:
                failed.append((f"{episode.task}\0{text}", row | {"rejected": action}))
    for key, row in failed:
        if key in right and parse(right[key]) != parse(row["rejected"]):
            yield row | {"chosen": right[key], "source": "success"}
