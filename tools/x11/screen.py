"""What is had of one running desktop: its processes, and the connections to them.

Not covered: what is done with them (`tools/desktop.py`, `acting.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from PIL import Image, ImageGrab
from Xlib.display import Display
from Xlib.error import ConnectionClosedError, DisplayConnectionError

from tools.x11.atspi import AtSpi
from tools.x11.input import Input
from tools.x11.session import Session
from tools.x11.windows import Windows

LOST = (ConnectionClosedError, DisplayConnectionError)


class Screen:
    """What is had of one running desktop: its processes, and the connections to them."""

    def __init__(
        self, session: Session, atspi: AtSpi, drained: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self.session = session
        self.atspi = atspi
        self.display = Display(session.display)
        self.windows = Windows(self.display)
        self.input = Input(self.display, drained)
        self.launched: dict[int, str] = {}  # process: application
        self.ended: set[int] = set()  # processes whose end has been told of

    def grab(self) -> Image.Image:
        return ImageGrab.grab(xdisplay=self.session.display)

    async def close(self) -> None:
        self.atspi.close()
        with suppress(*LOST):
            self.display.close()
        await self.session.stop()
