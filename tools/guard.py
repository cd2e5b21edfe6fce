"""The policy in plain code: what may be done, what must be asked first, what is never done.

It looks at the action and at what it acts on, never at who proposes it, so no text on a page and no model can
talk it round. It runs before the reviewer's verdict on a plan, and again on each action as it happens.
`ask` means the person is asked (`--yes` answers for them); `refuse` stays refused.

Not covered: what a page does behind an innocent name; sites that need more should be given no such rights.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeVar
from urllib.parse import unquote, urljoin, urlsplit

from tools.actions import ACTIONS, Action, Named
from tools.environment import beside, origin
from tools.observation import EDITABLE, Box, Element, Observation, shorten
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
CAMEL = re.compile(r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")  # deleteUser
GO_AHEAD = re.compile(r"^(ok|okay|yes|confirm|continue|proceed|accept|go ahead|i am sure)\b", re.IGNORECASE)
PRESSED = frozenset(
    {"click", "dblclick", "drag_and_drop", "upload_file", "select_option"}  # the last two open a list, or ask
    | {"mouse_click", "mouse_path", "mouse_drag_and_drop"}
)
PRESSES = re.compile(  # keys that press what has the focus, whatever is held down with them
    r"(?:^|\+)(?:(?P<enter>(?:Numpad|KP_|ISO_)?Enter|Return|[\r\n])|(?:KP_)?Space| )\Z", re.IGNORECASE
)
NAMED_KEYS = {" ": "space", "+": "plus", "\n": "enter", "\r": "enter", "return": "enter"}
COMMANDS = frozenset(
    {"button", "menuitem", "menuitemcheckbox", "menuitemradio", "link", "tab", "option", "treeitem", "radio"}
    | {"checkbox", "switch", "clickable", "img"}
)
TITLES = frozenset({"link", "tab", "treeitem", "clickable", "img"})  # what may be named after a thing
AGREES = frozenset({"button", "link", "menuitem", "clickable"})
UNKNOWN = "unknown"  # the role of what the reader can't look into
DIALOGS = frozenset({"dialog", "alertdialog"})
LONG_NAME = {
    "link": 3,
    "clickable": 3,
    "img": 3,
}  # words; a longer link is a title ("Remove the old invoice, please"), not a command
LONGEST_NAME = 8
LONGEST_COMMAND = 3  # words; a longer option is a title, if it does not begin with the verb
BUILT_IN = Rules()
T = TypeVar("T", bound=Element | Named)
SEARCHES = re.compile(r"(search|filter|find|look up)\b", re.IGNORECASE)
OVERWRITES = re.compile(r"\boverwrite\b|already exists", re.IGNORECASE)
SENDING = re.compile(  # keys that end a line, or paste
    r"Enter$|Return$|Insert$|Control\+[mMjJ]$|\+[vV]$|[\r\n]\Z"
)
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
    if action.name == "goto" and verdict.decision != "refuse":  # what leads there is ruled by who is there
        where = origin(_address_there(str(action.args[0]), observation))
    else:
        where = _at(_shortcut(action, observation) or _acted_on(action, observation), observation)
    ruling = rules.ruling(where, verdict.kind)
    if ruling is None or verdict.decision in (ruling, "refuse") or action.final:
        return verdict
    return replace(verdict, decision=ruling, why=f"{verdict.why}; {rules.said(where, verdict.kind)}")


def _assess(action: Action, observation: Observation, goal: str, rules: Rules) -> Verdict:
    typing = None
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
            typing = _typing(action, observation, goal, rules)
            if typing.decision != "approve":
                return typing
    if origin(observation.url) in TERMINALS and _sent_off(action):
        return Verdict("irreversible", "ask", "it runs a command in a terminal")
    thing = pressed(action, observation)
    if thing is not None:
        verdict = _command(thing, observation)
        if verdict is not None:
            return verdict
    risk = ACTIONS[action.name].risk
    return typing or Verdict(risk, "approve", "it changes nothing" if risk == "read" else "it can be undone")


def _address(url: str, observation: Observation, goal: str, rules: Rules) -> Verdict:
    try:
        there = urlsplit(_address_there(url, observation))
        where = origin(there.geturl())
    except ValueError:
        return Verdict("read", "refuse", f"{shorten(url)} is no address")
    if where == origin(observation.url):
        if there.scheme == "file" and not beside(there.geturl(), observation.url):
            return Verdict("read", "refuse", f"{there.path} is outside the folder of this page")
        does = DOING.search(CAMEL.sub(" ", unquote(f"{there.path}?{there.query}")))
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


def _address_there(url: str, observation: Observation) -> str:
    """Where an address leads from this page, as browsers read it. Raises ValueError for what is none."""
    written = re.sub(r"[\t\r\n]", "", url.strip()).replace("\\", "/")
    return urljoin(observation.url, re.sub(r"^/{2,}", "//", written))


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
    thing = _acted_on(action, observation)
    name = thing.name if thing else ""
    given = [slot for slot in SLOT.findall(typed) if f"{{{{{slot}}}}}" in goal]  # the person's secrets
    for slot in given:
        where = _at(thing, observation)
        if not rules.may_have(where, slot):
            return Verdict("secret", "refuse", f"{{{{{slot}}}}} is for {rules.home}, not for {where}")
    hidden = isinstance(thing, Element) and (thing.value or "").startswith("\u2022")
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
    shortcut = _shortcut(action, observation)
    if shortcut is not None:
        return shortcut
    thing = _acted_on(action, observation)
    if action.name == "select_option":
        return _chosen(action, thing, observation) or thing
    if action.name in PRESSED:
        return thing
    text = str(action.args[-1]) if action.args else ""
    reached = observation.reached()
    match action.name:
        case "press" | "keyboard_press":
            key = PRESSES.search(text)
            enter, blank = bool(key and key["enter"]), bool(key)
        case "fill" | "keyboard_type":  # a line's end is typed by Enter, a blank by Space
            enter = "\n" in text or "\r" in text
            blank = action.name == "keyboard_type" and " " in text
        case _:
            return None
    field = isinstance(thing, Element) and thing.role in EDITABLE
    if not (enter or (blank and not field)):
        return None
    pointed = _telling(reached[1:], observation) if reached[:1] == (thing,) else None
    if pointed is not None:
        return pointed
    if enter and isinstance(thing, Element) and (field or thing.enters is not None):
        return _entered(thing, observation)
    return thing


def _chosen(
    action: Action, chooser: Element | Named | None, observation: Observation
) -> Element | Named | None:
    """The option that is clicked where a list is drawn by a script, if it must be asked about. The browser's
    own (they say what they offer) only set a field."""
    if isinstance(chooser, Element) and chooser.options:
        return None
    labels = action.args[-1] if isinstance(action.args[-1], tuple) else (action.args[-1],)
    options = [Named("option", str(label)) for label in labels]
    return _telling([observation.find(option) or option for option in options], observation)


def _shortcut(action: Action, observation: Observation) -> Element | None:
    """What a key combination presses wherever the focus is, where that must be asked: the element that
    has it as its access key or shortcut. On a desktop a mnemonic is one letter of the label, and which one
    is not known: any in sight that has it."""
    thing = _acted_on(action, observation)
    typing = isinstance(thing, Element) and thing.role in EDITABLE
    match action.name:
        case "press" | "keyboard_press":
            combinations = [_combination(str(action.args[-1]))]
        case "keyboard_type":
            combinations = [_combination(letter) for letter in str(action.args[-1])]
        case _:
            return None
    pressed = {c for c in combinations if len(c) > 1 or not typing}  # a field takes letters as they are
    things = [*observation.actionable(), *observation.unlisted]
    hit = [e for e in things if pressed & {_combination(key) for key in e.keys}]
    if observation.url.startswith("app:"):
        letters = {key for c in pressed if "alt" in c for key in c if len(key) == 1}
        bare = {key for c in pressed if len(c) == 1 for key in c if len(key) == 1}  # in an open menu
        hit += [e for e in things if e.role in COMMANDS and letters & {*e.name.lower()}]
        hit += [e for e in things if e.role == "menuitem" and bare & {*e.name.lower()}]
    return _telling(hit, observation)


def _combination(text: str) -> frozenset[str]:
    """A key and what is held down with it, however written; Shift does not tell apart access keys."""
    *held, key = re.split(r"\+(?=.)", text, flags=re.DOTALL)
    key = re.sub(r"^(?:Key|Digit|Numpad)(?=.$)", "", key).lower()
    names = {re.sub(r"(?:Left|Right|OrMeta)$", "", name).lower() for name in held} - {"shift"}
    return frozenset({*names, NAMED_KEYS.get(key, key)})


def _entered(field: Element, observation: Observation) -> Element | Named | None:
    """The button that Enter in a field presses; where that is not known, one in sight that must be asked.

    Not so for a field that says it is for searching: there a script hears Enter and searches, whatever
    buttons a list has, and who is asked at each search soon says yes unread. In a dialog Enter may be the
    dialog's own, and on a desktop it presses the window's default button, so there it is asked.
    """
    if field.enters is None:
        apart = dialog_box(observation) is None and not observation.url.startswith("app:")
        if apart and (field.role == "searchbox" or SEARCHES.match(field.name)):
            return None
        return _telling((e for e in observation.actionable() if e.role == "button"), observation)
    button = Named("button", field.enters)
    return (observation.find(button) or button) if field.enters else None


def _acted_on(action: Action, observation: Observation) -> Element | Named | None:
    """What an action is done to: its last target (of a drag, "Bin"), what lies there, what has the focus."""
    if action.name.startswith("mouse_") and action.args:
        points = action.args[0] if isinstance(action.args[0], tuple) else action.args
        x, y = (tuple(map(float, map(str, points[i::2]))) for i in (0, 1))
        ends = [_under(observation, x[i], y[i]) for i in (0, -1)]  # down and up on one thing is a click
        return _telling(ends, observation) or ends[-1]
    if action.name.startswith("keyboard_"):
        return next(iter(observation.reached()), None)
    if not action.targets:
        return None
    target = action.targets[-1]
    return observation.find(target) or (target if isinstance(target, Named) else None)


def _telling(things: Iterable[T | None], observation: Observation) -> T | None:
    """The first of these that is not pressed unasked."""
    return next((thing for thing in things if thing and _command(thing, observation)), None)


def _at(thing: Element | Named | None, observation: Observation) -> str:
    """The origin that something is of: its frame's."""
    return (thing.origin if isinstance(thing, Element) else "") or origin(observation.url)


