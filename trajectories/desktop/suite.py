"""The desktop's tasks as a suite; see `trajectories.tasks.Suite`.

async with DesktopSuite() as suite:
    goal, observation = await suite.task("write-note", 7).setup(env)
"""

from __future__ import annotations

import shutil
from glob import glob

from tools.environment import EnvironmentDown
from tools.x11.applications import APPLICATIONS
from tools.x11.session import foreign, missing
from trajectories.desktop import dialogs, editor, files, others, sums
from trajectories.desktop.tasks import FAMILIES, DesktopTask, closed
from trajectories.tasks import Suite

MODULES = (editor, sums, dialogs, files, others)  # importing them registers their families
for family in (
    "write-note",
    "append-line",
    "save-copy",
    "calculate",
    "calculate-and-save",
    "set-cell",
    "make-folder",
):
    closed(family)
PROGRAMS = {"zenity": "zenity", "wish": "tk", "ssconvert": "gnumeric"}
MODULES_OF_GTK_2 = {"libatk-bridge.so": "libatk-adaptor", "libgail.so": "libgail-common"}  # its accessibility


def lacking() -> list[str]:
    """The Debian packages without which the tasks can't be done here."""
    needed = {app.argv[0]: app.package for app in APPLICATIONS.values()} | PROGRAMS
    absent = [package for program, package in needed.items() if shutil.which(program) is None]
    folder = "/usr/lib/*/gtk-2.0/modules"
    absent += [package for name, package in MODULES_OF_GTK_2.items() if not glob(f"{folder}/{name}")]
    return list(dict.fromkeys([*missing(), *absent]))


class DesktopSuite(Suite):
    """The suite; every task starts a desktop of its own."""

    name = "desktop"
    families: tuple[str, ...] = tuple(FAMILIES)
    scripted: tuple[str, ...] = ()
    looks_only: frozenset[str] = frozenset(name for name, family in FAMILIES.items() if family.looks_only)

    def task(self, family: str, seed: int) -> DesktopTask:
        """A task of a family. Raises KeyError for a family that is not there."""
        return DesktopTask(family, seed)

    async def __aenter__(self) -> DesktopSuite:
        """Raises EnvironmentDown with the packages that are missing, or where there can be no desktop."""
        if why := foreign():
            raise EnvironmentDown(why)
        if packages := lacking():
            raise EnvironmentDown(f"the desktop's tasks need, as root: apt-get install {' '.join(packages)}")
        return self

    async def __aexit__(self, *exc: object) -> None:
        return
