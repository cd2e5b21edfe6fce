"""A small web app to be explored, as its own process: `python shelf.py BOOKS LOG [PASSWORD]`.

Books lie in the JSON file BOOKS, read at each request, so copying the file puts it back. Each request is
noted in LOG. With a password everything but the sign-in wants a cookie. Prints its address once it answers.
"""

import html
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

BOOKS, LOG = Path(sys.argv[1]), Path(sys.argv[2])
PASSWORD = sys.argv[3] if len(sys.argv) > 3 else ""
KINDS = ("Novel", "Poetry", "Travel")
VISITS = {"turn": 0, "dice": 0}


def kinds(chosen: str) -> str:
    options = "".join(f"<option{' selected' * (k == chosen)}>{k}</option>" for k in ("---", *KINDS))
    return f'<label>Kind: <select name="kind">{options}</select></label>'


def shelf(books: dict[str, dict[str, Any]], asked: dict[str, str]) -> str:
    """The list: searched, filtered and sorted as asked."""
    shown = [(n, b) for n, b in books.items() if asked.get("kind", b["kind"]) == b["kind"]]
    shown = [(n, b) for n, b in shown if asked.get("q", "").lower() in b["title"].lower()]
    if asked.get("sort"):
        shown.sort(key=lambda pair: str(pair[1][asked["sort"]]))
    rows = "".join(
        f"<tr><td><a href='/book/{n}'>{html.escape(b['title'])}</a><td>{b['year']}<td>{b['kind']}"
        for n, b in shown
    )
    narrow = "".join(f"<li><a href='/?kind={k}'>{k} only</a>" for k in KINDS[:2])
    return (
        "<h1>Shelf</h1><a href='/add'>Add book</a> <a href='/logout'>Log out</a> "
        "<form><input name=q aria-label=Search></form>"
        "<form method=post action=/burn><button>Delete all books</button></form>"
        "<form method=post action=/liar><label>Wish <input name=wish></label><button>Save</button></form>"
        "<table><thead><tr><th><a href='/?sort=title'>Title</a><th>Year<th>Kind"
        f"<tbody>{rows}</table><p>By kind</p><ul>{narrow}</ul>"
        "<a href='/turn'>Turn</a> <a href='https://example.org/'>Elsewhere</a> <a href='/dice'>Dice</a>"
    )


class Shelf(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        split = urlsplit(self.path)
        asked = {k: v[0] for k, v in parse_qs(split.query).items()}
        if self._shut_out(split.path):
            return
        books = json.loads(BOOKS.read_text())
        match split.path.strip("/").split("/"):
            case [""]:
                self._send(shelf(books, asked))
            case ["add"]:
                self._send(
                    "<h1>Add book</h1><form method=post>"
                    "<label>Title: <input name=title required></label>"
                    "<label>Year: <input type=number name=year required></label>"
                    f"{kinds('---')}<button>Save</button></form>"
                )
            case ["book", number] if number in books:
                book = books[number]
                self._send(
                    "<h1>Change book</h1><a href='/'>All books</a><form method=post>"
                    f"<label>Title: <input name=title value='{html.escape(book['title'])}'></label>"
                    f"<label>Year: <input type=number name=year value='{book['year']}'></label>"
                    f"{kinds(book['kind'])}<label><input type=checkbox name=read{' checked' * book['read']}> "
                    f"Read</label><button>Save</button></form><a href='/book/{number}/delete'>Delete</a>"
                )
            case ["book", number, "delete"] if number in books:
                self._send("<h1>Are you sure?</h1><form method=post><button>Yes, delete it</button></form>")
            case ["turn"]:  # leads elsewhere from the second time on
                VISITS["turn"] += 1
                self._go("/left" if VISITS["turn"] == 1 else "/right")
            case ["dice"]:  # never leads to one place twice
                VISITS["dice"] += 1
                self._go(f"/spot/{VISITS['dice']}")
            case ["left" | "right" | "spot", *_]:
                self._send(f"<h1>{split.path}</h1>")
            case ["login"]:
                self._send(
                    "<h1>Sign in</h1><form method=post><label>Password <input type=password name=password>"
                    "</label><button>Sign in</button></form>"
                )
            case _:
                self._send("<h1>no such page</h1>", 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
        sent = {k: v[0] for k, v in parse_qs(body).items()}
        path = urlsplit(self.path).path
        if self._shut_out(path):
            return
        books = json.loads(BOOKS.read_text())
        book = {k: sent.get(k, "") for k in ("title", "year", "kind")} | {"read": "read" in sent}
        match path.strip("/").split("/"):
            case ["login"]:
                right = sent.get("password") == PASSWORD
                self._go("/" if right else "/login", "seen=1" if right else "")
                return
            case ["add"] if book["title"] and book["year"]:
                books[str(len(books) + 1)] = book
            case ["book", number]:
                books[number] = book
            case ["book", number, "delete"]:
                del books[number]
            case ["burn"]:
                books = {}
        BOOKS.write_text(json.dumps(books))
        self._go("/")

    def _shut_out(self, path: str) -> bool:
        with LOG.open("a") as log:
            log.write(f"{self.command} {path}\n")
        shut = bool(PASSWORD) and path != "/login" and "seen=1" not in self.headers.get("Cookie", "")
        if shut:
            self._go("/login?" + urlencode({"next": path}))
        return shut

    def _go(self, where: str, cookie: str = "") -> None:
        self.send_response(303)
        self.send_header("Location", where)
        if cookie:
            self.send_header("Set-Cookie", cookie)
        self.end_headers()

    def _send(self, body: str, code: int = 200) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "text/html")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(f"<!doctype html><title>Shelf</title>{body}".encode())

    def log_message(self, format: str, *args: object) -> None:
        return


server = ThreadingHTTPServer(("127.0.0.1", 0), Shelf)
print(f"http://127.0.0.1:{server.server_port}/", flush=True)
server.serve_forever(0.05)
