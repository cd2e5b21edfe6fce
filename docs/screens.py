"""docs/chat.svg, made from a real terminal: a chat in tmux, typed to, and what then stood on the screen.

    python docs/screens.py            # the released model on the demo help desk; needs tmux; a minute

Not covered: docs/episode.png and docs/view.png, which are of the viewer.
"""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH, HEIGHT = 96, 56
SECONDS = 900.0  # for an answer; a busy machine takes its time
SAID = (  # what is typed, one after the other, each once the prompt is there again
    'Search for "Torres".',
    'Search for "Nilsson".',
    "/memory",
    "/undo",
)


def tmux(*words: str) -> str:
    command = ["tmux", "-L", "shopfloor-screens", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def until_asked(prompts: int) -> None:
    """Wait until so many prompts have been shown, the last one still open."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        lines = tmux("capture-pane", "-p", "-t", "chat").rstrip().splitlines()
        if sum(line.startswith("task>") for line in lines) >= prompts and lines[-1].strip() == "task>":
            return
        time.sleep(1)
    raise TimeoutError(tmux("capture-pane", "-p", "-t", "chat"))


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="shopfloor-") as folder:
        chat = shlex.join([sys.executable, "-m", "apps.main", "chat"])
        size = ("-x", str(WIDTH), "-y", str(HEIGHT))
        root = Path(__file__).parents[1]
        # A new user's: nothing remembered, nothing set.
        alone = (
            f"unset ${{!SHOPFLOOR_*}}; cd {shlex.quote(folder)}; PYTHONPATH={shlex.quote(str(root))} {chat}"
        )
        tmux("new-session", "-d", "-s", "chat", *size, shlex.join(["bash", "-c", f"{alone}; sleep 9"]))
        try:
            until_asked(1)
            for number, line in enumerate(SAID, 2):
                tmux("send-keys", "-t", "chat", "-l", line)
                tmux("send-keys", "-t", "chat", "Enter")
                until_asked(number)
            shown = tmux("capture-pane", "-p", "-e", "-t", "chat").rstrip()
        finally:
            tmux("kill-server")
    console = Console(
        record=True, width=WIDTH, file=io.StringIO(), color_system="truecolor", force_terminal=True
    )
    console.print(Text.from_ansi(f"$ shopfloor chat\n{shown}"))
    drawn = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="shopfloor chat"), flags=re.DOTALL)
    Path(__file__).with_name("chat.svg").write_text(drawn, encoding="utf-8")  # fonts are not fetched


if __name__ == "__main__":
    main()
