"""The `shopfloor` command: picks a subcommand, and turns what goes wrong into one line and an exit code.

    shopfloor --help
    shopfloor chat "Close the ticket about the broken printer"

Exit codes: 0 done; 1 the work failed and says why; 2 wrong use or configuration, with the mend;
3 `drift` found some; 130 interrupted. A command's module is imported only when that command is chosen, and
imports its heavy libraries only in `run`, so that help answers at once. `SHOPFLOOR_DEBUG=1` shows tracebacks.

Not covered: what the commands do; each is the module named in `COMMANDS`, with `add_arguments` and `run`.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import signal
import sys
import threading
from collections.abc import Sequence

from tools import settings

COMMANDS: dict[str, tuple[str, str]] = {
    "chat": ("apps.chat", "give the team a task, or talk to it"),
    "desktop": ("apps.desktop", "give the team a task on a Linux desktop of its own, or yours"),
    "replay": ("apps.replay", "run what worked before again, with other values and no model"),
    "feedback": ("apps.feedback", "say whether what was done was right; training learns from it"),
    "explore": ("apps.explore", "find out what can be done in an app, by trying"),
    "generate": ("apps.generate", "make verified demonstrations on a suite or a site"),
    "card": ("apps.card", "describe what was made, as a dataset's card"),
    "train": ("apps.train", "train the model on them, and promote it when it is better"),
    "eval": ("apps.evaluate", "measure a policy on held-out tasks"),
    "ab": ("apps.ab", "two models side by side on real tasks, until it is sure which is better"),
    "drift": ("apps.drift", "whether what is seen and done now is still what was trained on"),
    "report": ("apps.report", "one page on the model in use: strengths, failures, costs"),
    "line": ("apps.line.command", "let it all run by itself: record to model in use, turn after turn"),
    "serve": ("apps.serve", "serve the model to any OpenAI client"),
    "view": ("apps.view", "look through episodes in a browser, or two side by side"),
    "helpdesk": ("apps.helpdesk", "run the demo web application by itself"),
    "memory": ("apps.memory", "give the team notes and documents, and search them"),
    "doctor": ("apps.doctor", "check every part and say how to mend it"),
    "config": ("apps.config", "show each setting and where it came from"),
}

# Nothing leaves the machine unasked. What the user has set stays as it is.
OFFLINE = {
    "ANONYMIZED_TELEMETRY": "False",
    "DO_NOT_TRACK": "1",
    "GIT_PYTHON_REFRESH": "quiet",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "LANGSMITH_TRACING": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "NEMO_GUARDRAILS_NO_USAGE_STATS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TOKENIZERS_PARALLELISM": "false",
}

# A full disk in the words of safetensors, SQLite and torch, whose errors are no OSError.
FULL = (f"os error {errno.ENOSPC})", "database or disk is full", "unexpected pos ")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the process's exit code."""
    for name, value in OFFLINE.items():
        os.environ.setdefault(name, value)
    if os.environ["HF_HUB_OFFLINE"] == "1":  # there is no download whose progress could be shown
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does, children included
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        args = _parser(argv).parse_args(argv)
        if args.command not in ("config", "doctor"):  # these two show what is wrong with the settings
            settings.export()
        code: int = importlib.import_module(COMMANDS[args.command][0]).run(args)
        sys.stdout.flush()  # here, where a reader that has gone is understood; at exit it is an error
        return code
    except SystemExit as stop:  # argparse: 0 after help, 2 after wrong use
        return stop.code if isinstance(stop.code, int) else 2
    except KeyboardInterrupt:
        print("shopfloor: interrupted; all finished work is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader (`| head`) has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        known = explain(error)
        if known is None or os.environ.get("SHOPFLOOR_DEBUG"):
            raise
        print(f"shopfloor: {known[1]}", file=sys.stderr)
        return known[0]


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="shopfloor",
        description="An assembly line for action models: demonstrate, train, prove, serve, operate.",
    )
    parser.add_argument("--version", action="version", version=_version(argv))
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((word for word in argv if not word.startswith("-")), None)
    for name, (module, line) in COMMANDS.items():
        command = commands.add_parser(name, help=line, description=f"{line[0].upper()}{line[1:]}.")
        if name == chosen:
            importlib.import_module(module).add_arguments(command)
    return parser


def _version(argv: Sequence[str]) -> str:
    if "--version" not in argv:
        return ""
    from importlib.metadata import version

    return f"shopfloor {version('shopfloor')}"


def explain(error: BaseException) -> tuple[int, str] | None:
    """Exit code and line for an error that a person can mend; None for any other, which is a bug of ours."""
    while isinstance(error, BaseExceptionGroup) and len({str(e) for e in error.exceptions}) == 1:
        error = error.exceptions[0]  # a task group wraps what happened in it, to all of its workers alike
    from agents.clients import EndpointUnset, ModelDown
    from tools.environment import EnvironmentDown
    from tools.memory import MemoryDown
    from training.experiment import TrialError
    from training.registry import NoModel
    from trajectories.store import StoreError

    if isinstance(error, settings.SettingsError | EndpointUnset | NoModel):
        return 2, str(error)
    if isinstance(error, EnvironmentDown | ModelDown | MemoryDown | StoreError | TrialError):
        return 1, str(error)
    if getattr(error, "errno", None) == errno.ENOSPC or any(said in str(error) for said in FULL):
        place = getattr(error, "filename", None) or settings.home_path()
        return 1, f"no space left at {place}; free some, or set SHOPFLOOR_HOME to another disk"
    if isinstance(error, PermissionError):
        return 2, f"not allowed to write or read {error.filename}; set SHOPFLOOR_HOME to a folder of yours"
    return None


if __name__ == "__main__":
    sys.exit(main())
