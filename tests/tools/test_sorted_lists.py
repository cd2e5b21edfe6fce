"""Lists that jQuery UI sorts by dragging: each item is listed; dropped on another it takes its place."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tools.actions import parse
from tools.browser import Browser
from tools.environment import Start


@pytest.mark.asyncio
async def test_an_item_takes_the_place_it_is_dropped_on(tmp_path: Path) -> None:
    """The list hears the mouse for its items; to the last place and to the first, down and up."""
    spec = find_spec("miniwob")  # the package brings jQuery UI
    assert spec is not None and spec.origin is not None
    library = Path(spec.origin).parent / "html" / "core" / "jquery-ui"
    scripts = [library / "external" / "jquery" / "jquery.js", library / "jquery-ui.min.js"]
    loaded = "".join(f"<script src='{script.as_uri()}'></script>" for script in scripts)
    page = tmp_path / "list.html"
    page.write_text(
        f"<ul id=list><li>Ash<li>Birch<li>Cedar<li>Elm</ul>{loaded}<script>$('#list').sortable()</script>"
    )
    async with Browser() as browser:
        env = browser.environment()
        seen = await env.reset(Start(page.as_uri()))
        assert [e.name for e in seen.actionable()] == ["Ash", "Birch", "Cedar", "Elm"]
        seen = await env.step(parse('drag_and_drop(clickable("Ash"), clickable("Elm"))'))
        assert [e.name for e in seen.actionable()] == ["Birch", "Cedar", "Elm", "Ash"]
        seen = await env.step(parse('drag_and_drop(clickable("Elm"), clickable("Birch"))'))
        assert [e.name for e in seen.actionable()] == ["Elm", "Birch", "Cedar", "Ash"]
