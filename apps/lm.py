"""`shopfloor eval lm`: what a language model knows, by the LM Evaluation Harness (EleutherAI's lm-eval).

    shopfloor eval lm                                      # our own: reasoning, coding, safety on interfaces
    shopfloor eval lm --tasks shopfloor_safety --limit 20 --model http://127.0.0.1:8000/v1
    shopfloor eval lm --tasks gsm8k,ifeval --model models/nano

Our own tasks are `shopfloor_reasoning`, `shopfloor_coding` and `shopfloor_safety`, together `shopfloor`; any
task that lm-eval knows goes by its name, where its data can be reached (HF_HUB_OFFLINE=0 lets it be fetched).
The model is asked as an endpoint, a checkpoint is served meanwhile; a checkpoint of text alone
(`...ForCausalLM`) is loaded by lm-eval itself, which tasks that weigh given answers want. The results go to
MLflow beside those of the suites. lm-eval comes with `pip install 'shopfloor[lm]'`.

Not covered: our items (`eval/interface_items.py`); images, which lm-eval's chat endpoints do not take.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.clients import Endpoint

OWN = Path(__file__).resolve().parent.parent / "eval" / "lm_tasks"
NO_NAME = re.compile(r"[^\w. :/-]", re.ASCII)  # what MLflow takes in no metric's name, such as that of pass@1
Results = dict[str, dict[str, float]]  # by task, by metric (and its filter); `right_stderr` beside `right`


def run(args: argparse.Namespace) -> int:
    if find_spec("lm_eval") is None:
        print("shopfloor eval lm: lm-eval is missing; pip install 'shopfloor[lm]'", file=sys.stderr)
        return 2
    if args.role or args.policy != "model" or args.without or args.split or args.protocol or args.out:
        print("shopfloor eval lm: takes --tasks, --model, --limit and --json only", file=sys.stderr)
        return 2
    if args.limit is not None and args.limit < 1:
        print("shopfloor eval lm: --limit must be at least 1", file=sys.stderr)
        return 2
    tasks = [t.strip() for t in (args.tasks or "shopfloor").split(",") if t.strip()]
    from training.registry import NoModel

    try:
        label, results = measure(tasks, args.model, args.limit)
    except (NoModel, UnknownTask) as error:
        print(f"shopfloor eval lm: {error}", file=sys.stderr)
        return 2
    except (ConnectionError, FileNotFoundError, NotImplementedError) as error:
        print(f"shopfloor eval lm: {error}{_mend(error)}", file=sys.stderr)
        return 1
    if args.json:
        print(
            json.dumps({"suite": "lm", "model": label, "limit": args.limit, "results": results}), flush=True
        )
    for task, figures in results.items():
        shown = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        print(f"{task}: {shown}", file=sys.stderr)
    _log(label, results, args.limit)
    return 0


class UnknownTask(ValueError):
    """lm-eval knows no task of that name; the message says so."""


def measure(tasks: list[str], model: str | None, limit: int | None) -> tuple[str, Results]:
    """A name for the weights, and what lm-eval found. Raises UnknownTask, NoModel and what lm-eval raises."""
    os.environ.setdefault("HF_DATASETS_OFFLINE", os.environ.get("HF_HUB_OFFLINE", "1"))
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(OWN))
    if unknown := [task for task in tasks if task not in manager.all_tasks]:
        raise UnknownTask(f"no task {', '.join(unknown)}; ours are shopfloor_reasoning, _coding and _safety")
    if model is not None and _text_alone(Path(model)):
        from training.registry import label

        return label(Path(model)), _evaluated("hf", {"pretrained": model}, tasks, manager, limit, brief=False)

    from apps.evaluate import endpoint_of

    async def served() -> tuple[str, Results]:
        async with endpoint_of(model) as (endpoint, named):
            # In a thread: lm-eval has an event loop of its own.
            return named, await asyncio.to_thread(_at, endpoint, tasks, manager, limit)

    return asyncio.run(served())


def _at(endpoint: Endpoint, tasks: list[str], manager: Any, limit: int | None) -> Results:
    from aiohttp import ClientError  # what lm-eval asks by

    from agents.clients import ModelDown

    os.environ["OPENAI_API_KEY"] = endpoint.api_key
    where = {
        "base_url": f"{endpoint.base_url.rstrip('/')}/chat/completions",
        "model": endpoint.model,
        "num_concurrent": 4,
        "max_retries": 3,
        "timeout": 600,
    }
    try:
        return _evaluated("local-chat-completions", where, tasks, manager, limit, brief=endpoint.brief)
    except (ClientError, TimeoutError) as error:
        raise ModelDown(f"{endpoint.base_url} can't be asked: {error}") from error


def _evaluated(
    kind: str, where: dict[str, Any], tasks: list[str], manager: Any, limit: int | None, *, brief: bool
) -> Results:
    from lm_eval import simple_evaluate

    from eval.lm_tasks.items import BRIEF

    os.environ[BRIEF] = "1" if brief else "0"
    chat = kind != "hf"
    found = simple_evaluate(
        model=kind,
        model_args=where,
        tasks=tasks,
        task_manager=manager,
        limit=limit,
        apply_chat_template=chat,
        bootstrap_iters=1000,
        log_samples=False,
    )
    return {
        task: {
            name.removesuffix(",none").replace(",", "/"): float(value)  # lm-eval: metric,filter
            for name, value in figures.items()
            if isinstance(value, int | float) and name != "alias"
        }
        for task, figures in found["results"].items()
    }


def _text_alone(folder: Path) -> bool:
    try:
        config = json.loads((folder / "config.json").read_text())
    except OSError:
        return False
    return any(name.endswith("ForCausalLM") for name in config.get("architectures") or ())


def _mend(error: Exception) -> str:
    if isinstance(error, NotImplementedError):
        return "; this task weighs given answers, which wants a checkpoint of text alone (--model FOLDER)"
    return "; its data is not here: HF_HUB_OFFLINE=0 and HF_DATASETS_OFFLINE=0 let it be fetched"


def _log(label: str, results: Results, limit: int | None) -> None:
    from training.tracking import start_run

    params = {"suite": "lm", "model": label, "tasks": ",".join(results), "limit": limit}
    with start_run("eval", params) as run:
        figures = {f"{task}/{name}": value for task, own in results.items() for name, value in own.items()}
        run.log_metrics({NO_NAME.sub("_", name): value for name, value in figures.items()})
        run.log_json(results, "report.json")
