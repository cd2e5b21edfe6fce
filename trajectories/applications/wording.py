"""What was done in an application as a goal in words: by the menu, window and tab that it was done in.

Not covered: other frames and verbs (`trajectories/goals.py`), a teacher's words (`explore/wording.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from tools.actions import quote
from trajectories.applications.state import MENU, first, way_to
from trajectories.explore.attempts import Attempt, label
from trajectories.explore.demonstration import Effect
from trajectories.explore.effects import target_of
from trajectories.explore.site import Link, Site


def goals(kind: str, effect: Effect, attempt: Attempt, place: str, site: Site) -> tuple[str, ...]:
    """Ways of saying what the attempt did at a place; none where no goal fits."""
    target = target_of(attempt.steps[0])
    name, here = quote(target.name), within(place, site)
    match kind:
        case "open" if effect.at:
            verb = "Choose" if target.role.startswith(MENU) else "Press"
            said = (f"{verb} {name}{here}", f"Open {name}{here}")
            return _sentences(*said, f"Bring up the window {quote(effect.at)}", f"Open {quote(effect.at)}")
        case "open":
            noun = "menu" if not _menus(place, site) else "submenu"
            return _sentences(f"Open the {noun} {name}{here}", f"Show what is in the {noun} {name}{here}")
        case "tick":
            on = effect.fields[str(target)] == "on"
            turned = f"{'on' if on else 'off'} {name}"
            other = f"{here[1].upper()}{here[2:]}, turn {turned}" if here else f"Switch {turned}"
            return _sentences(f"Turn {turned}{here}", other)
        case "choose" if attempt.slots:
            value = _slot(attempt)
            what = quote(target.name) if target.name else "the list"
            return _sentences(f"Set {what}{here} to {value}", f"Choose {value} for {what}{here}")
        case "choose" if target.role == "tab":
            return _sentences(f"Go to the tab {name}{here}", f"Show the tab {name}{here}")
        case "choose":
            return _sentences(f"Choose {name}{here}", f"Select {name}{here}")
        case "edit" if target.name:
            value = _slot(attempt)
            return _sentences(
                f"Put {value} into the field {name}{here}",
                f"Fill in the field {name}{here} with {value}",
                f"Set the {label(target.name)}{here} to {value}",
            )
        case "edit":
            value = _slot(attempt)
            return _sentences(f"Write {value}{here}", f"Type {value} into the text field{here}")
        case "press" if target.role.startswith(MENU):
            return _sentences(f"Choose {name}{here}", f"Use {name}{here}")
        case "press":
            return _sentences(f"Press {name}{here}", f"Press the button {name}{here}")
    return ()


def within(place: str, site: Site) -> str:
    """Where that is: ` in the "View" menu`, ` on the tab "Editor" of "Preferences"`; "" in the first
    window."""
    opened = site.known[first(site)].heading
    heading = site.known[place].heading
    window = quote(heading) if heading and heading != opened else ""
    if menus := _menus(place, site):
        *above, last = (quote(name) for name in menus)
        said = f" in the {last} menu" if not above else f" in {last} of the {above[0]} menu"
    elif tab := next((link for link in reversed(_since(place, site)) if link.role == "tab"), None):
        said = f" on the tab {quote(tab.name)}"
    else:
        return f" in {window}" if window else ""
    return f"{said} of {window}" if window else said


def _menus(place: str, site: Site) -> list[str]:
    """The menus that are open there, outermost first."""
    found: list[str] = []
    for link in reversed(_since(place, site)):
        if not site.known[link.end].menu:
            break
        found.insert(0, link.name)
    return found


def _since(place: str, site: Site) -> Sequence[Link]:
    """The links on the way there since its window came up."""
    way = way_to(place, site)
    windows = [site.known[link.end].heading != site.known[link.start].heading for link in way]
    return way[len(windows) - windows[::-1].index(True) :] if True in windows else way


def _slot(attempt: Attempt) -> str:
    return f'"{{{{{next(iter(attempt.slots))}}}}}"'


def _sentences(*said: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{text}." for text in said))
