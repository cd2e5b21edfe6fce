"""The decoder's grammar: what it allows parses and is on screen, and it allows all that makes sense."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
import regex

from agents.grounding import premature
from tools.actions import ACTIONS, Action, parse, quote
from tools.grammar import action_regex, copied, up_to
from tools.observation import MAX_ELEMENTS, Box, Element, Observation

BOX = Box(0, 0, 9, 9)
SEEN = Observation(
    "http://x/",
    "T",
    (100, 100),
    (
        Element(1, "button", 'Save (all) "now"', BOX),
        Element(2, "textbox", "E-mail*", BOX, value="old@x.org"),
        Element(3, "combobox", "Priority", BOX, options=("low", "very high", 'a|b "c"')),
        Element(4, "file", "Attachment", BOX),
        Element(None, "text", "Order no. 77, please", BOX),
        Element(5, "button", "Locked", BOX, states=("disabled",)),
        Element(6, "img", "red circle", BOX),
    ),
    tabs=("a", "b", "c"),
)
GOAL = 'Write "Ada Lovelace" to ada@b.org. Back\\slash!'


def allows(pattern: str, text: str) -> bool:
    return regex.fullmatch(pattern, text) is not None


@pytest.mark.parametrize("sources", [None, (GOAL,)], ids=["any text", "copied"])
def test_samples_of_the_grammar_parse_and_are_on_screen(sources: tuple[str, ...] | None) -> None:
    """Text written one allowed character at a time parses, names its element, acts on a listed ref."""
    pattern = regex.compile(action_regex(SEEN, sources))
    alphabet = sorted(set("".join(map(chr, range(32, 127))) + GOAL))
    choose = random.Random(1)
    seen_actions = set()
    for _ in range(150):
        text = ""
        while not (pattern.fullmatch(text) and (len(text) > 60 or not _next(pattern, text, alphabet))):
            options = _next(pattern, text, alphabet)
            closing = [c for c in options if c in '")]'] if len(text) > 70 else []
            text += choose.choice(closing or options)
            assert len(text) < 2000
        action = parse(text)
        seen_actions.add(action.name)
        for target in action.targets[:1]:
            found = SEEN.find(target)
            assert found is not None and "disabled" not in found.states and action.label == found.name
    assert len(seen_actions) >= 8


def _next(pattern: regex.Pattern[str], text: str, alphabet: list[str]) -> list[str]:
    return [c for c in alphabet if pattern.fullmatch(text + c, partial=True)]


def test_every_action_can_be_written() -> None:
    """Each action of the table has a form on this page, and it parses."""
    pattern = action_regex(SEEN)
    name = quote('Save (all) "now"')
    written = [
        f"{name} click(1)",
        f"{name} hover(1)",
        '"E-mail*" dblclick(2)',
        '"E-mail*" fill(2, "a \\"b\\"")',
        '"E-mail*" press(2, "Control+a")',
        '"Priority" select_option(3, "very high")',
        '"Priority" select_option(3, ["low", "a|b \\"c\\""])',
        '"Attachment" upload_file(4, "x.txt")',
        '"red circle" drag_and_drop(6, 1)',
        'keyboard_press("Enter")',
        'keyboard_type("hi")',
        "scroll(0, -400)",
        "mouse_click(1000, 0)",
        "mouse_drag_and_drop(1, 2, 3, 4)",
        "mouse_move(1, 2)",
        "mouse_path([1, 2, 30, 40, 500, 600])",
        'select_text("Order no.")',
        '"E-mail*" scroll(0, 400, 2)',
        'goto("http://x/")',
        "go_back()",
        "tab_focus(2)",
        "tab_close()",
        "noop()",
        'send_msg_to_user("done")',
        'report_infeasible("no")',
    ]
    assert {parse(text).name for text in written} == set(ACTIONS)
    for text in written:
        assert allows(pattern, text), text


def test_what_makes_no_sense_cannot_be_written() -> None:
    """Unlisted or wrongly named refs, disabled elements, options and tabs that are not there, bad points."""
    pattern = action_regex(SEEN)
    for text in [
        '"Nope" click(7)',
        '"E-mail*" click(1)',
        "click(1)",
        '"Locked" click(5)',
        quote('Save (all) "now"') + " dblclick(1)",  # a button
        quote('Save (all) "now"') + " scroll(0, 100, 1)",
        '"Priority" select_option(3, "urgent")',
        '"Priority" fill(3, "low")',
        '"Priority" click(3)',  # chosen from, not clicked
        '"red circle" fill(6, "x")',
        "tab_focus(3)",
        "mouse_click(1001, 0)",
        "mouse_click(057, 0)",
        '"red circle" drag_and_drop(6, 7)',
        'fill(2, "a") click(1)',
        "import os",
    ]:
        assert not allows(pattern, text), text
    crowd = Observation(
        "u", "t", (9, 9), tuple(Element(i + 1, "button", "b", BOX) for i in range(MAX_ELEMENTS + 5))
    )
    assert allows(action_regex(crowd), f'"b" click({MAX_ELEMENTS})')
    assert not allows(action_regex(crowd), f'"b" click({MAX_ELEMENTS + 1})')


@pytest.mark.parametrize("most", [0, 1, 9, 10, 11, 19, 20, 99, 100, 109, 120])
def test_up_to_is_exactly_the_refs(most: int) -> None:
    """A drag's second ref is one of the page's, whatever their number."""
    assert [n for n in range(1300) if allows(up_to(most), str(n))] == list(range(1, most + 1))


def test_copied_text_is_a_run_of_words_of_the_sources() -> None:
    """Whole words in order, quoted parts as they stand, punctuation at the ends optional; nothing else."""
    pattern = copied([GOAL, "two words"])
    for good in [
        "Ada Lovelace",
        "Ada",
        "ada@b.org",
        "ada@b.org.",
        "two words",
        "",
        "Back\\slash",
        "to ada@b.org",
    ]:
        assert allows(pattern, quote(good)), good
    for bad in ["Lovelace Ada", "Ad", "Ada two", "words two", "x"]:
        assert not allows(pattern, quote(bad)), bad


def test_copied_text_comes_from_goal_names_and_values() -> None:
    """On a page, values and names of what is there may be copied too."""
    pattern = action_regex(SEEN, (GOAL,))
    for value in ["Ada Lovelace", "old@x.org", "77", "red circle"]:
        assert allows(pattern, f'"E-mail*" fill(2, {quote(value)})'), value
    assert not allows(pattern, '"E-mail*" fill(2, "invented")')


def test_selecting_what_is_selected_is_no_action() -> None:
    """The other options can be chosen, the present one can't; with nothing selected all can."""
    for value, allowed in (("low", False), (None, True)):
        box = Element(1, "combobox", "Priority", BOX, value, options=("low", "high"))
        pattern = action_regex(Observation("http://x/", "T", (9, 9), (box,)))
        assert allows(pattern, '"Priority" select_option(1, "high")')
        assert allows(pattern, '"Priority" select_option(1, "low")') == allowed


