"""The policy in plain code: what may be done, what must be asked first, what is never done.

It looks at the action and at what it acts on, never at who proposes it, so no text on a page and no model can
talk it round. It runs before the reviewer's verdict on a plan, and again on each action as it happens.
`ask` means the person is asked (`--yes` answers for them); `refuse` stays refused.

Not covered: what a page does behind an innocent name; sites that need more should be given no such rights.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import urljoin, urlsplit

from tools.actions import ACTIONS, Action, Named
from tools.environment import origin
from tools.observation import Box, Element, Observation, shorten
from tools.rules import Kind, Rules, Ruling
from tools.slots import SLOT
from tools.x11.applications import DESKTOP, HARMLESS, TERMINALS

MONEY = re.compile(
    r"\b(pay|buy|purchase|check ?out|place (?:the |my |your )?order|order now|payment|donate|subscribe"
    r"|transfer|withdraw|refund|bid|wire)\b",
    re.IGNORECASE,
)
IRREVERSIBLE = re.compile(
    r"\b(delete|remove|erase|destroy|wipe|purge|discard|drop|revoke|terminate|deactivate|disable account"
    r"|unsubscribe|overwrite|resolve|send|publish|post|tweet|format|factory reset|close"
    r"|cancel (?:\w+ )?(?:subscription|order|account|booking|membership|plan|ticket))\b",
    re.IGNORECASE,
)
SECRET = re.compile(
    r"\b(password|passcode|passphrase|pin|cvv|cvc|card number|security code|api key|secret|token|ssn)\b",
    re.IGNORECASE,
)
DOING = re.compile(  # in an address, where "post" and "order" are mostly things
    r"(?<![a-z])(delete|remove|erase|destroy|wipe|purge|revoke|cancel|unsubscribe|confirm|pay|buy|purchase"
    r"|checkout|transfer|withdraw|donate)(?![a-z])",
    re.IGNORECASE,
)
GO_AHEAD = re.compile(r"^(ok|okay|yes|confirm|continue|proceed|accept|go ahead|i am sure)\b", re.IGNORECASE)
PRESSED = frozenset({"click", "dblclick", "mouse_click"})
COMMANDS = frozenset(
    {"button", "menuitem", "link", "tab", "option", "radio", "checkbox", "switch", "clickable", "img"}
)
TITLES = frozenset({"link", "option", "tab", "clickable", "img"})  # what may be named after a thing
DIALOGS = frozenset({"dialog", "alertdialog"})
LONG_NAME = {
    "link": 3,
    "clickable": 3,
    "img": 3,
}  # words; a longer link is a title ("Remove the old invoice, please"), not a command
LONGEST_NAME = 8
BUILT_IN = Rules()
OVERWRITES = re.compile(r"\boverwrite\b|already exists", re.IGNORECASE)
SENDING = re.compile(r"Enter$|Return$|Insert$|Control\+[mMjJ]$|\+[vV]$")  # keys that end a line, or paste
NEAR = 120.0  # CSS pixels above or below: what an OK without a dialog is about


@dataclass(frozen=True)
class Verdict:
    """What kind of action it is, what the policy says, and why, in words for the person."""

    kind: Kind
    decision: Ruling
    why: str


def assess(action: Action, observation: Observation, goal: str, rules: Rules = BUILT_IN) -> Verdict:
    """The policy's verdict on one action on this page: the person's rules where they wrote one, else ours.

    The goal never loosens what is irreversible or costs money. It only tells whether the person gave a
    secret, or an address, themselves. What is refused here stays refused, whatever the rules say.
    """
    verdict = _assess(action, observation, goal, rules)
    where = origin(observation.url)
    ruling = rules.ruling(where, verdict.kind)
    if ruling is None or verdict.decision in (ruling, "refuse") or action.final:
        return verdict
    return replace(verdict, decision=ruling, why=f"{verdict.why}; {rules.said(where, verdict.kind)}")


def _assess(action: Action, observation: Observation, goal: str, rules: Rules) -> Verdict:
    match action.name:
        case "goto":
            return _address(str(action.args[0]), observation, goal, rules)
        case "upload_file":
            path = str(action.args[1])
            if path.startswith(("/", "~", "\\")) or ".." in path.replace("\\", "/").split("/"):
                return Verdict("secret", "refuse", f"{path} is outside the folder for uploads")
        case "tab_close" if observation.url.startswith("app:"):
            return Verdict("write", "approve", "it closes a window")
        case "fill" | "keyboard_type" if not (origin(observation.url) in TERMINALS and _sent_off(action)):
            return _typing(action, observation, goal, rules)
    if origin(observation.url) in TERMINALS and _sent_off(action):
        return Verdict("irreversible", "ask", "it runs a command in a terminal")
    thing = pressed(action, observation)
    if thing is not None:
        verdict = _command(thing, observation)
        if verdict is not None:
            return verdict
    risk = ACTIONS[action.name].risk
    return Verdict(risk, "approve", "it changes nothing" if risk == "read" else "it can be undone")


def _address(url: str, observation: Observation, goal: str, rules: Rules) -> Verdict:
    written = re.sub(r"[\t\r\n]", "", url.strip()).replace("\\", "/")  # as browsers read it
    try:
        there = urlsplit(urljoin(observation.url, re.sub(r"^/{2,}", "//", written)))
        where = origin(there.geturl())
    except ValueError:
        return Verdict("read", "refuse", f"{shorten(url)} is no address")
    if where == origin(observation.url):
        does = DOING.search(f"{there.path}?{there.query}")
        if does:
            return Verdict("irreversible", "ask", f'opening an address with "{does[0]}" in it may do that')
        return Verdict("read", "approve", "it stays on this site")
    if there.scheme == "app":
        return _application(where, rules)
    if there.scheme not in ("http", "https"):
        return Verdict("read", "refuse", f"{there.scheme}: addresses are not opened")
    if where in (rules.home, *rules.opened):
        return Verdict("read", "approve", f"{there.netloc} may be visited")
    if there.hostname and re.search(rf"(?<![\w.-]){re.escape(there.hostname)}(?![\w-])", goal):
        return Verdict("read", "ask", f"it leaves this site for {there.netloc}, which the goal names")
    return Verdict("read", "refuse", f"it leaves this site for {there.netloc}")


def _application(name: str, rules: Rules) -> Verdict:
    """The verdict on opening an application of the desktop, which is no web page's matter."""
    if name == DESKTOP or name.removeprefix("app:") in HARMLESS or name in (rules.home, *rules.opened):
        return Verdict("read", "approve", "it opens an application")
    return Verdict(
        "read", "refuse", f'{name} is opened only where policy.toml has ["{name}"] read = "approve"'
    )


