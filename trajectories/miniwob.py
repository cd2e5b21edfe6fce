"""Twelve MiniWoB++ tasks as a suite: third-party pages, whose own reward is the checker.

The pages are those of the `miniwob` package (https://github.com/Farama-Foundation/miniwob-plusplus), set up
as BrowserGym does: seeded, without the time limit, and without the goal and the score panel that they print
beside the task, since the goal is given in words and the panel would tell the agent its reward. A task has
succeeded when the page's reward is positive; for click-checkboxes that is more boxes right than wrong.

A page ends its episode by itself, at the click that decides it; the check then says `over`.

Not covered: MiniWoB++'s other hundred tasks; add a row to `FAMILIES` with an oracle.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tools.actions import Action
from tools.environment import Environment, EnvironmentDown, Start
from tools.observation import EDITABLE, Element, Observation
from trajectories.episode import Episode
from trajectories.tasks import Outcome

VIEWPORT = (332, 214)  # MiniWoB++'s own: the task's 160 x 210, and room beside it
MAX_STEPS = 10
DONE = Action("send_msg_to_user", ("done",))

# The limit is lifted by making it eleven days: setTimeout takes no more than 2^31 ms.
# The goal keeps its room, so that the rest stays where it was drawn.
START = """seed => {
  Math.seedrandom(seed);
  core.EPISODE_MAX_TIME = 1e9;
  core.startEpisodeReal();
  const goal = core.getUtterance();
  const style = document.createElement('style');
  style.textContent = '#query, #query * { visibility: hidden !important; transition: none !important } ' +
    '#reward-display, #click-canvas, #sync-task-cover { display: none !important }';
  document.head.append(style);
  window.shopfloorSeed = seed;
  return goal;
}"""
# A page that was left or loaded again has forgotten the episode: the seed set above is gone.
SCORE = """() => window.shopfloorSeed === undefined ? null :
  { reward: WOB_REWARD_GLOBAL, raw: WOB_RAW_REWARD_GLOBAL, done: WOB_DONE_GLOBAL }"""


class OracleLost(LookupError):
    """What the oracle looks for is not on the page."""


# The oracles: the next action from what the page shows now, so that any state can be taken up.


def _found(look: Observation, name: str | None, *roles: str) -> Element:
    for element in look.actionable():
        if element.role in roles and (name is None or element.name == name):
            return element
    raise OracleLost(f"no {' or '.join(roles)} {name or ''} among:\n{look.text()}")


def _click(look: Observation, name: str | None, *roles: str) -> Action:
    return _on(look, "click", _found(look, name, *roles))


def _on(look: Observation, action: str, element: Element, *values: str) -> Action:
    assert element.ref is not None
    return look.labelled(Action(action, (element.ref, *values)))


def _said(pattern: str, goal: str) -> tuple[str, ...]:
    match = re.search(pattern, goal)
    if match is None:
        raise OracleLost(f"the goal {goal!r} is not of the form {pattern!r}")
    return match.groups()


def _click_test(goal: str, look: Observation) -> Action:
    return _click(look, None, "button")


def _click_button(goal: str, look: Observation) -> Action:
    return _click(look, *_said(r'the "(.*)" button', goal), "button")


def _click_link(goal: str, look: Observation) -> Action:
    return _click(look, *_said(r'the link "(.*)"', goal), "link", "generic", "clickable", "text")


def _click_tab(goal: str, look: Observation) -> Action:
    return _click(look, *_said(r"(Tab #\d)", goal), "tab")


def _click_dialog(goal: str, look: Observation) -> Action:
    return _click(look, "Close", "button")


def _focus_text(goal: str, look: Observation) -> Action:
    return _click(look, None, "textbox")


def _check(goal: str, look: Observation) -> Action:
    """Both radio buttons and checkboxes: whichever differs from what is asked, then Submit."""
    asked = set(_said("Select (.*) and click Submit", goal)[0].split(", "))
    for element in look.actionable():
        wanted, checked = element.name in asked, "checked" in element.states
        if (element.role == "checkbox" and wanted != checked) or (
            element.role == "radio" and wanted and not checked
        ):
            return _on(look, "click", element)
    return _click(look, "Submit", "button")


def _choose(goal: str, look: Observation) -> Action:
    (asked,) = _said("Select (.*) from the list", goal)
    chooser = _found(look, None, "combobox", "listbox")
    if chooser.value != asked:
        return _on(look, "select_option", chooser, asked)
    return _click(look, "Submit", "button")


def _enter(button: str, goal: str, look: Observation) -> Action:
    """Each quoted text of the goal into the field it is for, in order; a single text into all of them."""
    texts = re.findall(r'"([^"]*)"', goal)
    fields = [e for e in look.actionable() if e.role in EDITABLE]
    if not fields:
        raise OracleLost(f"no field among:\n{look.text()}")
    for element, text in zip(fields, texts * (len(fields) if len(texts) == 1 else 1), strict=False):
        hidden = set(element.value or "") == {"•"} and len(element.value or "") == len(text)
        if element.value != text and not hidden:  # a password shows as dots
            return _on(look, "fill", element, text)
    return _click(look, button, "button")


Oracle = Callable[[str, Observation], Action]
FAMILIES: dict[str, Oracle] = {
    "click-test": _click_test,
    "click-button": _click_button,
    "click-link": _click_link,
    "click-option": _check,
    "click-checkboxes": _check,
    "click-tab": _click_tab,
    "click-dialog": _click_dialog,
    "choose-list": _choose,
    "focus-text": _focus_text,
    "enter-text": partial(_enter, "Submit"),
    "enter-password": partial(_enter, "Submit"),
    "login-user": partial(_enter, "Login"),
}


@dataclass
class MiniWobTask:
    """One page with one seed."""

    family: str
    seed: int
    url: str
    suite: str = "miniwob"
    max_steps: int = MAX_STEPS
    goal: str = field(default="", init=False)  # known once the page has drawn it

    @property
    def id(self) -> str:
        return f"{self.suite}/{self.family}/{self.seed}"

    async def setup(self, env: Environment) -> tuple[str, Observation]:
        await env.reset(Start(self.url, viewport=VIEWPORT))
        self.goal = await _page(env).evaluate(START, self.seed)
        return self.goal, await env.step(Action("noop"))  # a look once the page has settled

    async def check(self, env: Environment, message: str | None) -> Outcome:
        score = await _page(env).evaluate(SCORE)
        if score is None:
            return Outcome(False, over=True)
        return Outcome(score["reward"] > 0, float(score["raw"]), over=score["done"])

    def oracle(self, observation: Observation, history: Sequence[Action]) -> Action:
        action = FAMILIES[self.family](self.goal, observation)
        again = bool(history) and history[-1] == action and observation.error is None
        target = observation.find(action.targets[0])
        if again and target is not None and target.role in ("button", "link", "tab", "textbox"):
            return DONE  # the deciding click was made, and the page has not ended: nothing is left to do
        return action


class MiniWob:
    """The suite. It serves the pages itself, on loopback, so that addresses say nothing of this machine."""

    name = "miniwob"
    families: tuple[str, ...] = tuple(FAMILIES)
    looks_only: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self._server: ThreadingHTTPServer | None = None

    def task(self, family: str, seed: int) -> MiniWobTask:
        if family not in FAMILIES:
            raise KeyError(f"no MiniWoB++ task {family!r} here; there are {', '.join(FAMILIES)}")
        if self._server is None:
            raise RuntimeError("use the suite as a context manager: async with MiniWob() as suite")
        port = self._server.server_address[1]
        return MiniWobTask(family, seed, f"http://127.0.0.1:{port}/miniwob/{family}.html")

    def asides(
        self, episode: Episode, at: int, count: int, draw: random.Random, look: Observation | None = None
    ) -> Iterator[tuple[str, Action]]:
        return iter(())  # a page's goal is made by the page itself

    def midway(
        self, episode: Episode, at: int, count: int, draw: random.Random
    ) -> Iterator[tuple[Observation, tuple[Action, ...], str, Action]]:
        return iter(())

    async def __aenter__(self) -> MiniWob:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Pages, directory=str(_html())))
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._server is not None:
            self._server.shutdown()  # within one poll, 50 ms
            self._server.server_close()
            self._server = None


class _Pages(SimpleHTTPRequestHandler):
    """The package's files, said nothing about on stderr."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        return


def _html() -> Path:
    spec = find_spec("miniwob")  # found, not imported: it would start selenium
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the MiniWoB++ pages are missing: pip install miniwob")
    return Path(spec.origin).parent / "html"


def _page(env: Environment) -> Any:
    page = getattr(env, "page", None)
    if page is None:
        raise EnvironmentDown("MiniWoB++ needs a browser environment (tools.browser)")
    return page
