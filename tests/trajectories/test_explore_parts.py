"""The parts of exploring that need no browser: places, values, wording, and a teacher's words."""

from __future__ import annotations

import datetime
import json
import random

import pytest

from agents.clients import ChatModel, Endpoint
from agents.scripted import ScriptedServer
from tools.actions import parse
from tools.slots import filled
from trajectories.explore import wording
from trajectories.explore.attempts import label
from trajectories.explore.demonstration import Demonstration, Effect, Slot, emptied, is_at
from trajectories.explore.site import Access, Known, Link, Site
from trajectories.explore.values import draw, kind_of
from trajectories.goals import reword


def test_places_are_compared_by_what_they_say() -> None:
    """Order, empty values and the fragment of an address do not matter; a slot's value does."""
    wanted = emptied("/books?q=Ada+Berg&kind=2", {"search": "Ada Berg"})
    assert wanted == "/books?q={{search}}&kind=2"
    assert is_at("http://x/books?kind=2&page=&q=Eva%20Lind#top", wanted, {"search": "Eva Lind"})
    assert not is_at("http://x/books?kind=2&q=Eva", wanted, {"search": "Eva Lind"})
    assert not is_at("http://x/book?kind=2&q=Eva%20Lind", wanted, {"search": "Eva Lind"})


def test_a_slot_is_filled_in_texts_and_never_in_names() -> None:
    """What is typed changes; which element it goes into does not."""
    action = filled(parse('fill(textbox("A {{b}}"), "{{b}} and more")'), {"b": "tea"})
    assert str(action) == 'fill(textbox("A {{b}}"), "tea and more")'


@pytest.mark.parametrize(
    ("name", "type_", "value", "kind"),
    [
        ("E-mail address", "text", "", "mail"),
        ("Due date:", "text", "", "date"),
        ("Starts", "text", "2026-02-03", "date"),
        ("Stars:", "number", "", "rating"),
        ("Seats:", "number", "", "number"),
        ("Year:", "number", "", "year"),
        ("name of Change member", "text", "", "person"),
        ("Name:", "text", "", "name"),
        ("Notes", "textarea", "", "text"),
    ],
)
def test_kinds_of_fields(name: str, type_: str, value: str, kind: str) -> None:
    """A field's kind follows from what the page says of it."""
    assert kind_of(name, type_, value) == kind


def test_values_fit_their_kind_and_are_many() -> None:
    """Numbers are numbers, dates dates; no kind soon repeats itself; a seed always draws the same."""
    chance = random.Random(5)
    drawn = {kind: [draw(kind, chance) for _ in range(50)] for kind in ("number", "date", "mail", "title")}
    assert all(value.isdigit() for value in drawn["number"])
    assert all(datetime.date.fromisoformat(value) for value in drawn["date"])
    assert all(value.count("@") == 1 for value in drawn["mail"])
    assert all(len(set(values)) > 30 for values in drawn.values())
    assert draw("title", random.Random(9)) == draw("title", random.Random(9))


@pytest.mark.parametrize(
    ("name", "said"), [("Due date:", "due date"), ("id ▼", "id"), ("In stock *", "in stock"), ("URL", "URL")]
)
def test_labels_are_said_within_a_sentence(name: str, said: str) -> None:
    """Without colon, star or arrow, in small letters but for what is none of a sentence's."""
    assert label(name) == said


def test_a_record_is_called_what_its_page_or_address_says() -> None:
    """The heading's noun, else the address's; a number stands for itself."""
    site = Site(
        Access("http://x/"),
        known={
            "/": Known(),
            "/book/3/change": Known("Dune", "/", "Change book", record=True),
            "/shop/categories/7": Known("7", "/", "categories: 7", record=True),
            "/about": Known("About us", "/", "Welcome"),
        },
    )
    assert wording.thing_at("/book/3/change", site) == 'the book "Dune"'
    assert wording.thing_at("/shop/categories/7", site) == 'category "7"'
    assert wording.thing_at("/about", site) == ""
    assert wording.list_at("/about", site) == '"About us"'


def test_ways_by_links_are_the_shortest_and_bounded() -> None:
    """From page to page over what was walked; None where there is no short one."""
    links = [Link("/", "A", "/a"), Link("/a", "B", "/b"), Link("/b", "C", "/c"), Link("/", "B", "/b")]
    site = Site(Access("http://x/"), links=links)
    assert [link.name for link in site.way("/", "/c") or []] == ["B", "C"]
    assert site.way("/c", "/") is None
    assert site.way("/", "/c", longest=1) is None


SEARCH = Demonstration(
    "search",
    "/",
    ('fill(textbox("Search"), "{{search}}")', 'press(textbox("Search"), "Enter")'),
    Effect(at="/?q={{search}}"),
    ('Search for "{{search}}" among "Books".',),
    {"search": Slot("word", ("Road",))},
)


def test_a_demonstration_outlives_its_file() -> None:
    """What is written as JSON is read back the same; goals stay the same values when said otherwise."""
    assert Demonstration.from_json(json.loads(json.dumps(SEARCH.as_json()))) == SEARCH
    assert '"{{search}}"' in reword(SEARCH.goals[0], 5)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ('Please find "{{search}}" among "Books" for me.', True),
        ('Please find "Road" among "Books".', False),
        ('Find "{{search}}" among\nthe "Books".', False),
    ],
)
async def test_a_teachers_words_count_when_faithful(said: str, kept: bool) -> None:
    """It is told goal and steps; what changes anything quoted is not taken."""
    answer = {"role": "assistant", "content": said}
    body = {"id": "1", "object": "chat.completion", "created": 0, "model": "teacher"}
    body["choices"] = [{"index": 0, "finish_reason": "stop", "message": answer}]
    with ScriptedServer(raw=json.dumps(body).encode()) as server:
        model = ChatModel(Endpoint(server.url, "teacher"), timeout=20, retries=0)
        assert await wording.by_teacher(model, SEARCH) == ((said,) if kept else ())
        await model.close()
