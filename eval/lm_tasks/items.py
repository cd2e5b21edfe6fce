"""What the task files call: the items beside this file, how one is asked, and whether an answer is right.

Not covered: making items and judging answers (`eval/interface_items.py`).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from agents.prompts import INSTRUCTIONS
from eval.interface_items import right

BRIEF = "SHOPFLOOR_LM_BRIEF"  # set to 1: the model was trained here and needs no instructions


def load(kind: str, **metadata: Any) -> dict[str, Any]:
    """The items of a kind as a data set with one split. What code alone looks at stays JSON, for a data set's
    columns have one type each."""
    from datasets import Dataset

    lines = (Path(__file__).with_name(f"{kind}.jsonl")).read_text().splitlines()
    shown = ("id", "role", "prompt", "answer")
    rows = [
        {**{key: item[key] for key in shown}, "item": line} for line in lines if (item := json.loads(line))
    ]
    return {"test": Dataset.from_list(rows)}


def question(doc: dict[str, Any]) -> str:
    if os.environ.get(BRIEF) == "1":
        return str(doc["prompt"])
    return f"{INSTRUCTIONS[doc['role']]}\n\n{doc['prompt']}"


def judged(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    return {"right": float(right(json.loads(doc["item"]), results[0] or ""))}
