"""The help desk itself: its pages, served from the database in the look of the moment.

Server-side pages and forms, post-redirect-get, a session by an opaque cookie. It is meant for a loopback port
and one desk's worth of people: no CSRF tokens, no rate limits, passwords as they are.

Not covered: starting it (`server.py`), its rows (`database.py`), its words and colours (`look.py`).
"""

from __future__ import annotations

import contextlib
import datetime
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from trajectories.helpdesk import lamp
from trajectories.helpdesk.database import Database
from trajectories.helpdesk.look import CHOICES, Look
from trajectories.helpdesk.world import COLOURS, Row

HERE = Path(__file__).parent
PAGE_ROWS = 6
SUGGESTIONS = 4
COOKIE = "desk"
LONGEST = 200  # characters of any text field
LARGEST = 1_000_000  # bytes of an attachment
TICKETS = (
    "select t.*, c.name as customer_name, a.name as assignee_name from tickets t "
    "join customers c on c.id = t.customer join agents a on a.id = t.assignee "
)

Handler = Callable[[Request, Row], Awaitable[Response]]


class Desk:
    """The app's state and its pages, one method a page. `look` may be replaced at any time."""

    def __init__(self, database: Database, look: Look, started: Callable[[], None] = lambda: None) -> None:
        self.database = database
        self.look = look
        self._started = started
        self._templates = Jinja2Templates(directory=HERE / "templates")

    def app(self) -> Starlette:
        """The ASGI application."""
        pages: list[tuple[str, Handler, str]] = [
            ("/", self.dashboard, "GET"),
            ("/account", self.account, "GET"),
            ("/logout", self.logout, "POST"),
            ("/customers", self.customers, "GET"),
            ("/customers/new", self.customer_form, "GET POST"),
            ("/customers/{id:int}", self.customer, "GET"),
            ("/customers/{id:int}/edit", self.customer_form, "GET POST"),
            ("/api/customers", self.suggest, "GET"),
            ("/tickets", self.tickets, "GET"),
            ("/tickets/new", self.new_ticket, "GET POST"),
            ("/tickets/{id:int}", self.ticket, "GET POST"),
            ("/tickets/{id:int}/comment", self.comment, "POST"),
            ("/tickets/{id:int}/attach", self.attach, "POST"),
            ("/tickets/{id:int}/state/{state}", self.move, "POST"),
            ("/orders", self.orders, "GET"),
            ("/orders/new", self.new_order, "GET POST"),
            ("/invoices", self.ledger, "GET"),
            ("/payments", self.ledger, "GET"),
            ("/archive", self.ledger, "GET"),
            ("/invoices/{id:int}", self.invoice, "GET POST"),
            ("/ledger/report", self.report, "POST"),
            ("/settings", self.settings, "GET POST"),
            ("/status", self.status, "GET POST"),
            ("/status/lamp.png", self.lamp, "GET"),
            ("/{rest:path}", self.missing, "GET"),
        ]
        routes: list[Route | Mount] = [
            Route("/login", self.login, methods=["GET", "POST"]),
            Route("/enter", self.enter),
            Mount("/static", StaticFiles(directory=HERE / "static")),
            *(
                Route(path, self._guarded(handler), methods=methods.split())
                for path, handler, methods in pages
            ),
        ]
        return Starlette(routes=routes, lifespan=self._lifespan)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self._started()
        yield

    def _guarded(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            me = self.database.row(
                "select a.*, s.token, s.flash from sessions s join agents a on a.id = s.agent "
                "where s.token = ?",
                request.cookies.get(COOKIE, ""),
            )
            return RedirectResponse("/login", 303) if me is None else await handler(request, me)

        return handle

    def _page(
        self, request: Request, template: str, me: Row | None, status: int = 200, **values: Any
    ) -> Response:
        """Render a page, show and forget the flash, and note that this session has now seen this page."""
        if me is not None:
            place = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            self.database.run(
                "update sessions set flash = null, page = ? where token = ?", place, me["token"]
            )
        context = {"me": me, "look": self.look, "w": self.look.word, "flash": me and me["flash"], **values}
        return self._templates.TemplateResponse(
            request, template, context, status_code=status, headers={"cache-control": "no-store"}
        )

    def _done(self, me: Row, place: str, flash: str | None = None) -> Response:
        """After a change: say so on the page that follows."""
        text = self.look.word("saved") if flash is None else flash
        self.database.run("update sessions set flash = ? where token = ?", text, me["token"])
        return RedirectResponse(place, 303)

    async def missing(self, request: Request, me: Row) -> Response:
        return self._missing(request, me)

    def _missing(self, request: Request, me: Row) -> Response:
        return self._page(request, "missing.html", me, 404, section="dashboard")

    def _number(self, table: str, text: str) -> int | None:
        """The id in `text` if that row exists."""
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            return None
        return int(text) if self.database.row(f"select id from {table} where id = ?", int(text)) else None

    # Signing in

    async def login(self, request: Request) -> Response:
        form = await _texts(request) if request.method == "POST" else {}
        if form:
            found = self.database.row(
                "select id from agents where login = ? and password = ?",
                form.get("user"),
                form.get("password"),
            )
            if found:
                return self._signed_in(found["id"], "/")
        return self._page(request, "login.html", None, 401 if form else 200, form=form)

    async def enter(self, request: Request) -> Response:
        """A one-time address that signs in: `/enter?token=…&next=/customers`."""
        token = request.query_params.get("token", "")
        place = request.query_params.get("next", "/")
        with self.database.lock:
            entry = self.database.row("select agent from entries where token = ?", token)
            self.database.run("delete from entries where token = ?", token)
        if entry is None:
            return RedirectResponse("/login", 303)
        return self._signed_in(entry["agent"], place if _is_local(place) else "/")

    def _signed_in(self, agent: int, place: str) -> Response:
        token = secrets.token_urlsafe(24)
        self.database.run("insert into sessions (token, agent) values (?, ?)", token, agent)
        response = RedirectResponse(place, 303)
        response.set_cookie(COOKIE, token, httponly=True, samesite="lax")
        return response

    async def logout(self, request: Request, me: Row) -> Response:
        self.database.run("delete from sessions where token = ?", me["token"])
        response = RedirectResponse("/login", 303)
        response.delete_cookie(COOKIE)
        return response

    async def account(self, request: Request, me: Row) -> Response:
        return self._page(request, "account.html", me, section="dashboard")

    async def dashboard(self, request: Request, me: Row) -> Response:
        counts = {
            t: self.database.rows(f"select count(*) as n from {t}")[0]["n"] for t in ("customers", "orders")
        }
        opened = self.database.rows("select count(*) as n from tickets where state != 'closed'")
        counts["tickets"] = opened[0]["n"]
        return self._page(request, "dashboard.html", me, section="dashboard", counts=counts)

    # Customers

    async def customers(self, request: Request, me: Row) -> Response:
        query = request.query_params.get("q", "").strip()[:LONGEST]
        rows = self.database.rows("select * from customers where " + _LIKE + " order by id", *_like(query))
        return self._page(
            request, "customers.html", me, section="customers", query=query, **_cut(request, rows, q=query)
        )

    async def customer(self, request: Request, me: Row) -> Response:
        row = self.database.row("select * from customers where id = ?", request.path_params["id"])
        return (
            self._page(request, "customer.html", me, section="customers", row=row)
            if row
            else self._missing(request, me)
        )

    async def customer_form(self, request: Request, me: Row) -> Response:
        id = request.path_params.get("id")
        row = self.database.row("select * from customers where id = ?", id) if id else {}
        if row is None:
            return self._missing(request, me)
        form, wrong = await _texts(request), ""
        if request.method == "POST":
            values = [form.get(k, "") for k in ("name", "email", "phone")]
            if not values[0]:
                wrong = "A name is needed."
            elif "@" not in values[1]:
                wrong = "That is no email address."
            elif id:
                self.database.run(
                    "update customers set name = ?, email = ?, phone = ? where id = ?", *values, id
                )
                return self._done(me, f"/customers/{id}")
            else:
                new = self.database.run(
                    "insert into customers (name, email, phone) values (?, ?, ?)", *values
                )
                return self._done(me, f"/customers/{new}")
        return self._page(
            request, "customer_form.html", me, 422 if wrong else 200, section="customers",
            form={**row, **form}, id=id, wrong=wrong,
        )  # fmt: skip

    async def suggest(self, request: Request, me: Row) -> Response:
        """Customers whose name fits what is being typed, for the autocomplete list."""
        query = request.query_params.get("q", "").strip()[:LONGEST]
        found = self.database.rows(
            "select id, name from customers where " + _LIKE + " order by name limit ?",
            *_like(query),
            SUGGESTIONS,
        )
        return JSONResponse(found if query else [])

    # Tickets

    async def tickets(self, request: Request, me: Row) -> Response:
        chosen = {
            k: v if (v := request.query_params.get(k, "")) in CHOICES[k][0] else ""
            for k in ("state", "priority")
        }
        rows = self.database.rows(
            TICKETS + "where ? in (t.state, '') and ? in (t.priority, '') order by t.id", *chosen.values()
        )
        return self._page(
            request, "tickets.html", me, section="tickets", chosen=chosen, **_cut(request, rows, **chosen)
        )

    async def new_ticket(self, request: Request, me: Row) -> Response:
        form, wrong = await _texts(request), ""
        if request.method == "POST":
            customer = self._number("customers", form.get("customer_id", ""))
            if not form.get("title"):
                wrong = "Say what it is about."
            elif customer is None:
                wrong = "Choose from the list that opens while you type a name."
            elif form.get("priority") not in CHOICES["priority"][0]:
                wrong = "There is no such choice."
            else:
                new = self.database.run(
                    "insert into tickets (title, customer, state, priority, assignee) "
                    "values (?, ?, 'open', ?, ?)",
                    form["title"], customer, form["priority"], me["id"],
                )  # fmt: skip
                return self._done(me, f"/tickets/{new}")
        return self._page(
            request, "ticket_form.html", me, 422 if wrong else 200, section="tickets", form=form, wrong=wrong
        )

    async def ticket(self, request: Request, me: Row) -> Response:
        id = request.path_params["id"]
        row = self.database.row(TICKETS + "where t.id = ?", id)
        if row is None:
            return self._missing(request, me)
        form = await _texts(request)
        if request.method == "POST":
            assignee = self._number("agents", form.get("assignee", ""))
            if assignee is None or form.get("priority") not in CHOICES["priority"][0]:
                return self._done(me, f"/tickets/{id}", "There is no such choice.")
            self.database.run(
                "update tickets set priority = ?, assignee = ? where id = ?", form["priority"], assignee, id
            )
            return self._done(me, f"/tickets/{id}")
        comments = self.database.rows(
            "select c.text, a.name from comments c join agents a on a.id = c.author where c.ticket = ? "
            "order by c.id desc limit 2", id,
        )  # fmt: skip
        files = self.database.rows(
            "select filename from attachments where ticket = ? order by id desc limit 2", id
        )
        agents = self.database.rows("select id, name from agents order by id")
        return self._page(
            request,
            "ticket.html",
            me,
            section="tickets",
            row=row,
            comments=comments,
            files=files,
            agents=agents,
        )

    async def comment(self, request: Request, me: Row) -> Response:
        id = request.path_params["id"]
        text = (await _texts(request)).get("text", "")
        if not text or self._number("tickets", str(id)) is None:
            return self._done(me, f"/tickets/{id}", "Write something first.")
        self.database.run("insert into comments (ticket, author, text) values (?, ?, ?)", id, me["id"], text)
        return self._done(me, f"/tickets/{id}")

    async def attach(self, request: Request, me: Row) -> Response:
        id = request.path_params["id"]
        async with request.form(max_files=1) as form:
            file = form.get("file")
            content = await file.read(LARGEST + 1) if isinstance(file, UploadFile) and file.filename else b""
            name = str(getattr(file, "filename", ""))[:LONGEST]
        if not content or self._number("tickets", str(id)) is None:
            return self._done(me, f"/tickets/{id}", "Choose a file first.")
        if len(content) > LARGEST:
            return self._done(me, f"/tickets/{id}", "That file is too large.")
        self.database.run(
            "insert into attachments (ticket, filename, content) values (?, ?, ?)", id, name, content
        )
        return self._done(me, f"/tickets/{id}")

    async def move(self, request: Request, me: Row) -> Response:
        id, state = request.path_params["id"], request.path_params["state"]
        if state not in ("open", "closed"):
            return self._missing(request, me)
        self.database.run("update tickets set state = ? where id = ?", state, id)
        return self._done(me, f"/tickets/{id}")

    # Orders

    async def orders(self, request: Request, me: Row) -> Response:
        rows = self.database.rows(
            "select o.*, c.name as customer_name, p.name as product_name from orders o "
            "join customers c on c.id = o.customer join products p on p.id = o.product order by o.id desc"
        )
        return self._page(request, "orders.html", me, section="orders", **_cut(request, rows))

    async def new_order(self, request: Request, me: Row) -> Response:
        form, wrong = await _texts(request), ""
        if request.method == "POST":
            customer = self._number("customers", form.get("customer_id", ""))
            product = self._number("products", form.get("product", ""))
            quantity = form.get("quantity", "")
            if customer is None:
                wrong = "Choose from the list that opens while you type a name."
            elif product is None:
                wrong = "There is no such choice."
            elif not (quantity.isascii() and quantity.isdigit() and 0 < int(quantity[:9]) < 1000):
                wrong = "The number must be from 1 to 999."
            elif not _is_day(form.get("date", "")):
                wrong = "Give a date."
            else:
                self.database.run(
                    "insert into orders (customer, product, quantity, date) values (?, ?, ?, ?)",
                    customer, product, int(quantity), form["date"],
                )  # fmt: skip
                return self._done(me, "/orders")
        products = self.database.rows("select id, name from products order by id")
        return self._page(
            request, "order_form.html", me, 422 if wrong else 200, section="orders", form=form, wrong=wrong,
            products=products,
        )  # fmt: skip

    # The ledger: three lists in tables, each with the form of the month's report. They are opened by their
    # address: a link to them on the other pages would change what models have learnt of those

    async def ledger(self, request: Request, me: Row) -> Response:
        name = request.url.path.strip("/")
        rows = self.database.rows("select * from bills where list = ? order by id", name)
        cut = _cut(request, rows) if name == "archive" else {"rows": rows, "page": 1, "last": 1, "kept": {}}
        return self._page(request, "ledger.html", me, section="orders", name=name, **cut)

    async def invoice(self, request: Request, me: Row) -> Response:
        id = request.path_params["id"]
        row = self.database.row("select * from bills where id = ? and list = 'invoices'", id)
        if row is None:
            return self._missing(request, me)
        if request.method == "POST":
            self.database.run("update bills set reminders = reminders + 1 where id = ?", id)
            return self._done(me, f"/invoices/{id}")
        return self._page(request, "invoice.html", me, section="orders", row=row)

    async def report(self, request: Request, me: Row) -> Response:
        form = await _texts(request)
        name = form.get("list") if form.get("list") in ("payments", "archive") else "invoices"
        total, tally = form.get("total", ""), form.get("tally", "")
        if total and not re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,6})?", total):
            return self._done(me, f"/{name}", "The sum is a number, such as 12.50.")
        if tally and not re.fullmatch(r"[0-9]{1,6}", tally):
            return self._done(me, f"/{name}", "How many is a whole number.")
        values = (f"{float(total):.2f}" if total else "", tally and str(int(tally)), form.get("remark", ""))
        self.database.run("insert or replace into summaries values (?, ?, ?, ?)", me["id"], *values)
        return self._done(me, f"/{name}")

    # Settings and the service lamp

    async def settings(self, request: Request, me: Row) -> Response:
        row = self.database.row("select * from settings where id = ?", me["id"]) or {}
        if request.method == "POST":
            form = await _texts(request)
            if any(form.get(k) not in CHOICES[k][0] for k in ("language", "theme")):
                return self._done(me, "/settings", "There is no such choice.")
            checks = [int(k in form) for k in ("email_alerts", "weekly_report", "sounds", "auto_assign")]
            self.database.run(
                "insert or replace into settings values (?, ?, ?, ?, ?, ?, ?, ?)",
                me["id"], *checks, form["language"], form["theme"], form.get("signature", ""),
            )  # fmt: skip
            return self._done(me, "/settings")
        return self._page(request, "settings.html", me, section="settings", row=row)

    async def status(self, request: Request, me: Row) -> Response:
        if request.method == "POST":
            colour = (await _texts(request)).get("colour", "")
            if colour == "":
                self.database.run("delete from reports where id = ?", me["id"])
            elif colour in COLOURS:
                self.database.run("insert or replace into reports values (?, ?)", me["id"], colour)
            return self._done(me, "/status")
        colours = list(COLOURS)
        shift = self.look.seed % len(colours)
        colours = colours[shift:] + colours[:shift]
        reported = self.database.row("select id from reports where id = ?", me["id"]) is not None
        return self._page(request, "status.html", me, section="status", colours=colours, reported=reported)

    async def lamp(self, request: Request, me: Row) -> Response:
        colour = (self.database.row("select colour from lamp") or {})["colour"]
        return Response(
            lamp.draw(colour, self.look.seed), media_type="image/png", headers={"cache-control": "no-store"}
        )


