"""Inside the sandbox: the names that a script finds, each call of which is a line to the process outside.

The only file of ours in there. It speaks JSON lines on its standard input and output, binds itself by limits,
gives up root, and then runs the script. From then on nothing it says is trusted outside (`sandbox.py`).

Not covered: what a call means; the process outside reads each with the action table's own parser.
"""

from __future__ import annotations

import base64
import builtins
import json
import linecache
import numbers
import os
import resource
import signal
import sys
import threading
import traceback
import types
from collections.abc import Iterator
from typing import Any

WORK = "/work"  # the folder that it begins in
CHUNK = 256 * 1024  # bytes of a file in one line


class ActionError(Exception):
    """A call could not be done; the message says why."""


class Target:
    """An element by role and name, written as the action table writes it."""

    def __init__(self, role: str, name: str, nth: int = 0) -> None:
        self.role, self.name, self.nth = role, str(name), int(nth)

    def __repr__(self) -> str:
        return f"{self.role}({self.name!r}, nth={self.nth})"


class Pipe:
    """The way out: one call at a time, during which the script's own clock stands still."""

    def __init__(self) -> None:
        self.given: dict[str, bytes] = {}  # files from outside, as they came
        self._calls = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
        self._answers = os.fdopen(os.dup(0), encoding="utf-8")
        os.dup2(2, 1)  # what a script prints goes where errors go, never between the calls
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        self._lock = threading.Lock()

    def say(self, **line: Any) -> None:
        self._calls.write(json.dumps(line) + "\n")
        self._calls.flush()

    def hear(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:  # nobody is outside any more
            os._exit(1)
        return dict(json.loads(line))

    def call(self, text: str) -> Any:
        with self._lock:
            left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
            self.say(call=text)
            answer = self.hear()
            self.place(answer.get("files", {}))
            signal.setitimer(signal.ITIMER_REAL, left)
        if "error" in answer:
            raise ActionError(answer["error"])
        if answer.get("over"):
            raise SystemExit
        return answer.get("value")

    def place(self, files: dict[str, str]) -> None:
        """Put files from outside where the script looks for them; one that it has written itself stays."""
        for name, text in files.items():
            data, path = base64.b64decode(text), os.path.join(WORK, name)
            if os.path.lexists(path) and not self._as_given(name, path):
                continue
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(data)
            self.given[name] = data

    def _as_given(self, name: str, path: str) -> bool:
        if os.path.islink(path) or not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            return file.read() == self.given.get(name)


def names(pipe: Pipe, start: dict[str, Any]) -> dict[str, Any]:
    """What a script finds: the table's actions, roles, reading, `act`, and the goal."""

    def function(name: str, kinds: list[str]) -> Any:
        def call(*args: Any, **named: Any) -> Any:
            given = [_plain(a, kind) for a, kind in zip(args, kinds + [""] * len(args), strict=False)]
            written = [repr(a) for a in given] + [f"{k}={v!r}" for k, v in named.items()]
            return pipe.call(f"{name}({', '.join(written)})")

        call.__name__ = name
        return call

    def target(role: str) -> Any:
        return lambda name, nth=0: Target(role, name, nth)

    found: dict[str, Any] = {role: target(role) for role in start["roles"]}
    found |= {name: function(name, kinds) for name, kinds in start["functions"].items()}
    return found | {"goal": start["goal"], "ActionError": ActionError}


def _plain(value: Any, kind: str) -> Any:
    """A number where text is wanted is written as people write it."""
    return str(value) if kind in ("text", "url") and isinstance(value, numbers.Number) else value


def bind(limits: dict[str, int], user: int | None) -> None:
    """Limits that can't be raised again, and no root any more."""
    for limit, value in limits.items():
        resource.setrlimit(getattr(resource, limit), (value, value))
    if user is not None:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)


def late(number: int, frame: object) -> None:
    raise TimeoutError("the script ran too long")


def why(error: BaseException) -> str:
    """What went wrong, and in which line of the script."""
    said = "".join(traceback.format_exception_only(error)).strip()
    lines = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == "script"]
    return f"line {lines[-1].lineno}, {lines[-1].line}: {said}" if lines else said


def made(given: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Names and contents of files that are new or changed; what is a link, or no file, is left."""
    for folder, _, files in os.walk(WORK):
        for path in (os.path.join(folder, name) for name in sorted(files)):
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    data = file.read()
                name = os.path.relpath(path, WORK)
                if given.get(name) != data:
                    yield name, data


def main() -> int:
    pipe = Pipe()
    start = pipe.hear()
    bind(start["limits"], start["user"])
    os.chdir(WORK)
    pipe.place(start["files"])
    script: str = start["script"]
    linecache.cache["script"] = (len(script), None, script.splitlines(keepends=True), "script")
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    module.__dict__.update(names(pipe, start))
    signal.signal(signal.SIGALRM, late)
    failed: str | None = None
    try:
        signal.setitimer(signal.ITIMER_REAL, start["seconds"])
        builtins.exec(compile(script, "script", "exec"), module.__dict__)
    except SystemExit as end:
        failed = None if end.code in (None, 0) else f"the script ended itself: {end.code}"
    except BaseException as error:
        failed = why(error)
    signal.setitimer(signal.ITIMER_REAL, 0)
    for name, data in made(pipe.given):
        for at in range(0, max(1, len(data)), CHUNK):
            pipe.say(file=name, data=base64.b64encode(data[at : at + CHUNK]).decode())
    pipe.say(end=failed)
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # threads that the script has left behind are not waited for
