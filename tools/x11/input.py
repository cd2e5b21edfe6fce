"""Mouse and keyboard of an X11 display, through the XTest extension: what applications get is real input.

A character that the keyboard lacks is put on a spare key, two to a key, one of them with Shift. That is done
for many at once, for applications look keys up when they come to them: one changed under a key that still
waits would type another character.

Not covered: where to click (`accessibility.py`); input methods, which a private desktop turns off; a second
keyboard layout that is switched on, and Caps Lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence

from Xlib import XK, X
from Xlib.display import Display
from Xlib.ext import xtest

from tools.actions import quote

LEARNING = 0.15  # seconds after which every application has the new keyboard
BURST = 64  # characters typed without waiting for the application
NAMES = {  # Playwright's names, X's
    "Enter": "Return",
    "Backspace": "BackSpace",
    "ArrowLeft": "Left",
    "ArrowRight": "Right",
    "ArrowUp": "Up",
    "ArrowDown": "Down",
    "PageUp": "Prior",
    "PageDown": "Next",
    "Space": "space",
    " ": "space",
    "ContextMenu": "Menu",
    "Control": "Control_L",
    "Shift": "Shift_L",
    "Alt": "Alt_L",
    "Meta": "Super_L",
}
MODIFIERS = frozenset({"Control", "Shift", "Alt", "Meta"})
TYPED = {"\n": "Return", "\t": "Tab"}
LEFT, MIDDLE, RIGHT = 1, 2, 3
WHEEL = {(0, -1): 4, (0, 1): 5, (-1, 0): 6, (1, 0): 7}


class NoKey(ValueError):
    """A key that is not there; the message says which."""


class Halted(Exception):
    """The person has taken over; the message says how that was noticed."""


class Input:
    """One display's mouse and keyboard. `drained` waits until applications have taken in what was typed.

    `may` is asked before everything that is done, and raises Halted where it may not be.
    """

    def __init__(
        self,
        display: Display,
        drained: Callable[[], Awaitable[None]],
        may: Callable[[], None] = lambda: None,
    ) -> None:
        self._display = display
        self._drained = drained
        self._may = may
        first, last = display.display.info.min_keycode, display.display.info.max_keycode
        keys = display.get_keyboard_mapping(first, last - first + 1)
        self._codes: dict[int, tuple[int, bool]] = {}  # keysym: keycode, with Shift
        self._spare: list[tuple[int, bool]] = []  # likewise
        for code, symbols in enumerate(keys, start=first):
            if not any(symbols):
                self._spare += (code, False), (code, True)
            for shifted in (True, False):
                symbol = symbols[int(shifted)] if len(symbols) > int(shifted) else 0
                if symbol and (symbol not in self._codes or (self._codes[symbol][1] and not shifted)):
                    self._codes[symbol] = code, shifted
        self._lent: dict[tuple[int, bool], int] = {}  # keysyms of spare keys, least lately lent first

    def move(self, x: float, y: float) -> None:
        self._may()
        xtest.fake_input(self._display, X.MotionNotify, x=round(x), y=round(y))
        self._display.sync()

    def click(self, x: float, y: float, count: int = 1, button: int = LEFT) -> None:
        self.move(x, y)
        for _ in range(count):
            xtest.fake_input(self._display, X.ButtonPress, button)
            xtest.fake_input(self._display, X.ButtonRelease, button)
        self._display.sync()

    async def drag(self, points: Sequence[tuple[float, float]]) -> None:
        """Press at the first point, go through the others, release at the last."""
        self.move(*points[0])
        xtest.fake_input(self._display, X.ButtonPress, LEFT)
        try:
            for x, y in points[1:]:
                self.move(x, y)
                await asyncio.sleep(0.02)  # some applications note a drag only after it has moved twice
        finally:
            xtest.fake_input(self._display, X.ButtonRelease, LEFT)
            self._display.sync()

    def wheel(self, dx: int, dy: int) -> None:
        """Turn the wheel by that many notches, where the mouse is; right and down count up."""
        self._may()
        for amount, axis in ((dx, (1, 0)), (dy, (0, 1))):
            sign = 1 if amount > 0 else -1
            button = WHEEL[axis[0] * sign, axis[1] * sign]
            for _ in range(abs(amount)):
                xtest.fake_input(self._display, X.ButtonPress, button)
                xtest.fake_input(self._display, X.ButtonRelease, button)
        self._display.sync()

    async def press(self, keys: str) -> None:
        """Press keys together, as in `Control+a`. Raises NoKey."""
        *held, last = _split(keys)
        if wrong := [key for key in held if key not in MODIFIERS]:
            raise NoKey(f"there is no key {quote(wrong[0])}")
        if len(last) == 1:
            await self._learn([_symbol(last)])
            code, shifted = self._codes[_symbol(last)]
        else:
            symbol = XK.string_to_keysym(NAMES.get(last, last))
            if symbol not in self._codes:
                raise NoKey(f"there is no key {quote(last)}")
            code, shifted = self._codes[symbol]
        codes = [self._codes[XK.string_to_keysym(NAMES[key])][0] for key in held]
        self._stroke(code, [*codes, *self._shift(shifted and "Shift" not in held)])
        self._display.sync()

    async def type(self, text: str) -> None:
        """Type any text: whatever Unicode has, line ends and tabs by their keys. Raises NoKey where the
        keyboard lacks a character and has no spare key for it."""
        for piece in self._pieces(text):
            await self._learn([_symbol(c) for c in piece])
            for start in range(0, len(piece), BURST):
                for character in piece[start : start + BURST]:
                    code, shifted = self._codes[_symbol(character)]
                    self._stroke(code, self._shift(shifted))
                self._display.sync()
                await self._drained()

    def _pieces(self, text: str) -> Iterator[str]:
        """The text in pieces, each of which the spare keys suffice for."""
        piece, strange = "", set[int]()
        for character in text.replace("\r\n", "\n"):
            symbol = _symbol(character)
            if symbol not in self._codes or symbol in self._lent.values():
                if len(strange | {symbol}) > len(self._spare):
                    yield piece
                    piece, strange = "", set()
                strange.add(symbol)
            piece += character
        yield piece

    async def _learn(self, symbols: Sequence[int]) -> None:
        """Put what the keyboard lacks on spare keys."""
        wanted = list(dict.fromkeys(symbols))
        new = [symbol for symbol in wanted if symbol not in self._codes]
        if not new:
            return
        await self._drained()
        free = [key for key in self._spare if key not in self._lent]
        free += [key for key, symbol in self._lent.items() if symbol not in wanted]
        if len(free) < len(new):
            lacks = chr(new[len(free)] & 0xFFFFFF)  # `_symbol`, backwards
            raise NoKey(f"this keyboard has no key for {quote(lacks)}, and no spare one to make it")
        lent = dict(zip(free, new, strict=False))
        for key, symbol in lent.items():
            if (before := self._lent.pop(key, None)) is not None:
                del self._codes[before]
            self._lent[key] = symbol
            self._codes[symbol] = key
        for code in dict.fromkeys(code for code, _ in lent):
            plain, shifted = self._lent.get((code, False)), self._lent.get((code, True))
            # Never nothing beside one: X would make an upper and a lower case of that.
            pair = plain or shifted or X.NoSymbol, shifted or plain or X.NoSymbol
            self._display.change_keyboard_mapping(code, [pair])
        self._display.sync()
        await asyncio.sleep(LEARNING)

    def _shift(self, wanted: bool) -> list[int]:
        return [self._codes[XK.XK_Shift_L][0]] if wanted else []

    def give_back(self) -> None:
        """Empty the spare keys again."""
        for code in {code for code, _ in self._lent}:
            self._display.change_keyboard_mapping(code, [(X.NoSymbol, X.NoSymbol)])
        for symbol in self._lent.values():
            del self._codes[symbol]
        self._lent.clear()
        self._display.sync()

    def _stroke(self, code: int, held: Sequence[int]) -> None:
        self._may()
        for key in held:
            xtest.fake_input(self._display, X.KeyPress, key)
        xtest.fake_input(self._display, X.KeyPress, code)
        xtest.fake_input(self._display, X.KeyRelease, code)
        for key in reversed(held):
            xtest.fake_input(self._display, X.KeyRelease, key)


def _symbol(character: str) -> int:
    """X's number of a character: Latin-1 has its own, all else comes from Unicode."""
    if character in TYPED:
        return int(XK.string_to_keysym(TYPED[character]))
    code = ord(character)
    return code if 0x20 <= code <= 0x7E or 0xA0 <= code <= 0xFF else 0x01000000 | code


def _split(keys: str) -> list[str]:
    """`Control+Shift+a` in its parts; the plus itself is a key too."""
    return [*keys[:-2].split("+"), "+"] if keys.endswith("++") else keys.split("+") if keys != "+" else ["+"]
