"""What a yes covers, as a table of what came next."""

from dataclasses import replace

import pytest

from tools.actions import Action, parse
from tools.guard import assess
from tools.observation import Box, Element, Observation
from tools.terms import Terms, terms


def box(y: float) -> Box:
    return Box(0, y, 100, 20)


PAGE = Observation(
    "http://shop/cart#top",
    "Cart",
    (1000, 1000),
    (
        Element(None, "text", "To: Ada", box(80)),
        Element(1, "textbox", "Amount", box(100), value="20"),
        Element(2, "checkbox", "Gift", box(130), states=("checked",)),
        Element(3, "textbox", "Note", box(160)),
        Element(4, "button", "Pay $20", box(190)),
        Element(None, "text", "Terms of use", box(900)),
    ),
    focused=4,
)


def asked(action: Action, seen: Observation) -> Terms:
    verdict = assess(action, seen, "")
    assert verdict.decision == "ask", verdict
    return terms(action, seen, verdict)


def dialog(words: str, *more: Element, url: str = "http://shop/cart") -> Observation:
    ok = Element(1, "button", "OK", box(0))
    return Observation(url, "Cart", (1000, 1000), (Element(None, "dialog", words, box(0)), ok, *more))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("click(4)", 'click(button("Pay $20"))'),
        ("mouse_click(50, 200)", 'mouse_click(50, 200) on button("Pay $20")'),
        ('keyboard_press("Enter")', 'keyboard_press("Enter") on button("Pay $20")'),
    ],
)
def test_terms_are_what_where_and_the_values_in_sight(text: str, what: str) -> None:
    """Fields that hold something and the words near the button; not empty fields, not far words."""
    got = asked(parse(text), PAGE)
    assert (got.kind, got.what, got.where) == ("money", what, "http://shop/cart")
    assert got.fields == ('textbox "Amount" = "20"', 'checkbox "Gift" checked')
    assert got.near == ('"To: Ada"',)
    assert [line.split()[0] for line in got.lines()] == ["what", "where", "with", "with", "with"]


def test_another_value_or_word_is_another_thing_to_agree_to() -> None:
    """Whatever of it changes, the terms are no longer equal."""
    first = asked(parse("click(4)"), PAGE)
    for index, other in [
        (0, Element(None, "text", "To: Mallory", box(80))),
        (1, replace(PAGE.elements[1], value="200")),
        (2, replace(PAGE.elements[2], states=())),
        (3, replace(PAGE.elements[3], value="quickly")),
        (4, replace(PAGE.elements[4], name="Pay $200")),
    ]:
        elements = (*PAGE.elements[:index], other, *PAGE.elements[index + 1 :])
        assert asked(parse("click(4)"), replace(PAGE, elements=elements)) != first
    assert asked(parse("click(4)"), replace(PAGE, url="http://other/cart")) != first
    assert asked(parse("click(4)"), replace(PAGE, title="Another")) == first


@pytest.mark.parametrize(
    ("then", "covered"),
    [
        (dialog("Really pay $20?"), True),
        (dialog("Pay now?"), True),
        (dialog("Really pay $2000?"), False),
        (dialog("Delete your account?"), False),
        (dialog("Pay $20?", url="http://shop/other"), False),
        (dialog("Pay $20?", Element(2, "textbox", "Amount", box(0), value="21")), False),
        (dialog("Pay $20?", Element(2, "textbox", "Amount", box(0), value="20")), True),
    ],
)
def test_a_dialogs_ok_is_covered_only_on_the_same_terms(then: Observation, covered: bool) -> None:
    """Same page, same kind of thing, no other values and figures."""
    assert asked(parse("click(4)"), PAGE).covers(asked(parse("click(1)"), then)) is covered


def test_a_yes_in_a_dialog_covers_no_second_dialog() -> None:
    """Only what opened the dialog counts."""
    first, second = (asked(parse("click(1)"), dialog(words)) for words in ("Pay $20?", "Sure to pay $20?"))
    assert not first.covers(second)
