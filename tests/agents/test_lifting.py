"""Programs lifted from their goals: what becomes a place, which goals fit, what comes out when filled."""

from __future__ import annotations

import time

import pytest

from agents.lifting import lift, nearest, parse_lifted
from agents.program import parse_line
from tools.actions import ActionError, Named
from tools.observation import Box, Element, Observation

GOAL = 'Give the ticket "Printer jams" the priority "high".'
PROGRAM = """click(link("12 · Printer jams"))
select_option(combobox("Priority"), "high")
fill(textbox("Comment"), "see the priority list")
click(button("Save"))"""


def page(*elements: tuple[str, str]) -> Observation:
    listed = (Element(i, role, name, Box(0, 20 * i, 50, 18)) for i, (role, name) in enumerate(elements, 1))
    return Observation("http://h/", "T", (640, 480), tuple(listed))


def test_a_program_is_lifted_and_filled() -> None:
    """What the goal says in quotes or what was typed gets a place; labels and other words stay."""
    lifted = lift(GOAL, parse_line(PROGRAM))
    assert lifted.values == {"link": "Printer jams", "priority": "high"}
    assert lifted.goal == 'Give the ticket "{link}" the priority "{priority}".'
    assert 'combobox("Priority")' in str(lifted.program) and "see the priority list" in str(lifted.program)
    values = lifted.fit('give the ticket  "Modem (old) is red" the priority "low".')
    assert values == {"link": "Modem (old) is red", "priority": "low"}
    filled = lifted.filled(values)
    assert str(filled) == PROGRAM.replace("Printer jams", "Modem (old) is red").replace('"high"', '"low"')
    assert lifted.said(values) == 'Give the ticket "Modem (old) is red" the priority "low".'
    assert str(lifted.filled({})) == PROGRAM
    with pytest.raises(ValueError, match="no colour; its values are: link, priority"):
        lifted.filled({"colour": "red"})


def test_only_the_same_goal_fits() -> None:
    """Another wording, a part, or a value more does not fit; the same value twice must be the same."""
    lifted = lift(GOAL, parse_line(PROGRAM))
    assert lifted.fit('Set the priority of "Printer jams" to "high".') is None
    assert lifted.fit(GOAL + " And close it.") is None
    twice = lift('Type "a" and "a".', parse_line('fill(textbox("One"), "a")'))
    assert twice.fit('Type "b" and "b".') == {"one": "b"} and twice.fit('Type "b" and "c".') is None
    one = lift('Show those with stage "open".', parse_line('select_option(combobox("Stage"), "open")'))
    assert one.fit('Show those with stage "closed" and owner "Ann".') is None
    assert one.fit('Show those with stage "on hold".') == {"stage": "on hold"}
    braces = lift('Type "{x}" into {y}.', parse_line('fill(textbox("One"), "{x}")'))
    assert braces.fit('Type "z" into {y}.') == {"one": "z"} and braces.fit('Type "z" into w.') is None


def test_values_that_overlap_or_look_like_patterns() -> None:
    """The longer value goes first, no value is found in the middle of a word, and all text is literal."""
    goal = 'Put "Ann" into one and "Ann Lee (x+)" into two.'
    lifted = lift(goal, parse_line('fill(textbox("One"), "Ann")\nfill(textbox("Two"), "Ann Lee (x+)")'))
    assert lifted.goal == 'Put "{one}" into one and "{two}" into two.'
    filled = lifted.filled({"one": r"\1", "two": '"q" {one}'})
    assert [a.args[1] for a in filled.actions] == [r"\1", '"q" {one}']
    same = lift("Type Ann in Annex.", parse_line('fill(textbox("N"), "Ann")'))
    assert same.goal == "Type {n} in Annex."


def test_a_long_goal_with_no_end_to_any_value_is_another_soon() -> None:
    """It can be read in so many ways that trying all of them would take minutes."""
    row = lift("Enter a b c d e f.", parse_line("\n".join(f'fill(textbox("{c}"), "{c}")' for c in "abcdef")))
    assert row.goal == "Enter {a} {b} {c} {d} {e} {f}." and row.fit("enter 1 2 3 4 5 6.") is not None
    began = time.monotonic()
    assert row.fit("Enter " + "word " * 110 + "please") is None
    assert time.monotonic() - began < 10


def test_it_is_kept_as_text() -> None:
    """Written and read again it is the same; a file without a goal or values is a program all the same."""
    lifted = lift(GOAL, parse_line(PROGRAM))
    assert parse_lifted(str(lifted)) == lifted
    assert parse_lifted('click(button("Save"))').values == {}
    odd = lift(
        'Make it "12".', parse_line('fill(textbox("Area (m²)"), "12")\nclick(button("a\x85b\u2028c"))')
    )
    assert parse_lifted(str(odd)) == odd and odd.fit('Make it "7".') == {"area_m²": "7"}
    with pytest.raises(ActionError):
        parse_lifted("# goal: nothing else")


def test_the_nearest_element() -> None:
    """Another case or spacing, or the one that has the value in its name; never one of several."""
    values = ["Modem"]
    look = page(("link", "13 · Modem"), ("link", "14 · Printer"), ("button", "SAVE  changes"))
    assert nearest(Named("link", "12 · Modem"), values, look) == look.elements[0]
    assert nearest(Named("button", "Save changes"), values, look) == look.elements[2]
    assert nearest(Named("button", "Send"), values, look) is None
    two = page(("link", "13 · Modem"), ("link", "15 · Modem"))
    assert nearest(Named("link", "12 · Modem"), values, two) is None
