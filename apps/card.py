"""`shopfloor card`: what a dataset holds, counted, from the folders that `shopfloor generate` made.

    shopfloor card data/miniwob data/helpdesk > docs/dataset.md
    shopfloor card data/miniwob --json

Not covered: the counting (`trajectories/card.py`).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="an --out folder of generate")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")


def run(args: argparse.Namespace) -> int:
    from trajectories.card import markdown, read, summary
    from trajectories.shards import PlanError
    from trajectories.store import StoreError

    try:
        parts = [read(folder) for folder in args.folders]
    except (PlanError, StoreError) as error:
        print(f"shopfloor card: {error}", file=sys.stderr)
        return 2
    print(json.dumps(summary(parts)) if args.json else markdown(parts), end="\n" if args.json else "")
    return 0
