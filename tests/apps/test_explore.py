"""`shopfloor explore` as a command, and what `generate` makes of what it found."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from apps.main import main
from tools.desktop import Desktops
from tools.x11.applications import APPLICATIONS
from tools.x11.session import missing
from trajectories.applications.suite import ApplicationSuite
from trajectories.applications.walk import Walk
from trajectories.explore.demonstration import Slot
from trajectories.explore.site import Access, Site
from trajectories.store import Store

APP = Path(__file__).parent.parent / "trajectories" / "pages" / "shelf.py"
NEEDED = [*missing(), *([] if APPLICATIONS["mousepad"].there else ["mousepad"])]
BOOK = {"title": "The Quiet Harbour", "year": "1961", "kind": "Novel", "read": False}


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The small app of the other tests, with two books."""
    books = tmp_path / "books.json"
    books.write_text(json.dumps({"1": BOOK, "2": BOOK | {"title": "Winter Letters", "year": "1984"}}))
    command = [sys.executable, str(APP), str(books), str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


def test_explore_then_eval_and_generate(
    chromium_path: str, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One JSON object; a second run finds all done; `eval` and `generate` use what was found."""
    assert main(["explore", url, "--pages", "1", "--json"]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told["pages"] == 1
    assert told["kept"] == sum(kind.get("kept", 0) for kind in told["kinds"].values())
    assert 0 < told["survived"] < 1  # one of its links never leads to the same place
    assert "search:" in err
    assert main(["explore", url, "--pages", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) | {"seconds": 0} == told | {"seconds": 0}

    assert main(["eval", url, "--policy", "oracle", "--episodes", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["success"] == 1.0

    out_folder = str(tmp_path / "made")
    command = [sys.executable, "-m", "apps.main", "generate", url, "--episodes", "6", "--out", out_folder]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["episodes"] == 6 and made["success"] == 1.0 and made["examples"] > 12
    assert {e.suite for e in Store(tmp_path / "made" / "episodes")} == {
        urlsplit(url).netloc.replace(":", "-")
    }


@pytest.mark.skipif(bool(NEEDED), reason=f"as root: apt-get install {' '.join(NEEDED)}")
@pytest.mark.timeout(300)
def test_an_application_from_its_map(capsys: pytest.CaptureFixture[str]) -> None:
    """A walk of an editor that ended midway is gone on with from the map on disk, and nothing kept is tried
    again; its text takes another text in each episode, and `eval` does that on a fresh desktop."""
    url = "app:mousepad"

    async def begin() -> None:
        site = Site(Access(url))
        async with Desktops() as desktops:
            walk = Walk(site, desktops.environment(), desktops.environment())
            await walk.go(1, lambda: len(site.demonstrations) > 1)

    asyncio.run(begin())
    begun = Site.load(url)
    assert len(begun.demonstrations) == 2 and not begun.walked and begun.queue
    assert main(["explore", url, "--pages", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    found = Site.load(url).demonstrations
    assert told["pages"] == 1 and told["kept"] == len(found) == len({d.steps for d in found})
    assert told["tried"] < told["kept"] + 2  # those of the first walk were not replayed again
    edit = next(d for d in found if d.kind == "edit")
    assert edit.steps == ('fill(textbox(""), "{{text}}")',) and edit.slots["text"] == Slot("text")
    suite = ApplicationSuite(url)
    assert len({suite.task("edit", seed).goal for seed in range(4)}) == 4
    command = ["eval", url, "--policy", "oracle", "--tasks", "edit", "--episodes", "1", "--json"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["success"] == 1.0


def test_interrupted_it_keeps_the_map(chromium_path: str, url: str) -> None:
    """Ctrl-C ends it after what is being tried, with exit code 130; what was found is there to go on with."""
    command = [sys.executable, "-m", "apps.main", "explore", url, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as walk:
        assert walk.stdout is not None and walk.stderr is not None
        assert any("open:" in line for line in iter(walk.stderr.readline, "")), "it never began"
        walk.send_signal(signal.SIGINT)
        out, err = walk.communicate(timeout=60)
    assert walk.returncode == 130
    assert json.loads(out)["error"].startswith("interrupted") and "Traceback" not in err
    found = Site.load(url)
    assert found.demonstrations and found.queue and not found.walked


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["shelf.example"], "write it as http"),
        (["http://127.0.0.1:9/", "--reset", "true"], "give both"),
        (["http://127.0.0.1:9/", "--sign-in", "nowhere.txt"], "nowhere.txt"),
        (["http://127.0.0.1:9/", "--sign-in", "{program}"], "SHOPFLOOR_SECRET_PIN"),
        (["http://127.0.0.1:9/", "--pages", "0"], "more than 0"),
        (["app:nowhere"], "app:galculator"),
        (["app:xterm"], "runs commands"),
        (["app:mousepad", "--allow-writes", "--reset", "true"], "each desktop is a new one"),
    ],
)
def test_wrong_use(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, one line on stderr with the mend, nothing on stdout."""
    program = tmp_path / "program"
    program.write_text('fill(textbox("PIN"), "{{PIN}}")')
    assert main(["explore", *(a.replace("{program}", str(program)) for a in arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and said in err


def test_an_app_that_is_down(chromium_path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1, and the question whether it runs."""
    assert main(["explore", "http://127.0.0.1:9/"]) == 1
    assert "is it running?" in capsys.readouterr().err


def test_another_access_is_another_map(capsys: pytest.CaptureFixture[str]) -> None:
    """What was found reading is not quietly gone on with writing."""
    url = "http://127.0.0.1:9/"
    Site(Access(url)).save()
    assert main(["explore", url, "--allow-writes"]) == 2
    assert "add --again" in capsys.readouterr().err
