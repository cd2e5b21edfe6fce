"""A scripted model behind a real OpenAI-compatible endpoint: for tests, demonstrations and drills.

    with ScriptedServer({"act:": ['"Save" click(3)', 'send_msg_to_user("done")']}) as server:
        endpoint = Endpoint(server.url, "scripted")

An answer is chosen by the cue that the question ends with (`act:`, `plan:`, `check plan:`, `check result:`),
in order, the last one again and again. It may be a function of the question's text, such as `pick("Save")`.

Not covered: streaming, and anything that learns; the project's own server is `apps/server.py`.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tools.actions import quote

Answer = str | Callable[[str], str]
CUES = ("check plan:", "check result:", "plan:", "act:")
DEFAULT: Mapping[str, Sequence[Answer]] = {
    "plan:": ["act(goal)"],
    "check plan:": ["approve"],
    "check result:": ["done"],
    "act:": ['send_msg_to_user("done")'],
}


def listed(name: str, question: str) -> tuple[str, str] | None:
    """Role and ref of the listed element of that name, if it can be acted on."""
    found = re.search(rf"^(?:\| )?(\S+) {re.escape(quote(name))} \[(\d+)\]", question, re.MULTILINE)
    return (found[1], found[2]) if found else None


def pick(name: str, call: str = "click({})") -> Callable[[str], str]:
    """An answer that acts on the listed element of that name, whatever its ref is on this page."""

    def answer(text: str) -> str:
        found = listed(name, text)
        if found is None:
            return f"report_infeasible({quote(f'no {name} here')})"
        return f"{quote(name)} {call.format(found[1])}"

    return answer


class ScriptedServer:
    """The endpoint, on a free loopback port, in a thread. `asked` keeps every request's body."""

    def __init__(
        self,
        script: Mapping[str, Sequence[Answer]] | None = None,
        *,
        status: int = 200,
        raw: bytes | None = None,
    ) -> None:
        self.script = {**DEFAULT, **(script or {})}
        self.asked: list[dict[str, Any]] = []
        self.status = status
        self.raw = raw  # sent as the whole body, in place of an answer
        self._next = dict.fromkeys(CUES, 0)
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def texts(self, cue: str) -> list[str]:
        """The questions that ended with this cue, in order."""
        return [t for t in map(_question, self.asked) if _cue(t) == cue]

    def _reply(self, body: dict[str, Any]) -> bytes:
        text = _question(body)
        with self._lock:
            self.asked.append(body)
            cue = _cue(text)
            answers = self.script[cue]
            answer = answers[min(self._next[cue], len(answers) - 1)]
            self._next[cue] += 1
        said = answer if isinstance(answer, str) else answer(text)
        choice = {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": said},
        }
        usage = {"prompt_tokens": len(text.split()), "completion_tokens": len(said.split())}
        usage["total_tokens"] = sum(usage.values())
        return json.dumps(
            {
                "id": f"scripted-{len(self.asked)}",
                "object": "chat.completion",
                "created": 0,
                "model": body.get("model") or "scripted",
                "choices": [choice],
                "usage": usage,
            }
        ).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                data = server.raw if server.raw is not None else server._reply(body)
                self.send_response(server.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                try:
                    self.wfile.write(data)
                except ConnectionError:  # whoever asked has gone
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                """Quiet: `asked` is the log."""

        return Handler


def _question(body: dict[str, Any]) -> str:
    """The first question's text; a second asking of the same keeps its cue."""
    for message in body["messages"]:
        if message["role"] == "user":
            content = message["content"]
            return content if isinstance(content, str) else str(content[-1]["text"])
    return ""


def _cue(text: str) -> str:
    return next((cue for cue in CUES if text.rstrip().endswith(cue)), "act:")
