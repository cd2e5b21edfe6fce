"""What a yes is a yes to: the action, where, and with which values; anything else is asked again.

A yes is good for one act, and for the OK of the dialog that this act opened, as long as that dialog is about
the same kind of thing on the same page, the fields hold what they held, and it names no figure that was not
on show.

Not covered: values a page sends that are not on the page (hidden fields), and who asks (`agents/job.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urldefrag

from tools.actions import Action, Named, quote
from tools.guard import GO_AHEAD, Kind, Verdict, around, dialog_box, pressed
from tools.observation import Element, Observation

FIGURE = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True)
class Terms:
    """`what` is the action with its target by role and name, `where` the page's address.

    `fields` are the fields in sight that hold something, `near` the words around what is pressed (or all of
    the dialog's, where one is open); `pressed` is its name.
    """

    kind: Kind
    what: str
    where: str
    fields: tuple[str, ...]
    near: tuple[str, ...]
    pressed: str = ""
    in_dialog: bool = False

    def lines(self) -> Iterator[str]:
        """For whoever decides, a line each."""
        yield f"what   {self.what}"
        yield f"where  {self.where}"
        for value in (*self.fields, *self.near):
            yield f"with   {value}"

    def covers(self, later: Terms) -> bool:
        """Whether the yes to these terms is one to `later`, the very next act, as well."""
        opened = later.in_dialog and not self.in_dialog and bool(GO_AHEAD.match(later.pressed))
        same = (later.kind, later.where) == (self.kind, self.where) and {*later.fields} <= {*self.fields}
        return opened and same and {*FIGURE.findall(" ".join(later.near))} <= {*self._figures()}

    def _figures(self) -> list[str]:
        return FIGURE.findall(" ".join((self.what, self.where, *self.fields, *self.near)))


def terms(action: Action, observation: Observation, verdict: Verdict) -> Terms:
    """What the person is asked to agree to."""
    target = pressed(action, observation)
    fields = (e for e in observation.actionable() if e.value or _states(e))
    return Terms(
        verdict.kind,
        _what(action, target, observation),
        urldefrag(observation.url).url,
        tuple(_holds(e) for e in fields),
        tuple(map(quote, around(target, observation))) if target is not None else (),
        target.name if target is not None else "",
        dialog_box(observation) is not None,
    )


def _what(action: Action, target: Element | Named | None, observation: Observation) -> str:
    """The action as a program would write it; by place or by key, with what it is done to."""
    refs = {ref: observation.named(ref) or ref for ref in action.targets if isinstance(ref, int)}
    args = tuple(refs.get(a, a) if isinstance(a, int) else a for a in action.args)
    written = str(Action(action.name, args))
    if action.targets or target is None:
        return written
    return f"{written} on {Named(target.role, target.name)}"


def _holds(element: Element) -> str:
    value = f" = {quote(element.value)}" if element.value else ""
    return " ".join([f"{element.role} {quote(element.name)}{value}", *_states(element)])


def _states(element: Element) -> list[str]:
    return [state for state in element.states if state in ("checked", "mixed", "selected", "pressed")]
