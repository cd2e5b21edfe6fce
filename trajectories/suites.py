"""The suites by name, each imported only when it is opened, and where their tasks are done.

An explored site's name is its URL, an explored application's `app:` and what it is called.
"""

from __future__ import annotations

from importlib import import_module

from tools.environment import Workplace
from trajectories.tasks import Suite

SUITES: dict[str, str] = {
    "crossing": "trajectories.desktop.crossing:CrossingSuite",
    "desktop": "trajectories.desktop.suite:DesktopSuite",
    "helpdesk": "trajectories.helpdesk.suite:HelpDesk",
    "miniwob": "trajectories.miniwob.suite:MiniWob",
}


def open_suite(name: str) -> Suite:
    """A suite, to be used as an async context manager; parallel workers open one each. Raises ValueError."""
    if "://" in name:
        from trajectories.explore.suite import SiteSuite

        return SiteSuite(name)
    if name.startswith("app:"):
        from trajectories.applications.suite import ApplicationSuite

        return ApplicationSuite(name)
    if name not in SUITES:
        raise ValueError(f"no suite {name!r}; there are {', '.join(SUITES)}")
    module, _, attribute = SUITES[name].partition(":")
    suite: Suite = getattr(import_module(module), attribute)()
    return suite


def open_workplace(name: str) -> Workplace:
    """Where the tasks of a suite are done, to be used as an async context manager, one for all workers."""
    if name == "desktop" or name.startswith("app:"):
        from tools.desktop import Desktops

        return Desktops()
    if name == "crossing":
        from tools.both import Boths

        return Boths()
    from tools.browser import Browser

    return Browser()
