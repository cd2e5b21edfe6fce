"""What to do next towards a demonstration in an application, from wherever one is.

Where the state is on the map the way is, too: by its links to the demonstration's own, then its step. In a
state that nobody has walked, what is nearest to the end of that way and can be seen is used, and else what
has come up is left by Escape.

Not covered: whether it is done, which the task's check tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tools.actions import Action
from tools.observation import Observation
from trajectories.applications.state import LONGEST, fingerprint, way_to
from trajectories.explore.demonstration import Demonstration
from trajectories.explore.site import Site

ESCAPE = Action("keyboard_press", ("Escape",))
LOST = Action("report_infeasible", ("this can't be reached from here",))
TRIES = 3  # times that Escape is pressed one after the other


def advice(
    site: Site,
    demonstration: Demonstration,
    values: Mapping[str, str],
    look: Observation,
    history: Sequence[Action],
) -> Action:
    """The next action; targets by role and name."""
    if look.url != site.access.url:
        return Action("goto", (site.access.url,))
    step = demonstration.actions(values)[0]
    here = fingerprint(look)
    if here == demonstration.page:
        return step
    if here in site.known and (way := site.way(here, demonstration.page, LONGEST)):
        return Action("click", (way[0].target,))
    if here not in site.known:
        clicks = [Action("click", (link.target,)) for link in way_to(demonstration.page, site)]
        for wanted in (step, *reversed(clicks)):
            if look.find(wanted.targets[0]) is not None and wanted not in history[-2:]:
                return wanted
    return LOST if len(history) >= TRIES and all(a == ESCAPE for a in history[-TRIES:]) else ESCAPE
