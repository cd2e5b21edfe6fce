"""The command itself: fast help, exit codes, one line for what a person can mend."""

from __future__ import annotations

import argparse
import asyncio
import errno
import importlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from agents.clients import EndpointUnset, ModelDown
from apps import main as command
from tools.environment import EnvironmentDown
from tools.settings import SettingsError
from training.registry import NoModel

SHOPFLOOR = [sys.executable, "-m", "apps.main"]


def shopfloor(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SHOPFLOOR, *arguments], capture_output=True, text=True, timeout=60)


def test_help_is_fast_and_lists_every_command() -> None:
    """`shopfloor --help` takes under half a second of work (its own time, for the machine may be busy)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    shown = shopfloor("--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert shown.returncode == 0
    assert all(f"  {name} " in shown.stdout for name in command.COMMANDS)
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) < 0.5


@pytest.mark.parametrize("name", command.COMMANDS)
def test_each_command_has_help_without_heavy_imports(name: str) -> None:
    """Every command of the table explains itself, and imports its heavy libraries only when it runs."""
    script = (
        "import sys; from apps.main import main; code = main([sys.argv[1], '--help']); "
        "heavy = {'torch', 'transformers', 'mlflow', 'chromadb', 'distilabel', 'autogen_core', 'playwright', "
        "'openai', 'fastapi', 'datasets'} & set(sys.modules); print(heavy or '', file=sys.stderr); "
        "sys.exit(code)"
    )
    shown = subprocess.run([sys.executable, "-c", script, name], capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0, shown.stderr
    assert shown.stderr.strip() == ""
    assert f"usage: shopfloor {name}" in shown.stdout


@pytest.mark.parametrize("arguments", [[], ["bogus"], ["config", "--bogus"]])
def test_wrong_use_exits_2(arguments: list[str]) -> None:
    """Wrong use says what there is, on stderr, with exit code 2."""
    shown = shopfloor(*arguments)
    assert shown.returncode == 2
    assert "usage: shopfloor" in shown.stderr
    assert shown.stdout == ""


def test_version() -> None:
    """`--version` says which."""
    assert shopfloor("--version").stdout.startswith("shopfloor 0.")


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], int]], int]:
    """Runs `main` with a command of one's own, in place of a module of `apps`."""

    def run(body: Callable[[], int]) -> int:
        module = ModuleType("probe")
        vars(module).update(add_arguments=lambda parser: None, run=lambda args: body())
        monkeypatch.setitem(sys.modules, "probe", module)
        monkeypatch.setitem(command.COMMANDS, "probe", ("probe", "a test's own"))
        return command.main(["probe"])

    return run


def fail(error: BaseException) -> Callable[[], int]:
    def body() -> int:
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (EnvironmentDown("no browser; get one"), 1, "no browser; get one"),
        (ModelDown("it sleeps; wake it"), 1, "it sleeps; wake it"),
        (EndpointUnset("no model; set one"), 2, "no model; set one"),
        (NoModel("no such model"), 2, "no such model"),
        (SettingsError("bad setting"), 2, "bad setting"),
        (OSError(errno.ENOSPC, "No space left", "/full"), 1, "no space left at /full; free some"),
        (Exception("I/O error: No space left on device (os error 28)"), 1, "no space left at"),
        (RuntimeError("[enforce fail] . unexpected pos 576 vs 534"), 1, "no space left at"),
        (PermissionError(errno.EACCES, "denied", "/closed"), 2, "not allowed to write or read /closed"),
        (ExceptionGroup("tasks", [EnvironmentDown("in a group")]), 1, "in a group"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_known_errors_are_one_line(
    probe: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    line: str,
) -> None:
    """What a person can mend is one line on stderr and the right exit code."""
    assert probe(fail(error)) == code
    told = capsys.readouterr()
    assert told.err.startswith("shopfloor: ")
    assert line in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""


def test_debug_and_bugs_show_tracebacks(probe: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    """An error nobody foresaw is never hidden, nor a known one under SHOPFLOOR_DEBUG."""
    with pytest.raises(ZeroDivisionError):
        probe(lambda: 1 // 0)
    monkeypatch.setenv("SHOPFLOOR_DEBUG", "1")
    with pytest.raises(EnvironmentDown):
        probe(fail(EnvironmentDown("no browser")))


def test_exit_code_is_the_commands(probe: Callable[..., int]) -> None:
    """Nought or one, as the command says."""
    assert probe(lambda: 0) == 0
    assert probe(lambda: 1) == 1


def test_telemetry_is_off_unless_set(probe: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is set before a command's libraries are imported; the user's own values stay."""
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    seen = {}
    assert probe(lambda: seen.update(os.environ) or 0) == 0  # type: ignore[func-returns-value]
    assert seen["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert seen["HF_HUB_OFFLINE"] == "0"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_with_130_and_run_the_clean_up(number: signal.Signals) -> None:
    """Ctrl-C and a polite kill both unwind an asynchronous command, whose clean-up runs, and exit 130."""
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "cleaned up\n")
    assert err == "shopfloor: interrupted; all finished work is kept\n"


WAITING = """
import asyncio, signal, sys, types
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background begins with it ignored
from apps import main as command

async def wait():
    try:
        print("waiting", flush=True)
        await asyncio.Event().wait()
    finally:
        print("cleaned up", flush=True)

module = types.ModuleType("probe")
module.add_arguments = lambda parser: None
module.run = lambda args: asyncio.run(wait())
sys.modules["probe"] = module
command.COMMANDS["probe"] = ("probe", "a test's own")
sys.exit(command.main(["probe"]))
"""


def test_closed_pipe_is_no_error() -> None:
    """`shopfloor config | head -0` ends quietly."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ran = subprocess.run(
            [*SHOPFLOOR, "config"], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60
        )
    finally:
        os.close(writer)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_every_command_keeps_the_contract() -> None:
    """Each module of the table has `add_arguments(parser)` and `run(args)`."""
    for module, line in command.COMMANDS.values():
        loaded = importlib.import_module(module)
        loaded.add_arguments(argparse.ArgumentParser())
        assert callable(loaded.run) and not asyncio.iscoroutinefunction(loaded.run)
        assert line[0].islower() and not line.endswith(".")
