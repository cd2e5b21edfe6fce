"""The help desk's app, data and plans, on the real server and SQLite, without a browser."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from trajectories.helpdesk.database import Change, changes, same
from trajectories.helpdesk.look import FORMS, LEDGER_WORDS, SECTIONS, WORDS, Look
from trajectories.helpdesk.server import HelpDeskServer
from trajectories.helpdesk.suite import HelpDesk
from trajectories.helpdesk.tasks import FAMILIES, Maker
from trajectories.helpdesk.world import COLOURS, World


@pytest.fixture
async def desk() -> AsyncIterator[HelpDeskServer]:
    async with HelpDeskServer(seed=1) as server:
        yield server


@pytest.fixture
async def person(desk: HelpDeskServer) -> AsyncIterator[httpx.AsyncClient]:
    """A signed-in visitor without a browser."""
    async with httpx.AsyncClient(base_url=desk.url, follow_redirects=True, trust_env=False) as client:
        await client.get(desk.home_url)
        yield client


def test_labels_are_never_ambiguous() -> None:
    """No wording of one link, button or field is also a wording of another of the same kind."""
    links = [*SECTIONS, "new_customer", "new_ticket", "new_order", "next", "previous", "edit", "cancel"]
    buttons = [
        "search",
        "save",
        "create",
        "filter",
        "add_comment",
        "attach",
        "close",
        "reopen",
        "place",
        "withdraw",
    ]
    fields = [key for form in FORMS.values() for key in form if key in WORDS and key not in ("edit",)]
    for keys in (links, [*buttons, "sign_in", "sign_out"], [*dict.fromkeys(fields), "query"]):
        for one, other in itertools.combinations(keys, 2):
            assert not set(WORDS[one]) & set(WORDS[other]), (one, other)
        assert all(len(set(WORDS[key])) >= 3 for key in keys)
    every = [word for words in (*WORDS.values(), *LEDGER_WORDS.values()) for word in words]
    assert all(every.count(word) == 1 for words in LEDGER_WORDS.values() for word in words)


def test_suite_names_every_family() -> None:
    """The suite lists exactly the families that are registered; one of them can only be done by looking."""
    assert {*HelpDesk.families, *HelpDesk.scripted} == set(FAMILIES)
    assert len(HelpDesk.families) == 23 and len(HelpDesk.scripted) == 7
    assert {name for name, family in FAMILIES.items() if family.scripted} == set(HelpDesk.scripted)
    assert HelpDesk.looks_only == {"service-lamp"}


@pytest.mark.parametrize("family", HelpDesk.families)
def test_plans_come_from_the_seed(family: str) -> None:
    """A seed always gives the same goal, other seeds others; a plan is made in milliseconds."""
    goals = [FAMILIES[family].make(Maker(family, seed)).goal for seed in range(60)]
    assert goals == [FAMILIES[family].make(Maker(family, seed)).goal for seed in range(60)]
    assert len(set(goals)) >= 4
    assert all("  " not in goal and goal.count('"') % 2 == 0 and goal[-1] in ".?" for goal in goals)


def test_looks_differ_and_repeat() -> None:
    """A seed always looks the same; twenty seeds give twenty looks that differ in more than colour."""
    assert Look.of(5) == Look.of(5)
    looks = [Look.of(seed) for seed in range(20)]
    assert len({tuple(look.words.items()) for look in looks}) == 20
    assert len({(look.nav, look.rows, look.labels) for look in looks}) > 8


async def test_reset_is_quick_and_complete(desk: HelpDeskServer, person: httpx.AsyncClient) -> None:
    """After a reset nothing of the episode before is left, and it takes well under 50 ms."""
    fresh = desk.database.snapshot()
    await person.post("/tickets/1/comment", data={"text": "hello"})
    assert changes(fresh, desk.database.snapshot()) == [
        Change.of("comments", None, ticket=1, author=1, text="hello")
    ]
    took = []
    for seed in (3, 4, 5, 6, 7, 1):
        start = time.perf_counter()
        desk.reset(seed)
        took.append(time.perf_counter() - start)
    assert sorted(took)[3] < 0.05, took
    assert desk.database.snapshot() == fresh
    assert (await person.get("/customers")).url.path == "/login"


async def test_changes_are_seen_whole(desk: HelpDeskServer) -> None:
    """A new, an altered and a lost row each make one change; the order does not matter."""
    before = desk.database.snapshot()
    desk.database.run("update customers set phone = '1' where id = 2")
    desk.database.run("delete from orders where id = 3")
    desk.database.run("insert into products (name) values ('x')")
    found = changes(before, desk.database.snapshot())
    wanted = [
        Change.of("products", None, name="x"),
        Change.of("customers", 2, phone="1"),
        Change.of("orders", 3),
    ]
    assert same(found, wanted)
    assert not same(found, wanted[:2])


async def test_signing_in_and_out(desk: HelpDeskServer) -> None:
    """Pages need a session; a wrong password gives none; an entry address works once and stays here."""
    me = desk.world.me
    async with httpx.AsyncClient(base_url=desk.url, follow_redirects=True, trust_env=False) as client:
        assert (await client.get("/settings")).url.path == "/login"
        wrong = await client.post("/login", data={"user": me["login"], "password": "no"})
        assert wrong.status_code == 401
        right = await client.post("/login", data={"user": me["login"], "password": me["password"]})
        assert right.url.path == "/"
        assert (await client.post("/logout")).url.path == "/login"
        once = desk.enter_url("/tickets?page=2")
        assert str((await client.get(once)).url) == f"{desk.url}/tickets?page=2"
        client.cookies.clear()
        assert (await client.get(once)).url.path == "/login"
        assert str((await client.get(desk.enter_url("//example.com/"))).url) == f"{desk.url}/"


async def test_everything_is_escaped(desk: HelpDeskServer, person: httpx.AsyncClient) -> None:
    """Markup typed into a form comes back as text on every page that shows it."""
    evil = "<script>alert(1)</script>\"'&"
    made = await person.post("/customers/new", data={"name": evil, "email": f"{evil}@x.org", "phone": evil})
    assert made.url.path == "/customers/16"
    await person.post("/tickets/new", data={"title": evil, "customer_id": "16", "priority": "low"})
    await person.post("/tickets/15/comment", data={"text": evil})
    await person.post("/tickets/15/attach", files={"file": ("<b>x.txt", b"x")})
    for place in (
        "/customers/16", "/customers/16/edit", "/customers?q=" + "%3Cscript%3E", "/tickets?page=3",
        "/tickets/15",
    ):  # fmt: skip
        page = (await person.get(place)).text
        assert "&lt;script&gt;" in page and "<script>alert" not in page, place
        assert "<b>x.txt" not in page


@pytest.mark.parametrize(
    ("place", "form"),
    [
        ("/customers/new", {"name": "", "email": "a@b.c", "phone": "1"}),
        ("/customers/1/edit", {"name": "A", "email": "none", "phone": "1"}),
        ("/tickets/new", {"title": "x", "customer": "Ada", "customer_id": "", "priority": "low"}),
        ("/tickets/new", {"title": "x", "customer_id": "1", "priority": "odd"}),
        ("/tickets/1", {"priority": "odd", "assignee": "1"}),
        ("/tickets/1", {"priority": "low", "assignee": "99"}),
        ("/tickets/1/comment", {"text": "  "}),
        ("/tickets/1/attach", {}),
        ("/tickets/1/state/lost", {}),
        ("/tickets/999/comment", {"text": "x"}),
        ("/orders/new", {"customer_id": "1", "product": "1", "quantity": "0", "date": "2027-01-01"}),
        ("/orders/new", {"customer_id": "1", "product": "1", "quantity": "²", "date": "2027-01-01"}),
        ("/orders/new", {"customer_id": "1", "product": "1", "quantity": "2", "date": "soon"}),
        ("/orders/new", {"customer_id": "", "product": "1", "quantity": "2", "date": "2027-01-01"}),
        ("/settings", {"language": "xx", "theme": "light"}),
        ("/status", {"colour": "pink"}),
    ],
)
async def test_bad_input_changes_nothing(
    desk: HelpDeskServer, person: httpx.AsyncClient, place: str, form: dict[str, str]
) -> None:
    """A form that does not make sense is answered by a page, and the database stays as it was."""
    before = desk.database.snapshot()
    answer = await person.post(place, data=form)
    assert answer.status_code in (200, 404, 422)
    assert desk.database.snapshot() == before


@pytest.mark.parametrize(
    "place", ["/customers?page=x", "/customers?page=99", "/tickets?state=%00", "/nowhere"]
)
async def test_odd_addresses_get_a_page(person: httpx.AsyncClient, place: str) -> None:
    """An address that makes no sense still gets a page with the navigation on it."""
    answer = await person.get(place)
    assert answer.status_code in (200, 404) and "<nav>" in answer.text


async def test_search_takes_wildcards_literally(desk: HelpDeskServer, person: httpx.AsyncClient) -> None:
    """A per cent sign finds only names that have one."""
    assert "/customers/1" not in (await person.get("/customers?q=%25")).text
    assert len((await person.get("/api/customers?q=a")).json()) <= 4
    first = desk.world.customers[0]["name"]
    assert {"id": 1, "name": first} in (await person.get("/api/customers", params={"q": first})).json()


async def test_only_the_picture_tells_the_lamp(desk: HelpDeskServer) -> None:
    """Page, headers, address and even the picture's size are the same for every colour."""
    seen = {}
    for colour in COLOURS:
        desk.reset(9, lamp=colour)
        async with httpx.AsyncClient(base_url=desk.url, follow_redirects=True, trust_env=False) as client:
            page = await client.get(desk.enter_url("/status"))
            picture = await client.get("/status/lamp.png")
        hidden = {"date"}
        heads = [{k: v for k, v in answer.headers.items() if k not in hidden} for answer in (page, picture)]
        seen[colour] = (page.content, heads, len(picture.content)), picture.content
    assert len({repr(same) for same, _ in seen.values()}) == 1
    assert len({picture for _, picture in seen.values()}) == len(COLOURS)


def test_names_on_a_page_are_unique() -> None:
    """Customers and tickets can be told apart by what their links say."""
    for seed in range(50):
        world = World.of(seed)
        for names in ([c["name"] for c in world.customers], [t["title"] for t in world.tickets]):
            assert len(set(names)) == len(names)
        assert max(len(t["title"]) for t in world.tickets) < 80  # what an observation shows of a name


async def test_a_taken_port_is_said(desk: HelpDeskServer) -> None:
    """Asked for a port that is in use, the server says so and leaves nothing behind."""
    port = int(desk.url.rsplit(":", 1)[1])
    with pytest.raises(OSError, match="taken; choose another"):
        async with HelpDeskServer(0, port):
            pass
    assert len(list(desk.folder.parent.iterdir())) == 1
