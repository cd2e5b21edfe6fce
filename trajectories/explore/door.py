"""Getting into the app: signed in, put back as it was, and alone while it is written to.

A sign-in is a program of our own actions whose secrets stand as `{{NAME}}`; their values come from the
environment (`SHOPFLOOR_SECRET_NAME`) and go nowhere but into the page: no file, log or message has them.

    fill(textbox("Username"), "ada")
    fill(textbox("Password"), "{{PASSWORD}}")
    click(button("Log in"))

Episodes begin after it. Not covered: sign-ins that ask for a second factor.
"""

from __future__ import annotations

import asyncio
import fcntl
import subprocess
from dataclasses import replace
from typing import IO, Any

from agents.program import Act, parse_line
from tools import secrets, settings
from tools.actions import Action, ActionError
from tools.browser import BrowserEnvironment
from tools.environment import Start
from tools.observation import Observation
from tools.slots import filled
from trajectories.explore.demonstration import place
from trajectories.explore.site import Access, SiteError, map_file

RESET_SECONDS = 60
POLL = 0.01  # seconds between two looks at a lock
TALL = (1024, 1800)  # a page loaded anew is looked at whole


def check_sign_in(program: str) -> None:
    """Raises SiteError where the program can't be read or a secret is not set; "" is no sign-in."""
    if not program:
        return
    try:
        steps = parse_line(program).steps
    except ActionError as error:
        raise SiteError(f"the sign-in can't be read: {error}") from error
    if any(isinstance(step, Act) for step in steps):
        raise SiteError("the sign-in can't have act(...): write each call")
    try:
        secrets.named_in(program)
    except settings.SettingsError as error:
        raise SiteError(f"the sign-in can't be done: {error}") from error


class Door:
    """One worker's way into an app. Holds the session in memory, and at most one lock."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._session: dict[str, Any] | None = None
        self._lock: IO[str] | None = None
        self.wrote = False
        self._aside: BrowserEnvironment | None = None

    def start(self, where: str, writes: bool = False) -> Start:
        may = writes and self.access.writes
        return Start(self.access.address(where), writes=may, session=self._session)

    async def enter(self, env: BrowserEnvironment, where: str, writes: bool = False) -> Observation:
        """Open a place, signed in, in the app as it was at the start. Only with `writes` may anything but GET
        and HEAD be sent; then nobody else is in the app until this door is entered again or left.

        Raises SiteError, or EnvironmentDown if the app is down.
        """
        await self.leave()
        if self.access.reset:
            await asyncio.sleep(2 * POLL)  # whoever waits comes first
            await self._take(fcntl.LOCK_EX if writes else fcntl.LOCK_SH)
        self.wrote = writes
        if self.access.sign_in and self._session is None:
            await self._sign_in(env)
        look = await env.reset(self.start(where, writes))
        if self.access.sign_in and (place(look.url) != where or await _asks_password(env)):
            # The session has ended: somebody signed out, or the app was put back to before it began.
            await self._sign_in(env)
            look = await env.reset(self.start(where, writes))
        return look

    async def anew(self, env: BrowserEnvironment, where: str, *actions: Action) -> Observation:
        """A page loaded anew beside the one in sight, seen whole, after some actions there."""
        if self._aside is None:
            self._aside = env.beside()
            look = await self._aside.reset(replace(self.start(where), viewport=TALL))
        else:
            look = await self._aside.step(Action("goto", (self.access.address(where),)))
        for action in actions:
            look = await self._aside.step(action)
        return look

    async def _sign_in(self, env: BrowserEnvironment) -> None:
        program = parse_line(self.access.sign_in)
        check_sign_in(self.access.sign_in)
        values = secrets.named_in(self.access.sign_in)
        look = await env.reset(Start(self.access.url))
        for step in program.actions:
            look = await env.step(filled(step, values))
            if look.error:  # whose words may hold the secret; the step as written does not
                raise SiteError(f"the sign-in failed at {step}; is it right for {self.access.url}?")
        if await _asks_password(env):
            raise SiteError(f"the sign-in did not work: {place(look.url)} still asks for a password")
        self._session = await env.session()
        if self._aside is not None:  # it is signed in as before
            await self._aside.close()
            self._aside = None

    async def reset(self) -> None:
        """Put the app back. Raises SiteError."""
        if not self.access.reset:
            return
        run = await asyncio.create_subprocess_shell(
            self.access.reset, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            _, said = await asyncio.wait_for(run.communicate(), RESET_SECONDS)
        except TimeoutError as error:
            run.kill()
            raise SiteError(f"the reset command took more than {RESET_SECONDS} s") from error
        if run.returncode:
            raise SiteError(f"the reset command failed ({run.returncode}): {said.decode()[-300:].strip()}")

    async def put_back(self) -> None:
        """The app as it was, whatever a run that was killed has left; waits for who is in it now."""
        if self.access.reset:
            await self._take(fcntl.LOCK_EX)
            self.wrote = True
            await self.leave()

    async def leave(self) -> None:
        """Put the app back if it was written to, and let others in."""
        if self._lock is None:
            return
        try:
            if self.wrote:
                await self.reset()
        finally:
            self.wrote = False
            self._lock.close()  # which unlocks it
            self._lock = None

    async def _take(self, kind: int) -> None:
        """Many may read at once; who writes is alone. Held across processes, freed if one dies."""
        path = map_file(self.access.url).with_suffix(".lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
        try:
            while True:
                try:
                    fcntl.flock(file, kind | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(POLL)
        except BaseException:
            file.close()
            raise
        self._lock = file


async def _asks_password(env: BrowserEnvironment) -> bool:
    """Whether the page in sight has a field for one, as an app's pages have where nobody is signed in."""
    return "password" in (await env.ask("(field) => (field && field.type) || ''")).values()