def _sent_off(action: Action) -> bool:
    """Whether the action ends a line, which a terminal then does."""
    last = str(action.args[-1]) if action.args else ""
    if action.name in ("fill", "keyboard_type"):
        return "\n" in last or "\r" in last
    return action.name in ("press", "keyboard_press") and bool(SENDING.search(last))


def _typing(action: Action, observation: Observation, goal: str, rules: Rules) -> Verdict:
    typed = str(action.args[-1])
    if action.name == "fill":
        target = action.targets[0] if action.targets else None
        element = None if target is None else observation.find(target)
        name = element.name if element else target.name if isinstance(target, Named) else ""
    else:
        element = observation.find(observation.focused) if observation.focused else None
        name = element.name if element else ""
    given = [slot for slot in SLOT.findall(typed) if f"{{{{{slot}}}}}" in goal]  # the person's secrets
    for slot in given:
        if not rules.may_have(origin(observation.url), slot):
            return Verdict("secret", "refuse", f"{{{{{slot}}}}} is for {rules.home}, not for this site")
    hidden = element is not None and ((element.value or "").startswith("\u2022"))
    fits = hidden or bool(SECRET.search(name)) or any(_word(slot) == _word(name) for slot in given)
    if not fits and not given:
        return Verdict("write", "approve", "it can be undone")
    if fits and typed and typed in goal:
        return Verdict("secret", "approve", "you gave this secret for the task")
    return Verdict("secret", "ask", f'it types a secret into "{name}"')


