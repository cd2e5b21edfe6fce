"""The person's own policy: `policy.toml` maps origin and kind of action to approve, ask or refuse.

    ["*"]                                   # wherever the team works
    money = "refuse"

    ["https://mail.example"]
    read = "approve"                        # the team may go there from elsewhere
    irreversible = "approve"

    [secrets]
    password = ["https://login.example"]    # may be typed there too, besides where the task started

    [rails]
    folder = "rails"                        # NeMo Guardrails' rails are asked too (`rails.py`)

Found as shopfloor.toml is: in the working directory, else in the state folder. What is not written stays as
`guard.py` has it, and what that never does (other folders' files, `javascript:` addresses) no file allows.

Not covered: what kind an action is (`guard.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from tools import settings
from tools.environment import origin

Kind = Literal["read", "write", "irreversible", "money", "secret"]
Ruling = Literal["approve", "ask", "refuse"]
ANYWHERE = "*"
FILE = "policy.toml"


@dataclass(frozen=True)
class Rules:
    """What the person wrote, by origin and kind; `home` is the origin that the task started on."""

    origins: Mapping[str, Mapping[Kind, Ruling]] = field(default_factory=dict)
    secrets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    home: str = ""
    path: Path | None = None  # None: nothing is written, guard.py's own rulings are in force
    rails: Path | None = None  # a folder of further rails
    careful: bool = False  # what nothing is written about is asked, if it changes anything: one's own screen

    def ruling(self, where: str, kind: Kind) -> Ruling | None:
        """What is written for this kind at this origin, if anything; an origin's own table goes first."""
        written = self.origins.get(where, {}).get(kind) or self.origins.get(ANYWHERE, {}).get(kind)
        return written or ("ask" if self.careful and kind == "write" else None)

    def said(self, where: str, kind: Kind) -> str:
        """Where that ruling comes from, in words."""
        written = replace(self, careful=False).ruling(where, kind)
        return f"{self.path} says {written}" if written else "on your own screen that is asked"

    @property
    def opened(self) -> tuple[str, ...]:
        """The origins that the team may go to from elsewhere: those written by name."""
        named = (item for item in self.origins.items() if item[0] != ANYWHERE)
        return tuple(name for name, kinds in named if kinds.get("read") == "approve")

    def may_have(self, where: str, secret: str) -> bool:
        """Whether this secret may be typed at this origin."""
        return where == self.home != "" or where in self.secrets.get(secret.lower(), ())


def load() -> Rules:
    """The rules in force. Raises SettingsError for a file that can't be used."""
    path = settings.find_file(FILE)
    if path is None:
        return Rules()
    written = settings.read_toml(path)
    secrets = written.pop("secrets", {})
    rails = written.pop("rails", None)
    for name, table in written.items():
        _check_table(path, name, table)
    if not isinstance(secrets, dict) or not all(isinstance(o, list) for o in secrets.values()):
        raise settings.SettingsError(f'{path}: write secrets as password = ["https://login.example"]')
    for place in (place for places in secrets.values() for place in places):
        _check_origin(path, place)
    given = {name.lower(): tuple(places) for name, places in secrets.items()}
    return Rules(written, given, path=path, rails=None if rails is None else _folder(path, rails))


def _folder(path: Path, table: Any) -> Path:
    """The folder named under `[rails]`, from where the policy file lies."""
    match table:
        case {"folder": str(name), **rest} if not rest:
            folder = path.parent / name
        case _:
            raise settings.SettingsError(f'{path}: write [rails] with one line below it, folder = "rails"')
    if not any((folder / name).is_file() for name in ("config.yml", "config.yaml")):
        raise settings.SettingsError(
            f"{path}: {folder} is no folder of NeMo Guardrails; it has no config.yml"
        )
    return folder.absolute()


def _check_table(path: Path, name: str, table: Any) -> None:
    if name != ANYWHERE:
        _check_origin(path, name)
    for kind, ruling in table.items() if isinstance(table, dict) else [(table, None)]:
        if kind not in get_args(Kind) or ruling not in get_args(Ruling):
            raise settings.SettingsError(
                f'{path}: {kind} = {ruling!r} under "{name}" is no rule, such as money = "ask"; '
                f"kinds are {', '.join(get_args(Kind))}, rulings {', '.join(get_args(Ruling))}"
            )
        if (kind, ruling) == ("read", "ask"):
            raise settings.SettingsError(
                f'{path}: read = "ask" under "{name}": a page loads without asking; write approve or refuse'
            )


def _check_origin(path: Path, name: Any) -> None:
    with suppress(ValueError):  # no address at all
        if (
            isinstance(name, str)
            and name == origin(name).lower()
            and name.startswith(("http://", "https://", "file://", "app:"))
        ):
            return
    raise settings.SettingsError(
        f'{path}: "{name}" is no origin; write it as https://shop.example or http://127.0.0.1:8080 '
        f'(no path, no usual port, small letters), as app:mousepad on a desktop, or "{ANYWHERE}" for any'
    )
