"""`shopfloor report`: its page in a real browser, over real evaluations in MLflow and recorded episodes."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from agents.policies import Decision
from apps import evaluate
from apps.main import main
from eval.runner import summarise
from tools.actions import parse
from tools.chromium import LAUNCH_ARGS
from tools.observation import Box, Element, Observation
from training import registry
from trajectories.catalogue import Catalogue
from trajectories.episode import Episode, Step
from trajectories.store import Store
from trajectories.tasks import Outcome

FAMILIES = {"open-ticket": (9, 5), "close-ticket": (4, 4), "new-order": (0, 2)}  # solved of ten: now, before


def checkpoint(folder: Path, weights: str) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_text(weights)
    return folder


def screenshot() -> bytes:
    made = io.BytesIO()
    Image.effect_noise((320, 240), 80).convert("RGB").save(made, "PNG")
    return made.getvalue()


LOOK = Observation(
    "http://a/", "A", (320, 240), (Element(1, "button", "Save", Box(40, 30, 80, 20)),), screenshot()
)


def attempts(model: str, solved: dict[str, int]) -> list[Episode]:
    """Ten of each family, the first so many done right."""
    steps = tuple(
        Step(LOOK, Decision(parse('"Save" click(1)'), prompt_tokens=90), "m", 0.5) for _ in range(8)
    )
    return [
        Episode(
            f"{family}-{i}-{model[:4]}",
            f"helpdesk/{family}/{1_000_000 + i}",
            f'{family} <b>"{i}"</b>',
            steps,
            LOOK,
            Outcome(i < n),
            "done" if i < n or i % 2 else "budget",
            "model",
            model,
            "2026-11-28T10:00:00",
        )
        for family, n in solved.items()
        for i in range(10)
    ]


@pytest.fixture
def browser(chromium_path: str) -> Iterator[Browser]:
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium_path, args=LAUNCH_ARGS) as opened,
    ):
        yield opened


@pytest.mark.timeout(300)  # MLflow takes seconds to make a database
def test_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], browser: Browser
) -> None:
    """Figures are those evaluated, against the former on the same tasks; the page loads nothing, escapes what
    it shows, and fits a wide and a narrow window, light and dark."""
    released = checkpoint(tmp_path / "released", "before")
    monkeypatch.setattr(registry, "RELEASED", released)
    page = tmp_path / "reports" / "report.html"  # a folder that is not there yet
    assert main(["report", "--out", str(page)]) == 1
    assert "never evaluated" in capsys.readouterr().err

    version = registry.register(checkpoint(tmp_path / "better", "now"), {})
    registry.crown(version, "for this test")
    champion = registry.resolve()
    store = Store(tmp_path / "runs" / "episodes")
    for at, folder in enumerate((champion, released)):
        model = registry.label(folder)
        done = attempts(model, {family: both[at] for family, both in FAMILIES.items()})
        for one in done:
            store.add(one)
        told = {"suite": "helpdesk", "policy": "model", "model": model, "seed": 0, "without": ""}
        evaluate.log(summarise(done, [*FAMILIES], **told))
        blank = [replace(one, outcome=Outcome(False)) for one in done]
        evaluate.log(summarise(blank, [*FAMILIES], **told | {"without": "image"}))

    runs = str(tmp_path / "runs")
    rows, read = Catalogue.rows, Counter[Catalogue]()
    monkeypatch.setattr(Catalogue, "rows", lambda it, *args: read.update([it]) or rows(it, *args))
    assert main(["report", "--episodes", runs, "--out", str(page), "--json"]) == 0
    assert [*read.values()] == [1]  # a large store takes seconds each time
    said = json.loads(capsys.readouterr().out)
    (suite,) = said["suites"]
    assert suite["success"] == pytest.approx(13 / 30) and suite["before"]["success"] == pytest.approx(11 / 30)
    assert (suite["paired"]["wins"], suite["paired"]["losses"]) == (4, 2)
    assert suite["strong"] == ["open-ticket"] and suite["weak"] == ["new-order"]
    assert said["attempts"] == 30 and said["ends"] == {"success": 13, "done": 9, "budget": 8}
    assert said["tokens"]["total_prompt_tokens"] == 8 * 90

    html = page.read_text()
    assert not re.search(r"""(?:src|href)=["'](?!data:)|url\(|@import|<script""", html)
    for scheme, width in (("light", 1000), ("dark", 1000), ("light", 400)):
        shown = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 800})
        asked: list[str] = []
        shown.on("request", lambda request, asked=asked: asked.append(request.url))
        shown.goto(page.as_uri())
        assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        behind = shown.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (behind == "rgb(255, 255, 255)") == (scheme == "light")
        assert shown.locator(".sample").count() == 5  # two families were ever done right
        assert '<b>"0"</b>' in shown.locator(".sample").last.inner_text()
        pictures = shown.locator("image").evaluate_all("all => all.map(i => i.getBoundingClientRect().width)")
        assert len(pictures) == 5 * 6 and min(pictures) > 100
        assert shown.get_by_text("13 (43 %)").is_visible()
        assert (
            shown.locator("circle.now").count() == shown.locator("circle.before").count() == 3 + 1
        )  # the key's too
        shown.close()


def test_what_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--episodes", str(tmp_path / "no")]) == 2
    assert "eval had as --out" in capsys.readouterr().err