def _word(text: str) -> str:
    return re.sub(r"\W|_", "", text).lower()


def pressed(action: Action, observation: Observation) -> Element | Named | None:
    """What the action presses, if it presses anything; by name where it is not on this page."""
    if action.name == "mouse_click":
        return _under(observation, float(str(action.args[0])), float(str(action.args[1])))
    if action.name == "keyboard_press" and action.args[0] in ("Enter", "Space", " "):
        return observation.find(observation.focused) if observation.focused else None
    if action.targets and (action.name in PRESSED or action.name in ("press", "drag_and_drop")):
        if action.name == "press" and action.args[1] not in ("Enter", "Space", " "):
            return None
        target = action.targets[-1]  # what is dropped on ("Bin") decides, for a drag
        return observation.find(target) or (target if isinstance(target, Named) else None)
    return None


def _under(observation: Observation, x: float, y: float) -> Element | None:
    """The smallest element under a point given in thousandths."""
    left, top = observation.point(x, y)
    hits = [
        e
        for e in observation.actionable()
        if e.box.x <= left <= e.box.x + e.box.width and e.box.y <= top <= e.box.y + e.box.height
    ]
    return min(hits, key=lambda e: e.box.width * e.box.height, default=None)


def _command(thing: Element | Named, observation: Observation) -> Verdict | None:
    """A verdict on pressing something so named, if its name tells."""
    role, name = thing.role, thing.name
    dialog = dialog_box(observation)
    if name.lower() in ("replace", "overwrite") and OVERWRITES.search(" ".join(around(thing, observation))):
        return Verdict("irreversible", "ask", f'"{name}" overwrites what is there')
    about = " ".join(around(thing, observation)) if GO_AHEAD.match(name) else ""
    if about and (dialog is not None or MONEY.search(about) or IRREVERSIBLE.search(about)):
        said = about
    elif role not in COMMANDS or len(name.split()) > LONG_NAME.get(role, LONGEST_NAME):
        return None
    elif role in TITLES and not (MONEY.match(name) or IRREVERSIBLE.match(name)):
        return None  # only commands begin with the verb; "Recently deleted" does not
    elif name.strip().lower() == "close" and dialog is not None:
        return None  # the dialog itself is closed
    else:
        said = name
    what = f'"{name}"' if said == name else f'"{name}" to "{shorten(said)}"'
    if MONEY.search(said):
        return Verdict("money", "ask", f"{what} may cost money")
    if IRREVERSIBLE.search(said):
        return Verdict("irreversible", "ask", f"{what} can't be undone")
    return None


def dialog_box(observation: Observation) -> Box | None:
    """Where the open dialog lies, if it is one that says so."""
    return next((e.box for e in reversed(observation.elements) if e.role in DIALOGS), None)


def around(thing: Element | Named, observation: Observation) -> tuple[str, ...]:
    """The words that pressing a thing is about: all of the open dialog's, else what is read near it."""
    box = dialog_box(observation)
    if box is not None:
        return tuple(e.name for e in observation.elements if _within(e, box))
    if isinstance(thing, Named):
        return ()
    middle = thing.box.centre[1]
    read = (e for e in observation.elements if e.ref is None and e.name)
    return tuple(e.name for e in read if abs(e.box.centre[1] - middle) <= NEAR)


def _within(element: Element, box: Box) -> bool:
    x, y = element.box.centre
    return box.x <= x <= box.x + box.width and box.y <= y <= box.y + box.height
