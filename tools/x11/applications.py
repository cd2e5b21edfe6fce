"""The applications that can be opened by name, as `app:mousepad`, and how each is started.

Not covered: which of them may be opened (`Start.origins`, and `policy.toml` through `rules.py`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tools.observation import shorten

DESKTOP = "app:desktop"  # the address of a desktop on which nothing is open


@dataclass(frozen=True)
class Application:
    """How it is started, the Debian package it comes in, and whether it runs commands for whoever types."""

    argv: tuple[str, ...]
    package: str
    what: str
    runs_commands: bool = False

    @property
    def there(self) -> bool:
        return shutil.which(self.argv[0]) is not None


APPLICATIONS: dict[str, Application] = {
    "mousepad": Application(("mousepad", "--disable-server"), "mousepad", "a text editor"),
    "galculator": Application(("galculator",), "galculator", "a calculator"),
    "gnumeric": Application(("gnumeric", "--no-splash"), "gnumeric", "a spreadsheet"),
    "thunar": Application(("thunar",), "thunar", "a file manager"),
    "gpicview": Application(("gpicview",), "gpicview", "an image viewer"),
    "xterm": Application(("xterm",), "xterm", "a terminal", runs_commands=True),
}
OTHER_TERMINALS = (  # by what their windows or programs are called; a person's own screen may have any
    "alacritty foot gnome-terminal gnome-terminal-server kgx kitty konsole lxterminal mate-terminal ptyxis "
    "qterminal rxvt st terminator tilix urxvt uxterm wezterm-gui x-terminal-emulator xfce4-terminal"
)
TERMINALS = frozenset(f"app:{name}" for name, app in APPLICATIONS.items() if app.runs_commands) | {
    f"app:{name}" for name in OTHER_TERMINALS.split()
}
HARMLESS = tuple(name for name, app in APPLICATIONS.items() if not app.runs_commands)


class NotOpened(ValueError):
    """An application that can't be opened; the message says why."""


def command(url: str, home: Path, shown: Path) -> tuple[str, list[str]]:
    """Name and command line of an address such as `app:mousepad?notes.txt`; applications see the home folder
    as `shown`. Raises NotOpened.

    What stands after the name are files of the home folder, several joined by `&`, and nothing else: never
    an option, never a file elsewhere.
    """
    split = urlsplit(url if ":" in url else f"app:{url}")
    name = split.path
    application = APPLICATIONS.get(name)
    if split.scheme != "app" or application is None:
        raise NotOpened(f"there is no application {shorten(url)!r}; there are {', '.join(APPLICATIONS)}")
    if not application.there:
        raise NotOpened(f"{name} is not installed; as root: apt-get install {application.package}")
    files = [unquote(file) for file in split.query.split("&") if file]
    inside = home.resolve()
    for file in files:
        if not _there(file, inside):
            raise NotOpened(
                f"there is no file {shorten(file)!r} here; there are: {', '.join(_listed(home)) or 'none'}"
            )
    return name, [*application.argv, *(str(shown / file) for file in files)]


def name_of(pid: int, launched: Mapping[int, str], kind: str) -> str:
    """What the application behind a window is called: by its program, else by what it was started from.

    `kind` is what the window says itself; it is believed only where nothing else is known.
    """
    try:
        program = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        program = ""
    if program in APPLICATIONS:
        return program
    return next((launched[p] for p in lineage(pid) if p in launched), kind or program or "unknown")


def lineage(pid: int) -> Iterator[int]:
    """A process, its parent, and so on."""
    while pid > 1:
        yield pid
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return


def _there(file: str, home: Path) -> bool:
    """Whether that is a file of the home folder."""
    try:
        path = (home / file).resolve()
        return path.is_relative_to(home) and path.exists()
    except (OSError, ValueError, RuntimeError):  # no file has such a name: too long, a NUL
        return False


def _listed(home: Path) -> list[str]:
    return sorted(path.name for path in home.iterdir() if not path.name.startswith("."))[:20]
