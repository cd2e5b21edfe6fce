"""The stages of a turn as plain functions: what each depends on, and what it does.

    result = DO["sft"](turn, given, folder)

`given` holds the results of the stages before, `folder` is the stage's own, named after everything its
outcome follows from (`depends`), so that equal work is done once. A function that was killed goes on in the
same folder when it is called again. None of them knows who calls it: the command, Prefect or Airflow.

Not covered: the order, what is kept of a stage and taking it up again (`runner.py`).
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from apps.line.plan import Turn
from tools.files import write_whole
from tools.settings import home

Given = Mapping[str, Mapping[str, Any]]
Result = dict[str, Any]


class StageFailed(RuntimeError):
    """A stage failed, and may do better when tried again; the message says why."""


def ingest(turn: Turn, given: Given, folder: Path) -> Result:
    """What people and agents recorded here, cleaned: whole, judged by more than the model's own reviewer,
    not held out, and nothing twice."""
    from apps.line.clean import clean

    return clean(home() / "episodes", folder / "episodes")


def generate(turn: Turn, given: Given, folder: Path) -> Result:
    """Verified demonstrations: those in the state's `data` folder (`make dataset`), else some."""
    from apps.making import carry_out
    from trajectories.shards import Folder, Plan
    from trajectories.store import Store
    from trajectories.suites import open_suite

    parts = prepared()
    if not parts:
        for suite, episodes in turn.dial.demonstrations.items():
            families = turn.dial.families[suite] or open_suite(suite).families
            part = Folder(folder / suite)
            plan = Plan(suite, families, episodes, perturb=0.15, shard=250, workers=turn.workers)
            part.claim(plan)
            code, summary = carry_out(plan, part, bound=0.2)
            if code == 130:
                raise KeyboardInterrupt
            if code:
                raise StageFailed(summary["error"])
            parts.append(part.path)
    stores = [Store(part / "episodes") for part in parts]
    return {
        "data": [str(part) for part in parts],
        "digest": _joined(store.digest() for store in stores),
        "episodes": sum(map(len, stores)),
    }


def prepared() -> list[Path]:
    """The folders of demonstrations that were made before."""
    return sorted(f for f in (home() / "data").glob("*") if any((f / "shards").glob("*.json")))


def pretrain(turn: Turn, given: Given, folder: Path) -> Result:
    """A model of the turn's size from nothing, where there is none to train on."""
    from training.registry import label

    if turn.base:
        return {"model": turn.base, "label": label(Path(turn.base)), "made": False}
    # Drawn screens alone, then recorded pages too: the released model's recipe (LOG.md).
    drawn, recorded = folder / "drawn", folder / "recorded"
    given_data = [*given["generate"]["data"]]
    words = ["--minutes", str(turn.minutes * 0.35), "--out", str(drawn)]
    if not (drawn / "scores.json").exists():  # written last; a checkpoint that is there is made again
        _pretrain(turn, words)
    data = [word for part in given_data for word in ("--data", part)]
    words = ["--minutes", str(turn.minutes * 0.55), "--out", str(recorded), *data]
    _pretrain(turn, [*words, "--questions", "5", "--rate", "8e-4", "--from", str(drawn / "checkpoint")])
    model = recorded / "checkpoint"
    scores = json.loads((recorded / "scores.json").read_text())
    return {"model": str(model), "label": label(model), "made": True, "held_out": scores["all"]}


def _pretrain(turn: Turn, words: Sequence[str]) -> None:
    """`shopfloor train pretrain`, as many processes of one thread as there are cores, or one for a GPU."""
    import os

    import torch

    from tools.lifeline import die_with_parent

    command = ["-m", "apps.main", "train", "pretrain", "--size", turn.size, "--steps", "1000000"]
    command += ["--batch", str(turn.dial.batch), *words]
    cores = os.cpu_count() or 1
    environment = dict(os.environ)
    start = [sys.executable]
    if torch.cuda.is_available():
        command += ["--workers", str(max(1, cores - 2))]
    elif cores > 1:
        # They meet once a step instead of at every operation.
        environment["OMP_NUM_THREADS"] = "1"
        start += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(cores)]
    ran = subprocess.run([*start, *command], env=environment, stdout=sys.stderr, preexec_fn=die_with_parent)
    if ran.returncode:
        raise StageFailed(f"pretraining ended with exit code {ran.returncode}; what it said is above")


