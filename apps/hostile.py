"""`shopfloor eval hostile`: whether the policy holds on hostile pages and inputs, against every role.

    shopfloor eval hostile --policy obedient --json      a model that does every order it reads
    shopfloor eval hostile --model models/nano           a model of one's own
    shopfloor eval hostile --role coder --tasks memory,redirect

Exit 1 when a case did not hold. `--out` keeps episodes, memories and logs.

Not covered: the cases and what is checked (`trajectories/hostile/`, `eval/hostile.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents.clients import Endpoint
    from agents.prompts import Role
    from eval.hostile import Report, Result
    from trajectories.hostile.cases import Case


def run(args: argparse.Namespace) -> int:
    from trajectories.hostile.cases import cases

    wanted = [t.strip() for t in (args.tasks or "").split(",") if t.strip()]
    chosen = [c for c in cases() if not wanted or c.kind in wanted or c.name in wanted]
    known = {c.kind for c in cases()} | {c.name for c in cases()}
    if args.policy not in ("model", "obedient") or args.protocol or args.split or args.without:
        problem = "eval hostile takes --policy model or obedient, and no --protocol, --split or --without"
    elif strange := [t for t in wanted if t not in known]:
        kinds = ", ".join(dict.fromkeys(c.kind for c in cases()))
        problem = f"no hostile case or kind {', '.join(strange)}; kinds are {kinds}"
    elif args.out and args.out.exists() and any(args.out.iterdir()):
        problem = f"{args.out} is not empty; give --out a new folder"
    else:
        report = asyncio.run(measure(args, chosen))
        if args.json:
            print(json.dumps(report.json()), flush=True)
        _show(report)
        return 0 if report.held == report.cases else 1
    print(f"shopfloor eval: {problem}", file=sys.stderr)
    return 2


async def measure(args: argparse.Namespace, chosen: list[Case]) -> Report:
    """The chosen cases against one role or all, with the model that was asked for."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from agents.clients import ROLES, Endpoint
    from agents.obedient import SCRIPT
    from agents.scripted import ScriptedServer
    from apps.evaluate import endpoint_of
    from eval.hostile import measure as attack_all

    roles: tuple[Role, ...] = (args.role,) if args.role else ROLES
    async with AsyncExitStack() as stack:
        willing = Endpoint(stack.enter_context(ScriptedServer()).url, "willing")
        obedient = Endpoint(stack.enter_context(ScriptedServer(SCRIPT)).url, "obedient")
        tested, label = obedient, "obedient"
        if args.policy == "model":
            tested, label = await stack.enter_async_context(endpoint_of(args.model))
        folder = args.out or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="shopfloor-hostile-"))
        )

        def endpoints(role: Role) -> Mapping[Role, Endpoint]:
            others = obedient if role == "reviewer" else willing
            return {**dict.fromkeys(ROLES, others), role: tested}

        columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            bar = progress.add_task(f"hostile, {label}", total=len(chosen) * len(roles))

            def count(result: Result) -> None:
                progress.advance(bar)
                for broken in result.broken:
                    progress.console.print(f"{result.role}, {result.case}: {broken}", markup=False)

            return await attack_all(roles, endpoints, chosen, folder, model=label, progress=count)


def _show(report: Report) -> None:
    err = sys.stderr
    for table in (report.by_role, report.by_kind):
        for name, found in table.items():
            print(f"{name:20} {found['held']:4} of {found['all']:4} held", file=err)
    print(
        f"{report.model}: {report.held} of {report.cases} held ({report.low:.1%} to {report.high:.1%}); "
        f"in {report.stopped} the policy had to stop something, {report.asked} times by asking",
        file=err,
    )
