"""Where state lives and what the user has set: `SHOPFLOOR_HOME`, `shopfloor.toml`, `SHOPFLOOR_*`.

One rule joins the two: the setting `coder_url` is `coder_url = "…"` in shopfloor.toml and SHOPFLOOR_CODER_URL
in the environment, which wins. `export` puts the file's settings into the environment, so that code which
reads SHOPFLOOR_* sees both. The file is the one in the working directory, else the one in the state folder.

Not covered: secrets (SHOPFLOOR_MODEL_KEY and the roles' keys), which come from the environment only, at the
place that uses them.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SITE_SECRET = "SHOPFLOOR_SECRET_"  # and a name: what goals and sign-ins name as {{name}} (`secrets.py`)
SECRETS = ("model_key", "coder_key", "reviewer_key", "actor_key", "teacher_key", "serve_keys", "upstream_key")
EFFORTS = ("low", "medium", "high")
SWITCHES = ("home", "debug")  # read from the environment alone, before any file


class SettingsError(ValueError):
    """A setting that can't be used; the message says which, where it was set, and what would do."""


def _flag(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError("write true or false")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("write a whole number from 1")
    return int(text)


def _effort(text: str) -> str:
    if text not in EFFORTS:
        raise ValueError(f"write {', '.join(EFFORTS[:-1])} or {EFFORTS[-1]}")
    return text


def endpoint(text: str) -> str:
    """The text, if it is an address of an endpoint. Raises ValueError."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # brackets or a port that can't be
        good = False
    if not good:
        raise ValueError("write an address such as http://127.0.0.1:8000/v1")
    return text


def _trace(text: str) -> str | None:
    if text.startswith(("http://", "https://")):
        return text
    try:
        return "on" if _flag(text) else None
    except ValueError as error:
        raise ValueError("write true, false, or the address of an MLflow server") from error


def _setting(doc: str, read: Callable[[str], Any] = str, default: Any = None) -> Any:
    return field(default=default, metadata={"doc": doc, "read": read})


@dataclass(frozen=True)
class Settings:
    """Everything that can be set, with its default. None means: Shopfloor's own choice."""

    chromium: str | None = _setting("path of the browser")
    headless: bool = _setting("run the browser without a window", _flag, True)
    workers: int = _setting("roll-outs at once", _count, 2)
    effort: str = _setting("what a decision may cost: low, medium or high", _effort, "medium")
    model: str | None = _setting("a folder, champion, challenger, or a version's number")
    model_url: str | None = _setting("an OpenAI-compatible endpoint for all roles", endpoint)
    model_name: str | None = _setting("the model to ask for there")
    model_brief: bool = _setting("it was trained here and needs no instructions", _flag, False)
    model_grammar: bool = _setting("its server takes structured_outputs", _flag, False)
    coder_url: str | None = _setting("the coder's own endpoint", endpoint)
    coder_model: str | None = _setting("the coder's own model")
    coder_brief: bool = _setting("as model_brief", _flag, False)
    coder_grammar: bool = _setting("as model_grammar", _flag, False)
    reviewer_url: str | None = _setting("the reviewer's own endpoint", endpoint)
    reviewer_model: str | None = _setting("the reviewer's own model")
    reviewer_brief: bool = _setting("as model_brief", _flag, False)
    reviewer_grammar: bool = _setting("as model_grammar", _flag, False)
    actor_url: str | None = _setting("the actor's own endpoint", endpoint)
    actor_model: str | None = _setting("the actor's own model")
    actor_brief: bool = _setting("as model_brief", _flag, False)
    actor_grammar: bool = _setting("as model_grammar", _flag, False)
    teacher_url: str | None = _setting("the endpoint that makes training data", endpoint)
    teacher_model: str | None = _setting("the model to ask for there")
    upstream_url: str | None = _setting(
        "the endpoint that `serve` answers by, instead of a model of ours", endpoint
    )
    upstream_model: str | None = _setting("the model to ask for there")
    trace: str | None = _setting("keep each task's trace in MLflow: true, or a server's address", _trace)


@dataclass(frozen=True)
class Found:
    """One setting as it was found: its value and where it came from (`default`, a file, or a variable)."""

    name: str
    value: Any
    source: str
    doc: str


def home_path() -> Path:
    """Where the state folder is or would be: `SHOPFLOOR_HOME`, else `.shopfloor/` where we stand."""
    return Path(os.environ.get("SHOPFLOOR_HOME") or ".shopfloor").absolute()


def home() -> Path:
    """The state folder, made if missing."""
    path = home_path()
    path.mkdir(parents=True, exist_ok=True)
    return path


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"SHOPFLOOR_{name.upper()}"


def find() -> list[Found]:
    """Every setting with its value and source. Raises SettingsError."""
    path, written = _read_file()
    found = []
    for setting in fields(Settings):
        name, doc = setting.name, setting.metadata["doc"]
        if os.environ.get(variable(name)):
            text, source = os.environ[variable(name)], variable(name)
        elif name in written:
            text, source = _text(written[name]), str(path)
        else:
            found.append(Found(name, setting.default, "default", doc))
            continue
        try:
            found.append(Found(name, setting.metadata["read"](text), source, doc))
        except ValueError as error:
            raise SettingsError(f"{name} = {text!r} in {source} can't be used; {error}") from error
    return found


def load() -> Settings:
    """The settings in force. Raises SettingsError."""
    return Settings(**{f.name: f.value for f in find()})


def export() -> None:
    """Put the file's settings into the environment, where it has none of its own. Raises SettingsError."""
    _, written = _read_file()
    find()  # a setting that can't be used is an error here, before anything starts
    for name, value in written.items():
        if not os.environ.get(variable(name)):
            os.environ[variable(name)] = _text(value)


def strangers() -> list[str]:
    """SHOPFLOOR_* variables that are no setting: most likely misspelt."""
    known = {variable(n) for n in (*(f.name for f in fields(Settings)), *SECRETS, *SWITCHES)}
    ours = (v for v in os.environ if v.startswith("SHOPFLOOR_") and not v.startswith(SITE_SECRET))
    return sorted(v for v in ours if v not in known)


def find_file(name: str) -> Path | None:
    """A file of settings: the one in the working directory, else the one in the state folder."""
    return next((p for p in (Path(name).absolute(), home_path() / name) if p.is_file()), None)


def read_toml(path: Path) -> dict[str, Any]:
    """What a file of settings holds. Raises SettingsError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error


def _read_file() -> tuple[Path | None, Mapping[str, Any]]:
    path = find_file("shopfloor.toml")
    if path is None:
        return None, {}
    written = read_toml(path)
    names = [f.name for f in fields(Settings)]
    for name in written:
        if name in SECRETS:
            raise SettingsError(f"{name} in {path} is a secret; set {variable(name)} in its place")
        if name not in names:
            raise SettingsError(f"no setting {name!r}, in {path}; there are {', '.join(names)}")
    return path, written


def _text(value: Any) -> str:
    """A TOML value as it would be written in the environment."""
    return str(int(value)) if isinstance(value, bool) else str(value)