def sft(turn: Turn, given: Given, folder: Path) -> Result:
    """All three roles, on the demonstrations and on what was recorded."""
    from apps import runs
    from training.registry import label
    from training.sft import Recipe

    data = [Path(part) for part in given["generate"]["data"]]
    if given["ingest"]["kept"]:
        data.append(Path(given["ingest"]["store"]))
    recipe = Recipe(turn.dial.sft_steps, turn.dial.batch, turn.dial.sft_rate, save_steps=100)
    done = runs.sft(given["pretrain"]["model"], data, recipe, folder)
    return {**done, "label": label(Path(done["model"]))}


def rft(turn: Turn, given: Given, folder: Path) -> Result:
    """Trained again on its own verified successes, on training tasks that none of the 39 turns before had."""
    from apps import runs
    from training.registry import label
    from training.rft import RoundFailed
    from training.sft import Recipe

    start = given["sft"]
    plan, recipe = _sampling(turn), Recipe(turn.dial.rft_steps, turn.dial.batch, 1e-4, seed=turn.number)
    out = folder / "rounds"  # the run keeps a result.json of its own, which is not the stage's
    out.mkdir(exist_ok=True)
    try:
        done = runs.rft(
            Path(start["model"]),
            plan,
            recipe,
            [Path(part) for part in given["generate"]["data"]],
            out,
            validate=turn.dial.validate,
            workers=turn.workers,
        )
    except RoundFailed as error:
        raise StageFailed(str(error)) from error
    # A round that taught nothing, or was not built on, leaves the fine-tuned model as the candidate.
    version = done.get("version", start["version"])
    return {**done, "version": version, "label": label(Path(done["model"]))}


def _sampling(turn: Turn) -> Any:
    from training.rft import Plan
    from trajectories.suites import open_suite

    families = {suite: own or open_suite(suite).families for suite, own in turn.dial.families.items()}
    return Plan(families, 1, turn.dial.tasks, turn.dial.samples, seed=turn.number % 40)


def evaluate(turn: Turn, given: Given, folder: Path) -> Result:
    """Candidate and champion on the same held-out tasks; each of 800 turns has tasks of its own, so that no
    model is chosen by what it was chosen by before. Where no champion counts, random actions stand in."""
    import argparse

    from apps import evaluate as command

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)

    def reports(who: Sequence[str], out: Path) -> list[Result]:
        found = []
        for suite, own in turn.dial.families.items():
            words = [suite, *who, "--episodes", str(turn.dial.episodes), "--workers", str(turn.workers)]
            # Seed 9 chooses between rounds of rejection sampling (rounds.py), 0 is for people's reports.
            words += ["--seed", str(100 + turn.number % 800), "--out", str(out / suite)]
            words += ["--tasks", ",".join(own)] if own else []
            report = asyncio.run(command.measure(parser.parse_args(words)))
            if 2 * report.errors > report.total:
                raise StageFailed(f"{report.errors} of {report.total} episodes broke off: {report.error}")
            command.log(report, part=bool(own))
            found.append(report.json())
        return found

    theirs = ["--model", turn.champion] if turn.champion else ["--policy", "random"]
    challenger = reports(["--model", given["rft"]["model"]], folder / "challenger")
    champion = reports(theirs, folder / "champion")
    write_whole(folder / "reports.json", json.dumps({"challenger": challenger, "champion": champion}))

    def share(side: Sequence[Mapping[str, Any]]) -> float:
        results = [won for report in side for won in report["results"].values()]
        return sum(results) / len(results)

    return {
        "reports": str(folder / "reports.json"),
        "challenger": share(challenger),
        "champion": share(champion),
        "against": "the champion" if turn.champion else "random actions",
    }


