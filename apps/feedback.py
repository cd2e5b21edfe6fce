"""`shopfloor feedback`: say whether what was done was right; training learns from it.

    shopfloor feedback .shopfloor/episodes/chat-20261128-101500-3f2a1b no
    shopfloor train dpo --data .shopfloor                     # learns from all that was said

In the chat `/yes` and `/no` say it of the last task. Not covered: what is learnt from it
(`trajectories/examples.py`, `training/dpo.py`).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("episode", metavar="EPISODE", help="the episode's folder, as the chat names it")
    parser.add_argument(
        "verdict", choices=("yes", "no"), help="whether the goal was met, and nothing else done"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    from trajectories.store import StoreError

    try:
        before = judge(Path(args.episode), args.verdict == "yes")
    except StoreError as error:
        print(f"shopfloor feedback: {error}", file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps({"episode": args.episode, "success": args.verdict == "yes", "before": before}))
    else:
        print(f"{args.episode}: {args.verdict}" + ("" if before == (args.verdict == "yes") else ", noted"))
    return 0


def judge(folder: Path, right: bool) -> bool:
    """Note a person's verdict in a stored episode; returns what it was before. Raises StoreError."""
    from training.experiment import person_says
    from trajectories.feedback import judged
    from trajectories.store import episode_in

    store, episode = episode_in(folder)
    store.replace(judged(episode, right))
    person_says(episode.id, right)
    return episode.outcome.success