def test_what_was_typed_is_not_typed_again() -> None:
    """A field that holds what was typed into it takes one of the goal's quoted values that no field holds
    yet, if none is empty, or is done with; what stood there before, or holds something else by now, may be
    typed over with anything."""
    goal = 'Note "Ada" and "no 7" for the new one'
    name = Element(1, "textbox", "Name", BOX, value="Ada")
    seen = Observation("http://x/", "T", (9, 9), (name, Element(2, "textbox", "Mail", BOX)))
    done = [parse('"Name" fill(1, "Ada")')]
    again, other, words = '"Name" fill(1, "Ada")', '"Name" fill(1, "no 7")', '"Name" fill(1, "new one")'
    pattern = action_regex(seen, [goal], done)
    assert not any(allows(pattern, typed) for typed in (again, words, other))
    full = replace(seen, elements=(name, replace(seen.elements[1], value="?")))
    pattern = action_regex(full, [goal], done)
    assert not allows(pattern, again) and not allows(pattern, words) and allows(pattern, other)
    assert allows(pattern, '"Mail" fill(2, "new one")') and allows(pattern, '"Mail" click(2)')
    assert allows(action_regex(seen, [goal]), words)
    for history in ([parse('"Name" fill(1, "Eva")')], [parse('"Mail" fill(2, "Ada")')]):
        assert allows(action_regex(seen, [goal], history), words)
    assert not allows(action_regex(seen, ['Set name "Ada"'], done), words)
    assert allows(action_regex(seen, ["Set name Ada"], done), again)  # which of it is a value nobody knows
    both = replace(seen, elements=(name, replace(seen.elements[1], value="no 7")))
    assert not allows(action_regex(both, [goal], done), other)  # it stands where it belongs