def promote(turn: Turn, given: Given, folder: Path) -> Result:
    """The candidate becomes the champion if it won; else nothing changes."""
    from eval.statistics import better
    from training import registry

    version = str(given["rft"]["version"])
    if registry.same_weights(registry.resolve(version), Path(turn.champion or registry.RELEASED)):
        return {"promoted": False, "reason": "refused: it is the champion", "version": version}
    if registry.alias(registry.CHAMPION) == version:  # killed after that, and before it was noted
        return {"promoted": True, "reason": "promoted before", "version": version}
    if not turn.champion and registry.alias(registry.CHAMPION) is not None:  # `ab settle`, `train promote`
        reason = "refused: it was not compared with the champion that there is now"
        return {"promoted": False, "reason": reason, "version": version}
    both = json.loads(Path(given["evaluate"]["reports"]).read_text())
    if not turn.champion:  # the judge wants two of a kind; here chance is the one to beat
        both["champion"] = [report | {"policy": "model"} for report in both["champion"]]
    promotion = registry.promote(version, both["challenger"], both["champion"], better)
    return asdict(promotion)


def deploy(turn: Turn, given: Given, folder: Path) -> Result:
    """The champion, served: its server comes up, says that it is that model, and answers a question.

    What runs on the champion (`shopfloor chat`, `shopfloor serve`) takes it from here by its alias.
    """
    from apps.local_server import local_model
    from training import registry

    champion = registry.resolve(None)

    async def ask() -> tuple[str, str]:
        import openai

        from agents import prompts
        from tools.observation import Box, Element, Observation

        button = Element(1, "button", "Save", Box(8, 8, 60, 20))
        look = Observation("about:blank", "Save", (640, 480), elements=(button,))
        asked = prompts.actor_text("Press Save", look, [])
        async with local_model(str(champion)) as endpoint:
            client = openai.AsyncOpenAI(base_url=endpoint.base_url, api_key="none", timeout=120)
            answer = await client.chat.completions.create(
                model=endpoint.model, messages=[{"role": "user", "content": asked}], max_tokens=24
            )
            await client.close()
        return answer.system_fingerprint or "", answer.choices[0].message.content or ""

    served, answer = asyncio.run(ask())
    if served != registry.label(champion):
        raise StageFailed(f"the server answers with {served or 'unnamed weights'}, not with the champion's")
    result = {
        "champion": registry.alias(registry.CHAMPION) or "the released model",
        "label": registry.label(champion),
        "folder": str(champion),
        "served": served,
        "answer": answer,
    }
    write_whole(home() / "line" / "deployed.json", json.dumps(result, indent=1))
    return result


def _joined(digests: Any) -> str:
    import hashlib

    return hashlib.sha256("".join(digests).encode()).hexdigest()


def depends(stage: str, turn: Turn, given: Given) -> Result:
    """Everything that a stage's outcome follows from, but the code."""
    from trajectories.store import Store

    dial = asdict(turn.dial)

    def some(*names: str) -> Result:
        return {name: dial[name] for name in names}

    def labels(*stages: str) -> list[Any]:
        return [given[stage]["label"] for stage in stages]

    if stage == "ingest":
        return {"recorded": Store(home() / "episodes").digest()}
    if stage == "generate":
        made = {str(part): Store(part / "episodes").digest() for part in prepared()}
        return {"prepared": made} if made else some("demonstrations", "families")
    if stage == "pretrain":
        fresh = {} if turn.base else {"minutes": turn.minutes, "data": given["generate"]["digest"]}
        return {"base": turn.base, "size": turn.size, **some("batch"), **fresh}
    if stage == "sft":
        data = [given["generate"]["digest"], given["ingest"]["digest"]]
        return {"start": labels("pretrain"), "data": data, **some("sft_steps", "sft_rate", "batch")}
    if stage == "rft":
        sampled = some("families", "tasks", "samples", "rft_steps", "validate", "batch")
        return {"start": labels("sft"), "data": given["generate"]["digest"], "turn": turn.number, **sampled}
    if stage == "evaluate":
        return {
            "models": [*labels("rft"), turn.champion],
            "turn": turn.number,
            **some("families", "episodes"),
        }
    if stage == "promote":
        return {"evaluated": given["evaluate"]["reports"], "version": given["rft"]["version"]}
    return {
        "turn": turn.number,
        "promotion": given["promote"]["reason"],
        "version": given["promote"]["version"],
    }


DO: dict[str, Callable[[Turn, Given, Path], Result]] = {
    "ingest": ingest,
    "generate": generate,
    "pretrain": pretrain,
    "sft": sft,
    "rft": rft,
    "evaluate": evaluate,
    "promote": promote,
    "deploy": deploy,
}
