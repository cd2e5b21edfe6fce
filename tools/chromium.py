"""Finding a Chromium and the flags that make its pixels repeatable and its network quiet.

Not covered: installing one (the Makefile does) and driving it (`browser.py`).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from tools.environment import EnvironmentDown

ON_PATH = ("chromium", "chromium-browser", "google-chrome")
# Without a window to draw, Debian's headless shell needs half the processor time of the whole browser.
HEADLESS_ON_PATH = ("chromium-headless-shell", *ON_PATH)

# No --disable-features here: a second one would undo Playwright's own (no HTTPS upgrades, no translation).
LAUNCH_ARGS = [
    "--disable-gpu",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--disable-lcd-text",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
    "--no-pings",
    "--metrics-recording-only",
    # What a page appends anew on hovering, to bring it to the front, must not lose its click to the parent.
    "--disable-blink-features=BoundaryEventDispatchTracksNodeRemoval",
]
if hasattr(os, "geteuid") and os.geteuid() == 0:
    LAUNCH_ARGS.append("--no-sandbox")  # Chromium refuses to run as root with its sandbox


def find_chromium(headless: bool = True) -> str:
    """The browser to run: SHOPFLOOR_CHROMIUM, Playwright's own, else one on the PATH.

    Raises EnvironmentDown saying what to do.
    """
    chosen = os.environ.get("SHOPFLOOR_CHROMIUM")
    if chosen:
        found = shutil.which(chosen)
        if found is None:
            raise EnvironmentDown(f"SHOPFLOOR_CHROMIUM={chosen} is not a program; correct or unset it")
        return found
    own = _playwrights_own()
    if own is not None:
        return own
    for name in HEADLESS_ON_PATH if headless else ON_PATH:
        found = shutil.which(name)
        if found is not None:
            return found
    raise EnvironmentDown(
        "no Chromium: run `playwright install --with-deps chromium` or `apt-get install chromium`, "
        "or set SHOPFLOOR_CHROMIUM to the path of one"
    )


def _playwrights_own() -> str | None:
    """The Chromium that `playwright install` put in place, found without starting Playwright."""
    package = find_spec("playwright")
    if package is None or package.origin is None:
        return None
    listing = Path(package.origin).parent / "driver" / "package" / "browsers.json"
    if not listing.is_file():
        return None
    browsers = json.loads(listing.read_text(encoding="utf-8"))["browsers"]
    revision = next((b["revision"] for b in browsers if b["name"] == "chromium"), None)
    caches = {"darwin": "~/Library/Caches/ms-playwright"}
    root = os.environ.get("PLAYWRIGHT_BROWSERS_PATH", caches.get(sys.platform, "~/.cache/ms-playwright"))
    folder = Path(root).expanduser() / f"chromium-{revision}"
    programs = ("chrome-linux64/chrome", "chrome-linux/chrome")
    return next((str(folder / p) for p in programs if (folder / p).is_file()), None)