def test_of_a_list_that_offers_what_is_quoted_nothing_else_is_chosen() -> None:
    """Nothing at all where it is chosen already, or where the goal says nothing of such a list; one that it
    names, and that offers nothing of it, stays free."""
    box = Element(1, "combobox", "Priority", BOX, "low", options=("low", "high", "urgent"))
    seen = Observation("http://x/", "T", (9, 9), (box,))

    def choices(goal: str) -> list[str]:
        pattern = action_regex(seen, [goal])
        return [o for o in box.options if allows(pattern, f'"Priority" select_option(1, "{o}")')]

    assert choices('Make it "urgent"') == ["urgent"] and choices('Make it "low"') == []
    assert choices('Call it "New"') == []
    assert choices('Set the priority to "P1"') == ["high", "urgent"] == choices("Make it urgent")


def test_a_form_that_is_begun_is_filled_in_before_anything_else() -> None:
    """Its empty fields with what is quoted and nowhere in sight, its lists with what they offer of it; then
    it is free, as it is before where nothing is said to belong there, or if the rest was done elsewhere."""
    goal = 'Order 3 "Lamp" for "Emil", note "soon", at once'
    buyer, note = Element(1, "textbox", "Buyer", BOX, value="Emil"), Element(2, "textbox", "Note", BOX)
    article = Element(3, "combobox", "Article", BOX, "Chair", options=("Chair", "Lamp"))
    typed, send = [parse('"Buyer" fill(1, "Emil")')], '"Send" click(4)'

    def pattern(*elements: Element, history: Sequence[Action] = typed) -> str:
        button = Element(4, "button", "Send", BOX)
        return action_regex(Observation("http://x/", "T", (9, 9), (*elements, button)), [goal], history)

    choose, write = '"Article" select_option(3, "Lamp")', '"Note" fill(2, "soon")'
    begun = pattern(buyer, note, article)
    assert allows(begun, choose) and allows(begun, write)
    for other in (send, '"Note" fill(2, "Emil")', '"Article" select_option(3, "Chair")', "go_back()"):
        assert not allows(begun, other), other
    chosen, written = replace(article, value="Lamp"), replace(note, value="soon")
    assert not allows(pattern(buyer, note, chosen), send)
    assert allows(pattern(buyer, written, chosen), send)
    unsaid = replace(note, name="Remark")
    assert allows(pattern(replace(buyer, value=None), unsaid, article, history=()), send)
    elsewhere = [*typed, parse('"Remark" fill(9, "soon")'), parse('"Thing" select_option(8, "Lamp")')]
    assert allows(pattern(buyer, note, article, history=elsewhere), send)
    lost = [*typed, parse('"Note" fill(2, "soon")')]  # and then written over, or forgotten by the page
    assert allows(pattern(buyer, note, chosen, history=lost), write)
    assert allows(pattern(buyer, note, chosen, Element(None, "text", "soon", BOX)), send)


def test_a_form_is_sent_by_its_button_and_not_left_by_a_link() -> None:
    """Once something quoted was put into it, until a button is pressed; on a page without one links are free,
    and so they are where nothing was filled in."""
    name, home = Element(1, "textbox", "Name", BOX, value="Emil"), Element(2, "link", "Home", BOX)
    send, typed = Element(3, "button", "Send", BOX), parse('"Name" fill(1, "Emil")')
    leave, back, press = '"Home" click(2)', "go_back()", '"Send" click(3)'

    def pattern(*elements: Element, history: Sequence[Action] = (typed,)) -> str:
        return action_regex(Observation("http://x/", "T", (9, 9), elements), ['Call it "Emil"'], history)

    unsent = pattern(name, home, send)
    assert allows(unsent, press) and not allows(unsent, leave) and not allows(unsent, back)
    assert not allows(pattern(name, home, send, history=[typed, parse('"Emil" click(4)')]), leave)  # chosen
    assert not allows(pattern(name, home, send, history=[typed, parse("scroll(0, 90)")]), leave)
    for pointless in ('"Name" drag_and_drop(1, 3)', '"Name" click(1)', '"Name" press(1, "H")'):
        assert not allows(unsent, pointless)
    assert allows(unsent, '"Name" press(1, "Enter")')
    for free in (
        pattern(name, home, send, history=[typed, parse(press)]),
        pattern(name, home),
        pattern(name, home, send, history=()),
        pattern(replace(name, value="Ada"), home, send),
    ):
        assert allows(free, leave) and allows(free, back)


