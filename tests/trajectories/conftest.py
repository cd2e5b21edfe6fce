"""A help desk and a page in a real browser, one of each for all tests of a module that take turns on them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tools.browser import Browser, BrowserEnvironment
from trajectories.helpdesk.suite import HelpDesk


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def suite() -> AsyncIterator[HelpDesk]:
    async with HelpDesk() as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def env(chromium_path: str) -> AsyncIterator[BrowserEnvironment]:
    async with Browser() as browser:
        yield browser.environment()
