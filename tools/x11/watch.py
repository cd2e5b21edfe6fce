"""The mark on a person's screen while an agent acts there, and the stop at their first touch.

    watch = Watch(":0", touched)       # touched("you moved the mouse"), at most once a `begin`, from a thread
    watch.begin()                      # the mark is shown; from here on any key or touch of the mouse stops
    watch.may()                        # raises Halted once that has come
    watch.rest()                       # no mark; the person may do what they like

The X server says of each raw event which device it came from (XInput 2). What is ours comes from XTest's own
two devices; all else is a hand's. A connection and a thread of its own, so that no work here delays the stop.

Not covered: hands that come through XTest too (x11vnc, xdotool), which look like ours.
"""

from __future__ import annotations

import os
import select
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from Xlib import X
from Xlib.error import ConnectionClosedError, XError
from Xlib.ext import ge, shape, xinput

from tools.environment import EnvironmentDown
from tools.x11.input import Halted
from tools.x11.own import connected

WORDS = "Shopfloor is at work here. Any key or touch of the mouse stops it."
COLOUR = 0xE06000
WIDTH = 4  # pixels of the frame
GRACE = 0.4  # seconds for a hand to leave keyboard and mouse, before which nothing may be done
OURS = "XTEST"  # in the names of the devices that XTest acts through
TOUCHES = {
    xinput.RawKeyPress: "you pressed a key",
    xinput.RawButtonPress: "you pressed a mouse button",
    xinput.RawMotion: "you moved the mouse",
}
MASK = xinput.RawKeyPressMask | xinput.RawButtonPressMask | xinput.RawMotionMask


class Watch:
    """One display watched. Raises EnvironmentDown where that can't be."""

    def __init__(self, display: str, touched: Callable[[str], None] = lambda how: None) -> None:
        self.touched = touched
        self.how = ""  # what the person did, once they have
        self._since = 0.0  # when `begin` was; 0: at rest
        self._ready = threading.Event()
        self._failed: Exception | None = None
        self._ended = False  # nobody watches any more
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._run, args=(display,), name="watch", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failed is not None:
            self.close()
            raise EnvironmentDown(f"{display} can't be watched: {self._failed}") from self._failed

    @property
    def acting(self) -> bool:
        return self._since > 0

    def begin(self) -> None:
        """Show the mark and watch; what was touched before is forgotten."""
        self.how = ""
        self._since = time.monotonic()
        self._tell(b"m")

    def rest(self) -> None:
        """Take the mark away; nothing is a stop until the next `begin`."""
        self._since = 0.0
        self._tell(b"u")

    def may(self) -> None:
        """Raises Halted where the person has taken over, or nobody has begun, or nobody watches."""
        if self._ended:
            raise Halted("your hands can't be watched any more")
        if self.how or not self.acting:
            raise Halted(self.how or "nothing is done on your screen now")

    @property
    def grace(self) -> float:
        """Seconds until the first touch counts."""
        return max(0.0, self._since + GRACE - time.monotonic())

    def close(self) -> None:
        self._since = 0.0
        self._tell(b"q")
        self._thread.join(timeout=5)
        for end in (self._wake, self._waker):
            with suppress(OSError):
                os.close(end)

    def _tell(self, what: bytes) -> None:
        with suppress(OSError):
            os.write(self._waker, what)

    # ---- the thread --------------------------------------------------------------------------------------

    def _run(self, name: str) -> None:
        try:
            self._display = connected(name)
            try:
                self._listen()
                self._windows = self._mark()
                self._ready.set()
                while self._turn():
                    pass
            finally:
                self._ended = True
                self._display.close()
        except (EnvironmentDown, XError, ConnectionClosedError, OSError) as error:
            self._failed = error
        finally:
            self._ready.set()

    def _turn(self) -> bool:
        """Take in what has come; False at the end."""
        if not self._display.pending_events():
            ready, _, _ = select.select([self._wake, self._display.fileno()], [], [])
            if self._wake in ready:
                for command in os.read(self._wake, 64).decode():
                    if command == "q":
                        return False
                    self._show(command == "m")
        while self._display.pending_events():
            event = self._display.next_event()
            if event.type == ge.GenericEventCode:
                self._raw(event.evtype, bytes(event.data))
            elif event.type == X.Expose:
                self._write()
        return True

    def _raw(self, kind: int, data: bytes) -> None:
        """A raw event: device, time, detail, source (XI2proto.h: xXIRawEvent)."""
        _, _, _, source = struct.unpack_from("=HIIH", data)
        if kind in TOUCHES and source not in self._ours and self.acting and not self.how and not self.grace:
            self.how = TOUCHES[kind]
            self._show(False)
            self.touched(self.how)

    def _listen(self) -> None:
        display = self._display
        opcode = display.display.get_extension_major(xinput.extname)
        # From 2.1 on raw events come while another has grabbed the mouse too, and tell their source.
        version = xinput.XIQueryVersion(
            display=display.display, opcode=opcode, major_version=2, minor_version=2
        )
        if (version.major_version, version.minor_version) < (2, 1):
            raise EnvironmentDown(f"XInput {version.major_version}.{version.minor_version} is older than 2.1")
        display.display.ge_event_data = {}  # of these events we want the bytes
        found = display.xinput_query_device(xinput.AllDevices).devices
        self._ours = frozenset(device.deviceid for device in found if OURS in device.name)
        root = display.screen().root
        root.xinput_select_events([(xinput.AllMasterDevices, MASK)])
        display.sync()

    def _mark(self) -> list[X.Window]:
        """A frame around the screen, and a line that says what it means; clicks go through both."""
        screen = self._display.screen()
        width, height = screen.width_in_pixels, screen.height_in_pixels
        font = self._display.open_font("fixed")  # one of the two that every X server has
        extents = font.query_text_extents(WORDS.encode())
        label_width, label_height = extents.overall_width + 16, extents.font_ascent + extents.font_descent + 6
        boxes = [
            (0, 0, width, WIDTH),
            (0, height - WIDTH, width, WIDTH),
            (0, 0, WIDTH, height),
            (width - WIDTH, 0, WIDTH, height),
            ((width - label_width) // 2, 0, label_width, label_height),
        ]
        made = []
        for box in boxes:
            window = screen.root.create_window(
                *box, 0, screen.root_depth, override_redirect=True, background_pixel=COLOUR,
                event_mask=X.ExposureMask,
            )  # fmt: skip
            window.shape_rectangles(shape.SO.Set, shape.SK.Input, 0, 0, 0, [])
            made.append(window)
        self._label, self._baseline = made[-1], extents.font_ascent + 3
        self._context = self._label.create_gc(foreground=0xFFFFFF, background=COLOUR, font=font)
        return made

    def _show(self, shown: bool) -> None:
        for window in self._windows:
            if shown:
                window.map()
                window.configure(stack_mode=X.Above)
            else:
                window.unmap()
        if shown:
            self._write()
        self._display.sync()

    def _write(self) -> None:
        self._label.draw_text(self._context, 8, self._baseline, WORDS.encode())
        self._display.flush()
