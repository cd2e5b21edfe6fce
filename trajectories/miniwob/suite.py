"""MiniWoB++'s tasks as a suite, set up as BrowserGym sets them up.

The pages are those of the `miniwob` package (https://github.com/Farama-Foundation/miniwob-plusplus): seeded,
without the time limit, and without the goal and the score panel that they print beside the task, since the
goal is given in words and the panel would tell the agent its reward. A task has succeeded when the page's raw
reward is positive; `Outcome.reward` is that reward, 1 for a task done wholly.

A page ends its episode by itself, at the click that decides it; the check then says `over`.

Not covered: which seeds are for what (`protocol.py`), and what the oracles are made of (`oracle.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.actions import Action
from tools.environment import Environment, EnvironmentDown, Start
from tools.observation import Observation
from trajectories.miniwob import apps, choosing, dragging, drawing, mail, reading, shapes, writing
from trajectories.miniwob.oracle import Family, Scene
from trajectories.miniwob.protocol import MAX_STEPS, PROTOCOL_A_FROM, families, page_seed
from trajectories.tasks import Outcome, Suite

if TYPE_CHECKING:
    from tools.browser import BrowserEnvironment

VIEWPORT = (332, 214)  # BrowserGym's: MiniWoB++'s own 160 x 210, and room beside it
DONE = Action("send_msg_to_user", ("done",))
ORACLES: dict[str, Family] = (
    choosing.FAMILIES
    | shapes.FAMILIES
    | writing.FAMILIES
    | reading.FAMILIES
    | drawing.FAMILIES
    | dragging.FAMILIES
    | apps.FAMILIES
    | mail.FAMILIES
)

# Pages begin a new episode by themselves, as MiniWoB++'s own harness has them do; these keep something of
# the last one, and are loaded again.
FORGETFUL = frozenset(
    (
        *("drag-cube", "drag-items", "drag-items-grid", "drag-sort-numbers", "focus-text-2", "hot-cold"),
        *("scroll-text", "scroll-text-2", "stock-market", "use-colorwheel", "use-colorwheel-2"),
    )
)
START = (Path(__file__).parent / "start.js").read_text(encoding="utf-8")
# A page that was left or loaded again has forgotten the episode: the seed set above is gone.
SCORE = """() => window.shopfloorSeed === undefined ? null :
  { raw: WOB_RAW_REWARD_GLOBAL, done: WOB_DONE_GLOBAL, facts: WOB_DONE_GLOBAL ? null : (%s) }"""


@dataclass
class MiniWobTask:
    """One page with one seed."""

    family: str
    seed: int
    url: str
    suite: str = "miniwob"
    script = ""
    files = None
    goal: str = field(default="", init=False)  # known once the page has drawn it
    facts: Any = field(default=None, init=False, repr=False)  # what the oracle needs to know, as of now

    @property
    def id(self) -> str:
        return f"{self.suite}/{self.family}/{self.seed}"

    @property
    def max_steps(self) -> int:
        """Ten by the protocol; elsewhere as many as the shortest way needs."""
        own = ORACLES.get(self.family)
        return MAX_STEPS if self.seed >= PROTOCOL_A_FROM or own is None else own.steps

    async def setup(self, env: Environment) -> tuple[str, Observation]:
        browser = _browser(env)
        begin = f"({START})({page_seed(self.seed)})"
        anew = None if self.family in FORGETFUL else begin
        self.goal = await browser.open(Start(self.url, viewport=VIEWPORT), anew)
        if self.goal is None:  # else it is drawn at once, and the look itself finds out if it was not
            self.goal = await browser.page.evaluate(begin)
            await browser.settle()
        look = await env.observe()
        await self.check(env, None)
        return self.goal, look

    async def check(self, env: Environment, message: str | None) -> Outcome:
        own = ORACLES.get(self.family)
        score = await _browser(env).page.evaluate(SCORE % (own.facts if own else "null"))
        if score is None:
            return Outcome(False, over=True)
        self.facts = score["facts"]
        return Outcome(score["raw"] > 0, float(score["raw"]), over=score["done"])

    def oracle(self, observation: Observation, history: Sequence[Action]) -> Action:
        own = ORACLES.get(self.family)
        if own is None:
            raise LookupError(f"MiniWoB++'s {self.family} has no oracle here")
        scene = Scene(self.goal, observation, self.facts, tuple(history))
        action = own.oracle(scene)
        again = (
            bool(history) and str(history[-1]) == str(action) and not observation.error and not own.repeats
        )
        target = observation.find(action.targets[0]) if again and action.targets else None
        if target is not None and target.role in ("button", "link", "tab", "textbox"):
            return DONE  # the deciding click was made, and the page has not ended: nothing is left to do
        return action


class MiniWob(Suite):
    """The suite. It serves the pages itself, on loopback, so that addresses say nothing of this machine."""

    name = "miniwob"
    families: tuple[str, ...] = families()
    scripted: tuple[str, ...] = ()
    looks_only: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self._server: ThreadingHTTPServer | None = None

    def task(self, family: str, seed: int) -> MiniWobTask:
        if family not in self.families:
            raise KeyError(f"no MiniWoB++ task {family!r} here; there are {', '.join(self.families)}")
        if self._server is None:
            raise RuntimeError("use the suite as a context manager: async with MiniWob() as suite")
        port = self._server.server_address[1]
        return MiniWobTask(family, seed, f"http://127.0.0.1:{port}/miniwob/{family}.html")

    async def __aenter__(self) -> MiniWob:
        self._server = _Server(("127.0.0.1", 0), partial(_Pages, directory=str(_html())))
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._server is not None:
            self._server.shutdown()  # within one poll, 50 ms
            self._server.server_close()
            self._server = None


class _Server(ThreadingHTTPServer):
    """Says nothing of a browser that has gone away in the middle of a file."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        return


class _Pages(SimpleHTTPRequestHandler):
    """The package's files, said nothing about on stderr."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "max-age=3600")  # they never change: no need to ask for them again
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


def _html() -> Path:
    spec = find_spec("miniwob")  # found, not imported: it would start selenium
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the MiniWoB++ pages are missing: pip install miniwob")
    return Path(spec.origin).parent / "html"


def _browser(env: Environment) -> BrowserEnvironment:
    from tools.browser import BrowserEnvironment

    if not isinstance(env, BrowserEnvironment):
        raise EnvironmentDown("MiniWoB++ needs a browser environment (tools.browser)")
    return env