def _under(observation: Observation, x: float, y: float) -> Element | None:
    """The smallest element under a point given in thousandths."""
    left, top = observation.point(x, y)
    hits = [
        e
        for e in (*observation.actionable(), *observation.unlisted)
        if e.box.x <= left <= e.box.x + e.box.width and e.box.y <= top <= e.box.y + e.box.height
    ]
    return min(hits, key=lambda e: e.box.width * e.box.height, default=None)


def _command(thing: Element | Named, observation: Observation) -> Verdict | None:
    """A verdict on pressing something so named, if its name tells."""
    role, name = thing.role, thing.name
    dialog = dialog_box(observation)
    if name.lower() in ("replace", "overwrite") and OVERWRITES.search(" ".join(around(thing, observation))):
        return Verdict("irreversible", "ask", f'"{name}" overwrites what is there')
    unseen = isinstance(thing, Element) and thing.ref is None  # it can be pressed all the same
    if unseen and role == UNKNOWN:
        return Verdict("irreversible", "ask", "what has the focus, and is pressed, can't be told")
    if unseen and dialog is None and role in AGREES and GO_AHEAD.match(name):
        return Verdict("irreversible", "ask", f'"{name}" is not listed, nor is what it agrees to')
    about = " ".join(around(thing, observation)) if GO_AHEAD.match(name) else ""
    if about and (dialog is not None or MONEY.search(about) or IRREVERSIBLE.search(about)):
        said = about
    elif role not in COMMANDS or len(name.split()) > LONG_NAME.get(role, LONGEST_NAME):
        return None
    elif (role in TITLES or (role == "option" and len(name.split()) > LONGEST_COMMAND)) and not (
        MONEY.match(name) or IRREVERSIBLE.match(name)
    ):
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
    if isinstance(thing, Named) or thing.ref is None:  # not to be seen
        return ()
    middle = thing.box.centre[1]
    read = (e for e in observation.elements if e.ref is None and e.name)
    return tuple(e.name for e in read if abs(e.box.centre[1] - middle) <= NEAR)


def _within(element: Element, box: Box) -> bool:
    x, y = element.box.centre
    return box.x <= x <= box.x + box.width and box.y <= y <= box.y + box.height
