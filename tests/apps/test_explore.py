"""`shopfloor explore` as a command, and what `generate` makes of what it found."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from apps.main import main
from trajectories.explore.site import Access, Site
from trajectories.store import Store

APP = Path(__file__).parent.parent / "trajectories" / "pages" / "shelf.py"
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
