"""AT-SPI, the accessibility tree of Linux applications, asked over D-Bus: one question, one answer.

An application answers from its own event loop. One that hangs answers nothing, so every question has a time
limit (`Silent`), and only some are under way at once: a connection with thousands of them breaks.

Not covered: what the answers mean together (`accessibility.py`). Interfaces as in at-spi2-core's `xml/`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from tools.environment import EnvironmentDown

ANSWER_SECONDS = 2.0  # a busy machine may keep a healthy application waiting
AT_ONCE = 64
START_SECONDS = 20.0
SCREEN = 0  # coordinates are of the whole screen
LABELLED_BY = 2


class State(IntEnum):
    """The states that are looked at, by AtspiStateType's numbers."""

    ACTIVE = 1
    CHECKED = 4
    EDITABLE = 7
    ENABLED = 8
    EXPANDABLE = 9
    EXPANDED = 10
    FOCUSED = 12
    MODAL = 16
    MULTI_LINE = 17
    PRESSED = 20
    SELECTABLE = 22
    SELECTED = 23
    SENSITIVE = 24
    SHOWING = 25
    MANAGES_DESCENDANTS = 31
    REQUIRED = 33


class Silent(Exception):
    """No answer: the application hangs, the object has gone, or it has no such interface."""


class Hung(Silent):
    """No answer in time."""


@dataclass(frozen=True)
class Node:
    """An accessible object: the connection of its application, and its path there."""

    bus: str
    path: str


ROOT = Node("org.a11y.atspi.Registry", "/org/a11y/atspi/accessible/root")


class AtSpi:
    """A connection to one desktop's accessibility bus."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._pids: dict[str, int] = {}

    @classmethod
    async def connect(cls, session_bus: str) -> AtSpi:
        """The accessibility bus that belongs to a session bus. Raises EnvironmentDown if none comes up."""
        session = await MessageBus(bus_address=session_bus).connect()
        try:
            address = await _address(session)
        finally:
            session.disconnect()
        return cls(await MessageBus(bus_address=address).connect())

    def close(self) -> None:
        self._bus.disconnect()

    async def applications(self) -> list[tuple[Node, int]]:
        """Every application that takes part, with its process."""
        found = [node for node in await self.children(ROOT) if node.bus]
        return [(node, await self._pid(node.bus)) for node in found]

    async def children(self, node: Node) -> list[Node]:
        """Raises Silent."""
        return [Node(*pair) for pair in await self.ask(node, "Accessible", "GetChildren")]

    async def states(self, node: Node) -> frozenset[State]:
        """Raises Silent."""
        low, high = await self.ask(node, "Accessible", "GetState")
        bits = low | high << 32
        return frozenset(state for state in State if bits >> state & 1)

    async def role(self, node: Node) -> str:
        """Raises Silent."""
        return str(await self.ask(node, "Accessible", "GetRoleName"))

    async def name(self, node: Node) -> str:
        """Raises Silent."""
        return str(await self.get(node, "Accessible", "Name"))

    async def extents(self, node: Node) -> tuple[int, int, int, int]:
        """Left, top, width, height on the screen. Raises Silent."""
        x, y, width, height = await self.ask(node, "Component", "GetExtents", "u", SCREEN)
        return x, y, width, height

    async def text(self, node: Node) -> str:
        """All of a field's text. Raises Silent."""
        return str(await self.ask(node, "Text", "GetText", "ii", 0, -1))

    async def labels(self, node: Node) -> list[Node]:
        """What the application says labels a field. Raises Silent."""
        relations = await self.ask(node, "Accessible", "GetRelationSet")
        return [Node(*target) for kind, targets in relations if kind == LABELLED_BY for target in targets]

    async def get(self, node: Node, interface: str, name: str) -> Any:
        """A property. Raises Silent."""
        full = f"org.a11y.atspi.{interface}"
        answer = await self._call(node, "org.freedesktop.DBus.Properties", "Get", "ss", full, name)
        return answer.value

    async def set(self, node: Node, interface: str, name: str, value: Variant) -> None:
        """Set a property. Raises Silent."""
        full = f"org.a11y.atspi.{interface}"
        await self._call(node, "org.freedesktop.DBus.Properties", "Set", "ssv", full, name, value)

    async def ask(self, node: Node, interface: str, member: str, signature: str = "", *arguments: Any) -> Any:
        """A method of one of AT-SPI's interfaces; its answer, several values as a list. Raises Silent."""
        return await self._call(node, f"org.a11y.atspi.{interface}", member, signature, *arguments)

    async def _call(
        self, node: Node, interface: str, member: str, signature: str = "", *arguments: Any
    ) -> Any:
        message = Message(node.bus, node.path, interface, member, signature=signature, body=[*arguments])
        async with self._gate:
            try:
                reply = await asyncio.wait_for(self._bus.call(message), ANSWER_SECONDS)
            except TimeoutError as error:
                raise Hung(f"{member}: no answer within {ANSWER_SECONDS:g} s") from error
            except (OSError, EOFError) as error:  # the bus has gone
                raise Silent(str(error)) from error
        if reply is None or reply.message_type is MessageType.ERROR:
            raise Silent(reply.error_name if reply is not None else "no reply")
        return reply.body[0] if len(reply.body) == 1 else reply.body

    async def _pid(self, bus: str) -> int:
        """The process behind a connection, as the bus knows it; 0 once it has gone."""
        if bus not in self._pids:
            daemon = Node("org.freedesktop.DBus", "/org/freedesktop/DBus")
            try:
                asked = "GetConnectionUnixProcessID"
                self._pids[bus] = int(await self._call(daemon, "org.freedesktop.DBus", asked, "s", bus))
            except Silent:
                return 0
        return self._pids[bus]


async def _address(session: MessageBus) -> str:
    """Where the accessibility bus listens, once its launcher is there."""
    until = asyncio.get_running_loop().time() + START_SECONDS
    while asyncio.get_running_loop().time() < until:
        reply = await session.call(Message("org.a11y.Bus", "/org/a11y/bus", "org.a11y.Bus", "GetAddress"))
        if reply is not None and reply.message_type is not MessageType.ERROR and reply.body[0]:
            return str(reply.body[0])
        await asyncio.sleep(0.02)
    raise EnvironmentDown(f"the accessibility bus did not come up within {START_SECONDS:g} s")


def one_line(text: str, strip: Sequence[str] = ("...", "…", ":")) -> str:
    """A name without line ends, padding, and the marks that only decorate it."""
    text = " ".join(text.split())
    for mark in strip:
        text = text.removesuffix(mark).rstrip()
    return text
