"""Where an application to explore lives, and its own virtual environment: `$SHOPFLOOR_HOME/apps/NAME`.

Not covered: the applications (`library_admin.py`, `tracker.py`, `tables.py`).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import venv
from pathlib import Path


def arguments(text: str, port: int) -> argparse.Namespace:
    """`--port` and `--seed`, the same for every application."""
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--port", type=int, default=port, help=f"on 127.0.0.1 ({port})")
    parser.add_argument("--seed", type=int, default=0, help="of the sample data (0)")
    return parser.parse_args()


def pool(text: str) -> list[str]:
    """The items of a list written in one text, between commas."""
    return [item.strip() for item in text.split(",")]


def folder(name: str) -> Path:
    """The application's folder under the state folder, made if missing."""
    path = Path(os.environ.get("SHOPFLOOR_HOME") or ".shopfloor").absolute() / "apps" / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def programs(name: str, *packages: str) -> Path:
    """The programs of a virtual environment with these packages, which are installed once."""
    place = folder(name) / "venv"
    if not (place / "installed").exists():
        venv.create(place, clear=True, with_pip=True)
        subprocess.run([place / "bin" / "pip", "install", "--quiet", *packages], check=True)
        (place / "installed").touch()
    return place / "bin"


def say(name: str, url: str, reset: str = "", sign_in: str = "") -> None:
    """What to type to explore it."""
    print(f"{name}: {url}")
    if sign_in:
        print(f"sign in:  {sign_in}")
    if reset:
        print(f"--reset   {reset!r}", flush=True)