def test_an_empty_field_is_typed_into_while_something_is_to_be_typed() -> None:
    """It is clicked only where nothing quoted waits for a field."""
    field = Element(1, "textbox", "Subject", BOX)
    seen = Observation("http://x/", "T", (9, 9), (field,))
    click, write = '"Subject" click(1)', '"Subject" fill(1, "New")'
    assert not allows(action_regex(seen, ['Call it "New"']), click)
    assert allows(action_regex(seen, ['Call it "New"']), write)
    for goal in ("Click into the subject", 'Click "Subject"'):
        assert allows(action_regex(seen, [goal]), click)
    assert allows(action_regex(seen), click)


def test_what_is_offered_for_what_was_typed_is_chosen_first() -> None:
    """Not where something else is offered, nor where it was chosen already, nor what nobody typed."""
    buyer, send = Element(1, "textbox", "Buyer", BOX, value="Emil"), Element(3, "button", "Send", BOX)
    goal, typed = 'Order for "Emil"', [parse('"Buyer" fill(1, "Emil")')]

    def pattern(offered: Element, history: Sequence[Action] = typed) -> str:
        return action_regex(Observation("http://x/", "T", (9, 9), (buyer, offered, send)), [goal], history)

    emil = Element(2, "option", "Emil", BOX)
    assert allows(pattern(emil), '"Emil" click(2)') and not allows(pattern(emil), '"Send" click(3)')
    for free in (
        pattern(Element(2, "option", "Emilia", BOX)),
        pattern(replace(emil, states=("selected",))),
        pattern(emil, ()),
        pattern(emil, [*typed, parse('"Emil" click(2)')]),
    ):
        assert allows(free, '"Send" click(3)')


def test_done_can_be_kept_from_being_said() -> None:
    for done in (True, False):
        for said in ("done", "Ada"):
            pattern = action_regex(SEEN, [GOAL], done=done)
            assert allows(pattern, f'send_msg_to_user("{said}")') is done


def test_terminals_applications_and_what_is_early() -> None:
    """A command says more than the goal; what a desktop opens is an application that there is; a button that
    waits for something else can't be acted on."""
    terminal = Observation("app:xterm", "xterm", (9, 9), (Element(1, "button", "OK", BOX),))
    page = Observation("http://x/", "x", (9, 9), terminal.elements)
    assert allows(action_regex(terminal, ['Make "a".']), 'keyboard_type("mkdir a")')
    assert not allows(action_regex(page, ['Make "a".']), 'keyboard_type("mkdir a")')
    assert allows(action_regex(terminal), 'goto("app:mousepad?my notes.txt")')
    assert not allows(action_regex(terminal), 'goto("app:mousepod")')  # there is none
    assert allows(action_regex(page, ["Make it."]), '"OK" click(1)')
    assert not allows(action_regex(page, ["Make it."], early={1}), '"OK" click(1)')


def test_a_value_goes_into_the_field_that_it_belongs_into() -> None:
    """By the name that stands before it in the goal, or by its kind; into no other, and nothing else into
    that. A value of which neither tells goes where no other belongs."""
    fields = [Element(1, "textbox", "Mobile", BOX), Element(2, "textbox", "Mail", BOX)]
    seen = Observation("http://x/", "T", (9, 9), (*fields, Element(3, "textbox", "Buyer", BOX)))
    goal = 'New client "Ada Ito": email address "a@x.org"; mobile = "555 0148 23".'

    def where(value: str, goal: str = goal, look: Observation = seen) -> list[str]:
        pattern = action_regex(look, [goal])
        return [e.name for e in look.elements if allows(pattern, f'"{e.name}" fill({e.ref}, "{value}")')]

    assert (
        where("a@x.org") == ["Mail"] and where("555 0148 23") == ["Mobile"] and where("Ada Ito") == ["Buyer"]
    )
    assert where("ADA ITO") == where("A@X.ORG") == []
    assert where("5", 'Set "Mobile" to "5"') == ["Mobile", "Mail", "Buyer"]  # a name in quotes is a value too
    held = replace(seen, elements=(replace(fields[0], value="030 11"), *seen.elements[1:]))
    assert where("a@x.org", 'Find "Ada" and set mail "a@x.org"', held) == ["Mail"]
    assert where("Ada", 'Call "Ada" at "+49 30 1234"') == ["Mail", "Buyer"]
    assert where("Zed", 'Buyer "Zed"') == ["Buyer"] and where("Zed", "Buyer Zed") == [
        "Mobile",
        "Mail",
        "Buyer",
    ]


