"""The released model: the README's tasks on the real server, browser, app and database; and its eyes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import pytest

from trajectories.helpdesk.database import Change, changes, same
from trajectories.helpdesk.server import HelpDeskServer

ROOT = Path(__file__).parent.parent
TASKS = re.findall(r"^ +make run TASK='(.*?)'", (ROOT / "README.md").read_text(), re.MULTILINE)

pytestmark = pytest.mark.timeout(300)

# What must have changed in the database, and nothing else; for what changes nothing, the page seen last.
WANTED: dict[str, Change | str] = {
    'Comment "I will call back." on the ticket "Scanner needs an update".': Change.of(
        "comments", None, ticket=3, author=1, text="I will call back."
    ),
    'Open the customer "Tina Torres".': "/customers/5",
    'Show only the tickets with severity "urgent".': "/tickets?state=&priority=urgent",
    'Set the priority of the ticket "Scanner needs an update" to "urgent".': Change.of(
        "tickets", 3, priority="urgent"
    ),
    'Give the ticket "Scanner needs an update" to "Rosa Pohl".': Change.of("tickets", 3, assignee=1),
}


async def shopfloor(*args: str) -> tuple[int, dict[str, object]]:
    environment = {**os.environ, "SHOPFLOOR_MODEL": str(ROOT / "models" / "nano")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "apps.main", *args, "--json",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, cwd=ROOT, env=environment,
    )  # fmt: skip
    out, _ = await process.communicate()
    return process.returncode or 0, json.loads(out)


@pytest.mark.parametrize("task", TASKS)
async def test_readme_task_is_done_in_the_database(task: str) -> None:
    """The released model does it: exit 0, and exactly what was asked has changed, or been shown last."""
    wanted = WANTED[task]
    async with HelpDeskServer(seed=0) as desk:
        before = desk.database.snapshot()
        code, said = await shopfloor("chat", "--yes", "--no-memory", task, "--url", desk.home_url)
        found = changes(before, desk.database.snapshot())
        if isinstance(wanted, Change):
            assert same(found, [wanted]), said
        else:
            assert not found and desk.seen() == [wanted], said
        assert code == 0, said


def test_readme_lists_five_tasks() -> None:
    """So that the test above has something to prove."""
    assert len(TASKS) == 5


async def test_a_blank_screenshot_blinds_it() -> None:
    """The lamp's colour stands nowhere but in the picture: seen it is mostly told, blank it is guessed."""
    asked = ("eval", "helpdesk", "--model", "models/nano", "--tasks", "service-lamp", "--episodes", "12")
    _, seen = await shopfloor(*asked)
    _, blank = await shopfloor(*asked, "--without", "image")
    assert seen["success"] > blank["success"] + 0.25, (seen["success"], blank["success"])  # type: ignore[operator]