_LIKE = "(name like ? escape '!' or email like ? escape '!')"


def _like(query: str) -> tuple[str, str]:
    """A query as `like` patterns, its wildcards taken literally."""
    pattern = query
    for special in "!%_":
        pattern = pattern.replace(special, "!" + special)
    return f"%{pattern}%", f"%{pattern}%"


def _cut(request: Request, rows: list[Row], **kept: str) -> dict[str, Any]:
    """The rows of the page asked for, and what the links to its neighbours carry."""
    text = request.query_params.get("page", "1")
    last = max(1, -(-len(rows) // PAGE_ROWS))
    page = (
        min(int(text), last) if text.isascii() and text.isdigit() and 0 < len(text) < 6 and int(text) else 1
    )
    return {
        "rows": rows[(page - 1) * PAGE_ROWS : page * PAGE_ROWS],
        "page": page,
        "last": last,
        "kept": {k: v for k, v in kept.items() if v},
    }


async def _texts(request: Request) -> dict[str, str]:
    """A form's text fields, trimmed and bounded; nothing for a GET."""
    if request.method != "POST":
        return {}
    async with request.form() as form:
        return {k: " ".join(v.split())[:LONGEST] for k, v in form.items() if isinstance(v, str)}


def _is_local(place: str) -> bool:
    """Whether a redirect stays on this site."""
    return place.startswith("/") and not place.startswith(("//", "/\\"))


def _is_day(text: str) -> bool:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 10
