"""The action table and its parser: what is read, what is refused, and that nothing is ever executed."""

from __future__ import annotations

import ast

import pytest

from tools.acting import Acting
from tools.actions import ACTIONS, FINAL, Action, ActionError, Named, from_call, parse, prompt_list


@pytest.mark.parametrize("name", list(ACTIONS))
def test_every_example_parses_and_comes_back_as_written(name: str) -> None:
    """The table's examples are valid, and writing an action gives text that parses to the same."""
    action = parse(ACTIONS[name].example)
    assert action.name == name and parse(str(action)) == action
    assert ACTIONS[name].example in prompt_list()


def test_every_action_of_the_table_has_an_executor() -> None:
    """No action can be parsed that the browser can't do."""
    assert {name for name in ACTIONS if not hasattr(Acting, f"_{name}")} == FINAL


def test_the_element_may_be_said_first() -> None:
    """The label is kept, written back, and does not count in comparisons."""
    action = parse('"Save \\"now\\"" click(5)')
    assert action == Action("click", (5,)) and action.label == 'Save "now"'
    assert parse(str(action)).label == action.label


def test_targets_by_role_and_name() -> None:
    """Named targets parse with and without nth; BrowserGym's string ids too."""
    assert parse('click(button("Save"))').targets == (Named("button", "Save"),)
    assert parse('fill(textbox("Email", nth=1), "a")').targets == (Named("textbox", "Email", 1),)
    assert parse('click("12")').targets == (12,)
    assert parse('fill(value="a", target=3)') == parse('fill(3, "a")')
    assert parse('select_option(3, ["a", "b"])').args == (3, ("a", "b"))
    assert parse("noop()") == Action("noop")


BAD = [
    "",
    "click",
    "click()",
    "click(0)",
    "click(-1)",
    "click(True)",
    "click(1.5)",
    "click(1, 2)",
    "click(x)",
    "click(*[1])",
    "click(**{'target': 1})",
    "click(target=1, target=2)",
    'fill(1, "a" + "b")',
    'fill(1, f"{1}")',
    "fill(1, None)",
    "fill(1, b'x')",
    "mouse_click(1001, 5)",
    "mouse_click(nan, 5)",
    "mouse_path([1, 2])",
    "mouse_path([1, 2, 3])",
    "mouse_path([1, 2, 3, 1001])",
    "mouse_path([1, 2, 'a', 4])",
    "scroll(0, 1, 2, 3)",
    "scroll(0, '400')",
    "scroll(0, -1e999)",
    "noop(" + "9" * 400 + ")",
    "select_option(1, [1])",
    "explode(1)",
    "click(1); click(2)",
    "click(1)\nclick(2)",
    "__import__('os').system('true')",
    "click(__import__('os'))",
    "(lambda: 1)()",
    "click(button('a', 'b'))",
    "click(button(1))",
    "click(button('a', nth=-1))",
    "click(button('a', x=1))",
    "click(button(button('a')))",
    '"never closed click(5)',
    '"Save"',
    '"a" "b" click(1)',
    "I would click(5)",
    "\x00",
    "click(\ud800)",
    "fill(1, '\\ud800')",
    '"\\ud800" noop()',
    "click(" * 50,
    "(" * 5000 + ")" * 5000,
    "[" * 100_000,
    "click(" + "-" * 20_000 + "1)",
    "click(" + "9" * 5_000 + ")",
    "fill(1, " + "'a'" + "+'a'" * 5_000 + ")",
]


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_bad_text_is_refused_in_words(text: str) -> None:
    """Junk, code, nesting and huge input raise ActionError and nothing else, with a message to show."""
    with pytest.raises(ActionError) as caught:
        parse(text)
    assert 0 < len(str(caught.value)) < 1000


@pytest.mark.parametrize("ref", ["²", "9" * 5_000, "-1", "0"])
def test_a_script_is_told_what_is_no_number(ref: str) -> None:
    """Its calls come as nodes, and what is wrong with them is an ActionError too."""
    with pytest.raises(ActionError):
        from_call(ast.parse(f"click('{ref}')", mode="eval").body)


@pytest.mark.parametrize("deep", (100, 1000, 5000))
@pytest.mark.parametrize("nest", ("{}1", "click({}1)", "click(button({}1))", 'click(button("a", nth={}1))'))
def test_text_nested_very_deep_is_refused_in_words(deep: int, nest: str) -> None:
    """Reading it may take more stack than there is, and so may writing it into the message."""
    with pytest.raises(ActionError):
        parse(nest.format("-" * deep))


def test_a_long_text_is_one_argument() -> None:
    """A long value is no nesting: it is kept whole."""
    value = "word " * 20_000
    assert parse(Action("fill", (1, value)).__str__()).args == (1, value)
