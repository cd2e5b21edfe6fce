"""What is had of one running desktop: its processes, and the connections to them.

Not covered: what is done with them (`tools/desktop.py`, `acting.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Protocol

from PIL import Image, ImageGrab
from Xlib.display import Display
from Xlib.error import ConnectionClosedError, DisplayConnectionError

from tools.x11.atspi import AtSpi
from tools.x11.clipboard import Clipboard
from tools.x11.input import Input
from tools.x11.pulse import Pulse
from tools.x11.windows import Windows

LOST = (ConnectionClosedError, DisplayConnectionError)


class Running(Protocol):
    """Display, bus and applications: a private desktop's (`Session`), or the person's (`OwnSession`)."""

    display: str
    bus: str
    folder: Path  # of its own, outside the home folder
    home: Path
    inside: Path  # the home folder as applications see it

    @property
    def exited(self) -> Mapping[int, int]: ...

    @property
    def alive(self) -> bool: ...

    @property
    def roots(self) -> tuple[int, ...]: ...

    async def run(self, argv: list[str], out: Path | None = None) -> int: ...

    async def end(self, pid: int) -> None: ...

    async def stop(self) -> None: ...


class Screen:
    """What is had of one running desktop: its processes, and the connections to them."""

    def __init__(
        self,
        session: Running,
        atspi: AtSpi,
        drained: Callable[[], Coroutine[Any, Any, None]],
        may: Callable[[], None] = lambda: None,
    ) -> None:
        self.session = session
        self.atspi = atspi
        self.display = Display(session.display)
        try:
            self.windows = Windows(self.display)
            self.input = Input(self.display, drained, may)
            self.pulse = Pulse(session.display)
        except BaseException:
            self.display.close()
            raise
        self.launched: dict[int, str] = {}  # process: application
        self.ended: set[int] = set()  # processes whose end has been told of
        self._clipboard: Clipboard | None = None

    @classmethod
    async def connected(
        cls,
        session: Running,
        drained: Callable[[], Coroutine[Any, Any, None]],
        may: Callable[[], None] = lambda: None,
    ) -> Screen:
        """The connections to a desktop that runs. Where one can't be had the others are closed, and the
        desktop is stopped."""
        async with AsyncExitStack() as undo:
            undo.push_async_callback(session.stop)
            atspi = await AtSpi.connect(session.bus)
            undo.callback(atspi.close)
            screen = cls(session, atspi, drained, may)
            undo.pop_all()
        return screen

    def grab(self) -> Image.Image:
        """A picture of the whole screen. Raises one of LOST where the display has gone."""
        try:
            return ImageGrab.grab(xdisplay=self.session.display)
        except OSError as error:  # Pillow's, whatever went wrong between it and the X server
            raise ConnectionClosedError(f"X server: {error}") from error

    @property
    def clipboard(self) -> Clipboard:
        """What applications copy and paste; connected to when it is first asked for."""
        if self._clipboard is None:
            self._clipboard = Clipboard(self.session.display)
        return self._clipboard

    async def close(self) -> None:
        if self._clipboard is not None:
            self._clipboard.close()
        self.pulse.close()
        self.atspi.close()
        with suppress(*LOST):
            self.display.close()
        await self.session.stop()
