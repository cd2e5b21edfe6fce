"""`shopfloor doctor` on this machine's real parts, and on broken ones."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from apps import doctor
from apps.main import main
from tools.x11 import own
from trajectories.desktop import suite


def checks(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, str]]]:
    code = main(["doctor", "--json", *arguments])
    shown = json.loads(capsys.readouterr().out)
    assert shown["ok"] == (code == 0)
    return code, shown["checks"]


@pytest.mark.parametrize("part", ["python", "settings", "packages", "disk", "ports", "browser", "memory"])
def test_needed_parts_are_well_here(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What every task needs works on a machine that `make test` set up; the browser really draws."""
    code, (check,) = checks(capsys, "--only", part)
    assert (code, check["part"], check["status"], check["mend"]) == (0, part, "ok", "")


@pytest.mark.parametrize("part", ["sandbox", "desktop", "display", "ram"])
def test_other_parts_only_warn(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What only some uses need never fails, and a warning has its mend."""
    code, (check,) = checks(capsys, "--only", part)
    assert code == 0
    assert (check["status"], bool(check["mend"])) in {("ok", False), ("warn", True)}


def test_missing_browser_fails_with_its_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A browser that is set but not there, and one that does not start."""
    monkeypatch.setenv("SHOPFLOOR_CHROMIUM", str(tmp_path / "none"))
    code, (check,) = checks(capsys, "--only", "browser")
    assert (code, check["status"]) == (1, "fail")
    assert check["mend"]
    broken = Path(shutil.copy("/bin/false", tmp_path / "chromium"))
    monkeypatch.setenv("SHOPFLOOR_CHROMIUM", str(broken))
    code, (check,) = checks(capsys, "--only", "browser")
    assert (code, check["status"]) == (1, "fail")
    assert "does not start" in check["found"]


def test_unreadable_model_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that lacks a file, and one whose weights are no weights."""
    monkeypatch.setenv("SHOPFLOOR_MODEL", str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "idefics3"}')
    code, (check,) = checks(capsys, "--only", "model")
    assert (code, "tokenizer.json is missing" in check["found"]) == (1, True)
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    code, (check,) = checks(capsys, "--only", "model")
    assert (code, "can't be read" in check["found"]) == (1, True)


def test_readable_model_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real safetensors file is opened and its parameters counted."""
    import numpy as np
    from safetensors.numpy import save_file

    (tmp_path / "config.json").write_text('{"model_type": "idefics3"}')
    (tmp_path / "tokenizer.json").write_text("{}")
    save_file({"a": np.zeros((1000, 1500), np.float32)}, tmp_path / "model.safetensors")
    monkeypatch.setenv("SHOPFLOOR_MODEL", str(tmp_path))
    code, (check,) = checks(capsys, "--only", "model")
    assert (code, "idefics3, 1.5M parameters" in check["found"]) == (0, True)


class Models(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/v1/models" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


def test_endpoint_is_asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A model endpoint that answers, one at the wrong path, and one that is not there; each role's own, where
    it has one, and nothing that no role uses."""
    server = HTTPServer(("127.0.0.1", 0), Models)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    try:
        monkeypatch.setenv("SHOPFLOOR_MODEL_URL", f"{base}/v1")
        code, (check,) = checks(capsys, "--only", "model")
        assert (code, "SHOPFLOOR_MODEL_NAME is not" in check["found"]) == (1, True)
        monkeypatch.setenv("SHOPFLOOR_MODEL_NAME", "m")
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # which the chat passes by, too
        assert checks(capsys, "--only", "model")[0] == 0
        monkeypatch.setenv("SHOPFLOOR_CODER_MODEL", "m")
        for url, says in ((base, "answered 404"), ("http://127.0.0.1:99999999/v1", "99999999")):
            monkeypatch.setenv("SHOPFLOOR_CODER_URL", url)
            code, (check,) = checks(capsys, "--only", "model")
            assert (code, says in check["found"]) == (1, True), check
        for role in ("ACTOR", "CODER", "REVIEWER"):  # then no other model is used
            monkeypatch.setenv(f"SHOPFLOOR_{role}_URL", f"{base}/v1")
            monkeypatch.setenv(f"SHOPFLOOR_{role}_MODEL", "m")
        monkeypatch.delenv("SHOPFLOOR_MODEL_URL")
        monkeypatch.setenv("SHOPFLOOR_MODEL", "/gone")
        assert checks(capsys, "--only", "model")[0] == 0
        for role in ("ACTOR", "CODER", "REVIEWER"):
            monkeypatch.delenv(f"SHOPFLOOR_{role}_URL")
        monkeypatch.setenv("SHOPFLOOR_MODEL_URL", base)
        code, (check,) = checks(capsys, "--only", "model")
        assert (code, "answered 404" in check["found"]) == (1, True)
    finally:
        server.shutdown()
        server.server_close()
    code, (check,) = checks(capsys, "--only", "model")
    assert (code, check["mend"]) == (1, "start it, or mend SHOPFLOOR_MODEL_URL or the role's own _URL")


def test_dead_display_warns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A DISPLAY that nobody serves is a warning; so is one that takes the call and says nothing."""
    monkeypatch.setattr(own, "ANSWER_SECONDS", 0.5)
    monkeypatch.setenv("DISPLAY", ":7531")
    assert checks(capsys, "--only", "display")[1][0]["status"] == "warn"
    address = Path("/tmp/.X11-unix/X7532")
    address.parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as x:
        x.bind(str(address))
        try:
            x.listen()
            monkeypatch.setenv("DISPLAY", ":7532.0")
            (check,) = checks(capsys, "--only", "display")[1]
            assert check["status"] == "warn" and "does not answer" in check["mend"]
        finally:
            address.unlink()


def test_bad_settings_are_one_check_among_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that can't be used fails its own check instead of ending the command."""
    monkeypatch.chdir(tmp_path)
    Path("shopfloor.toml").write_text("workers = 'many'")
    code, (check,) = checks(capsys, "--only", "settings")
    assert (code, "whole number" in check["found"]) == (1, True)


def test_people_see_status_and_mend(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each part, its mend below."""
    monkeypatch.delenv("DISPLAY", raising=False)
    assert main(["doctor", "--only", "display"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.split()[:2] == ["warn", "display"]
    assert second.strip().startswith("mend: ")


def test_missing_desktop_packages_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that is missing, as one command to type, each by its Debian package."""
    monkeypatch.setattr(suite, "PROGRAMS", {"no-such-program": "some-package", "nor-this": "other-package"})
    code, (check,) = checks(capsys, "--only", "desktop")
    assert (code, check["status"]) == (0, "warn") and "Debian packages are missing" in check["found"]
    command = check["mend"].partition("as root: apt-get install ")[2]
    assert {"some-package", "other-package"} <= {*command.split()} and "\n" not in check["mend"]


def test_another_system_is_not_told_of_debian_packages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There no package helps: the line says what is missing and where it would go."""
    monkeypatch.setattr(suite, "PROGRAMS", {"no-such-program": "some-package"})
    monkeypatch.setattr(sys, "platform", "darwin")
    code, (check,) = checks(capsys, "--only", "desktop")
    assert (code, check["status"]) == (0, "warn") and "on macOS" in check["found"]
    assert "apt-get" not in check["mend"] and "Linux" in check["mend"]


def test_every_check_says_its_own_name() -> None:
    """The table's names are those the checks report (the quick ones are run)."""
    for name in ("python", "settings", "packages", "disk", "ram", "ports", "display"):
        assert doctor.CHECKS[name]().part == name
