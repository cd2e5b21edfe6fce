"""Programs are read, never executed, and made from runs that worked."""

import re
from dataclasses import replace

import pytest

from agents.policies import Decision
from agents.program import Act, Ask, Program, Script, compile_program, parse_program, program_regex
from agents.prompts import messages
from tools.actions import Action, ActionError, Named
from tools.observation import Box, Element, Observation

BOX = Box(0, 0, 10, 10)
PAGE = Observation(
    "http://x/",
    "X",
    (100, 100),
    (
        Element(1, "button", "Save", BOX),
        Element(2, "textbox", "Name", BOX),
        Element(3, "button", "Save", BOX),
    ),
)
TEXT = 'click(button("Save", nth=1))\nfill(textbox("Name"), "Ada")\nact("look")\nact(goal)'


def test_a_program_reads_back_as_it_is_written() -> None:
    """str and parse are inverse; fences and comments are read over; act takes the name goal, or text."""
    program = parse_program(f"```python\n# a plan\n{TEXT}\n```")
    assert str(program) == TEXT
    assert program.steps[0] == Action("click", (Named("button", "Save", 1),))
    assert program.steps[2:] == (Act("look"), Act())


def test_a_question_stands_alone() -> None:
    """`ask("…")` is no step among others, and asks with a text that stands in it."""
    assert parse_program('```\nask("Which\\n of the two?")\n```') == Ask("Which of the two?")
    assert str(Ask('The "old" one?')) == 'ask("The \\"old\\" one?")'
    for text in ('ask("a")\nclick(button("Save"))', "ask(goal)", 'ask("")', 'ask("a", "b")'):
        with pytest.raises(ActionError):
            parse_program(text)


def test_refs_become_names_of_the_page_or_are_refused() -> None:
    """A program outlives its page, so numbers are translated where the page is known."""
    assert str(parse_program('"Save" click(3)', PAGE)) == 'click(button("Save", nth=1))'
    with pytest.raises(ActionError, match="by role and name"):
        parse_program("click(3)")
    with pytest.raises(ActionError, match="by role and name"):
        parse_program("click(9)", PAGE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "act(goal, goal)",
        'clik(button("a"))',
        'click(button("a")); click(button("b"))',
        "act(goal)\n" * 40,
        "x" * 30_000 + " = 1",
        "certainly! here is my plan",
    ],
)
def test_what_is_no_program_is_refused_with_a_reason(text: str) -> None:
    """Nothing but literals in known calls gets through."""
    with pytest.raises(ActionError, match=r"\w"):
        parse_program(text)


def test_the_decoder_can_write_what_the_parser_reads_and_nothing_else() -> None:
    """The grammar accepts programs of the design's form and no prose."""
    grammar = re.compile(program_regex())
    lines = ["act(goal)", TEXT.removesuffix("\nact(goal)"), 'select_option(combobox("P"), "high")\nnoop()']
    for text in lines:
        assert grammar.fullmatch(text), text
        parse_program(text)
    for text in ("", "hello", "click(5)", "act(goal)\nact(goal)", "import os", 'click(button("a"))\n'):
        assert not grammar.fullmatch(text), text


def test_a_run_that_worked_compiles() -> None:
    """Failed and empty steps are left out, refs become names, places on the screen go to the actor."""
    ok = [(PAGE, Decision(Action("click", (3,), "Save")), "actor")]
    failed = (PAGE, Decision(Action("click", (1,))), "actor")
    done = (PAGE, Decision(Action("send_msg_to_user", ("done",))), "actor")
    program = compile_program([failed, (replace(PAGE, error="covered"), *ok[0][1:]), done], PAGE)
    assert str(program) == 'click(button("Save", nth=1))'
    late = replace(PAGE, url="http://x/next", error="gave up after 3 s")  # it led there all the same
    program = compile_program([(PAGE, *ok[0][1:]), (late, *ok[0][1:]), done], PAGE)
    assert str(program) == 'click(button("Save", nth=1))\nclick(button("Save", nth=1))'
    point = (PAGE, Decision(Action("mouse_click", (1, 1))), "actor")
    assert str(compile_program([*ok, point, done], PAGE)) == 'click(button("Save", nth=1))\nact(goal)'
    answer = (PAGE, Decision(Action("send_msg_to_user", ("42",))), "actor")
    assert compile_program([*ok, answer], PAGE) is None
    assert compile_program([point, done], PAGE) is None


def test_a_script_is_what_goes_beyond_calls() -> None:
    """A straight line stays one, also where it is wrong; Python that does more is kept as it is written."""
    assert isinstance(parse_program('scroll(0, -300)\nclick(button("Save"))'), Program)
    for text in (
        *("import os", "x = 1", "print(read())", "act(open('x'))", 'click(button("a" + "b"))'),
        *('__import__("os").system("true")', "if 1:\n    noop()"),
    ):
        assert parse_program(f"```python\n{text}\n```") == Script(text)
    script = parse_program('for name in ["a"]:\n    click(button(name))\n    click(button("Save"))\nclick(9)')
    assert {str(a) for a in script.actions} == {'click(button("Save"))', "click(9)"}


def test_only_models_that_need_instructions_are_told_of_scripts() -> None:
    """The prompt of a model trained here is the bare question, as it was trained."""
    told = messages("coder", "plan:", None, brief=False)
    assert told[0]["role"] == "system" and "read_table(" in told[0]["content"]
    assert messages("coder", "plan:", None, brief=True) == [
        {"role": "user", "content": [{"type": "text", "text": "plan:"}]}
    ]