def test_a_value_that_is_at_home_may_be_wanted_again() -> None:
    """A password that hides what it holds, and is to be typed twice; then the form is sent."""
    goal = 'Enter the password "G37" into both text fields and press submit.'
    fields = [
        Element(1, "textbox", "Password", BOX, value="\u2022" * 3),
        Element(2, "textbox", "Verify", BOX),
    ]
    seen = Observation("http://x/", "T", (9, 9), (*fields, Element(3, "button", "Submit", BOX)))
    done = [parse('"Password" fill(1, "G37")')]
    assert allows(action_regex(seen, [goal], done), '"Verify" fill(2, "G37")')
    both = replace(seen, elements=(fields[0], replace(fields[1], value="\u2022" * 3), seen.elements[2]))
    done.append(parse('"Verify" fill(2, "G37")'))
    assert allows(action_regex(both, [goal], done), '"Submit" click(3)')
    assert not premature(goal, both, done)


def test_what_the_goal_says_nothing_of_stays_as_it_is() -> None:
    """A list or a box, where the goal has something in quotes: else small models set what stands beside."""
    sounds, theme = Element(1, "checkbox", "Sounds", BOX), Element(2, "combobox", "Theme", BOX, "Day")
    seen = Observation("http://x/", "T", (9, 9), (sounds, replace(theme, options=("Day", "Night"))))
    tick, choose = '"Sounds" click(1)', '"Theme" select_option(2, "Night")'

    def both(goal: str) -> tuple[bool, bool]:
        pattern = action_regex(seen, [goal])
        return allows(pattern, tick), allows(pattern, choose)

    assert both('Use "Yours, Ada" as sign-off.') == (False, False)
    assert both('Turn off "Sounds".') == (True, False) and both('Make it "Night"') == (False, True)
    assert both('Check the box beside "Ada"') == (True, False) and both("Use the other one") == (True, True)
    assert allows(action_regex(replace(seen, url="app:mousepad"), ['Write "Ada"']), tick)


def test_a_form_that_one_of_several_values_belongs_into_is_filled_in_first() -> None:
    """Also where it holds something else so far; not where the only value may be for another page, nor again
    when it was sent."""
    fields = [Element(1, "textbox", "Phone", BOX, value="030 1"), Element(2, "textbox", "Name", BOX)]
    away, save = Element(3, "link", "Orders", BOX), Element(4, "button", "Save", BOX)
    seen = Observation("http://x/", "T", (9, 9), (*fields, away, save))
    goal, leave, fill = (
        'Edit "Ada Ito": phone = "555-38 09".',
        '"Orders" click(3)',
        '"Phone" fill(1, "555-38 09")',
    )

    def both(goal: str, *history: str) -> tuple[bool, bool]:
        pattern = action_regex(seen, [goal], [parse(call) for call in history])
        return allows(pattern, leave), allows(pattern, fill)

    assert both(goal) == (False, True) and both('Look for "555-38 09".') == (True, True)
    assert both(goal, '"Phone" fill(1, "555-38 09")', '"Save" click(4)') == (True, True)
    search = replace(fields[0], name="Phone or name")
    pattern = action_regex(replace(seen, elements=(search, away)), [goal])
    assert allows(pattern, '"Phone or name" fill(1, "Ada Ito")') and allows(pattern, leave)


def test_a_dialog_that_is_filled_in_is_sent_and_not_given_up() -> None:
    """By the button that the goal names, if there is one; buttons are free until something was filled in."""
    field, stop = Element(1, "textbox", "Name", BOX, value="a.txt"), Element(2, "button", "Cancel", BOX)
    new, save = Element(3, "button", "Create Folder", BOX), Element(4, "button", "Save", BOX)
    seen = Observation("app:mousepad", "T", (9, 9), (field, stop, new, save))

    def free(goal: str, *history: str) -> list[str]:
        pattern = action_regex(seen, [goal], [parse(call) for call in history])
        return [e.name for e in (stop, new, save) if allows(pattern, f'"{e.name}" click({e.ref})')]

    typed = '"Name" fill(1, "a.txt")'
    assert free('Save it as "a.txt".', typed) == ["Save"]
    assert free('Call it "a.txt".', typed) == ["Create Folder", "Save"]
    assert free('Save it as "a.txt".') == ["Cancel", "Create Folder", "Save"]
