"""The policy in plain code, as a table."""

from dataclasses import replace

import pytest

from tools.actions import Action, Named, parse, quote
from tools.guard import assess
from tools.observation import Box, Element, Observation
from tools.rules import Rules

BOX = Box(0, 0, 50, 50)


def page(*elements: tuple[str, str], focused: int | None = None) -> Observation:
    made = tuple(
        Element(i, role, name, Box(i * 100, 0, 80, 20)) for i, (role, name) in enumerate(elements, 1)
    )
    return Observation("http://desk/tickets", "T", (1000, 1000), made, focused=focused)


@pytest.mark.parametrize(
    ("role", "name", "kind", "decision"),
    [
        ("button", "Save", "write", "approve"),
        ("button", "Cancel", "write", "approve"),
        ("link", "Customers", "write", "approve"),
        ("link", "Remove the old invoice from my account", "write", "approve"),
        ("link", "Recently deleted", "write", "approve"),
        ("textbox", "Delete", "write", "approve"),
        ("button", "Delete", "irreversible", "ask"),
        ("button", "Yes, delete it", "irreversible", "ask"),
        ("link", "Delete ticket", "irreversible", "ask"),
        ("clickable", "Delete ticket", "irreversible", "ask"),
        ("img", "delete", "irreversible", "ask"),
        ("clickable", "Deleted the old ones, closed", "write", "approve"),
        ("button", "Close ticket", "irreversible", "ask"),
        ("button", "CLOSE", "irreversible", "ask"),
        ("menuitem", "Send message", "irreversible", "ask"),
        ("menuitemradio", "Wipe disk", "irreversible", "ask"),
        ("option", "Delete account", "irreversible", "ask"),
        ("option", "Pay now", "money", "ask"),
        ("option", "Permanently delete", "irreversible", "ask"),
        ("option", "Yes, pay now", "money", "ask"),
        ("option", "Ada wrote: please send the report", "write", "approve"),
        ("option", "Germany", "write", "approve"),
        ("treeitem", "Delete folder", "irreversible", "ask"),
        ("treeitem", "Old payment", "write", "approve"),
        ("button", "Cancel my subscription", "irreversible", "ask"),
        ("button", "Pay $20.00", "money", "ask"),
        ("button", "Place order", "money", "ask"),
        ("button", "Buy now", "money", "ask"),
    ],
)
def test_what_a_button_says_decides(role: str, name: str, kind: str, decision: str) -> None:
    """By ref, by name and by place on the screen the verdict is the same, whatever the goal wishes."""
    here = page((role, name))
    for goal in ("", f"please press {name}, you need not ask"):
        for action in (
            parse("click(1)"),
            Action("click", (Named(role, name),)),
            parse("mouse_click(120, 10)"),
        ):
            verdict = assess(action, here, goal)
            assert (verdict.kind, verdict.decision) == (kind, decision), verdict.why


def test_a_dialogs_ok_means_what_the_dialog_says() -> None:
    """OK after "Really delete?" can't be undone; OK after a greeting can; closing a dialog closes only it."""
    ask = page(("button", "Save"), ("button", "OK"), ("button", "Close"), ("dialog", "Really delete this?"))
    assert assess(parse("click(2)"), ask, "").decision == "ask"
    assert assess(parse("click(3)"), ask, "").decision == "approve"
    greet = page(("button", "OK"), ("dialog", "Welcome back"))
    assert assess(parse("click(1)"), greet, "").decision == "approve"


def test_an_ok_without_a_dialog_means_what_is_read_near_it() -> None:
    """A page draws its own dialogs: an OK below "Delete all notes?" is that; far from it, it is not."""
    for y, decision in [(60, "ask"), (900, "approve")]:
        words = Element(None, "text", "Delete all notes?", Box(0, y, 80, 20))
        seen = Observation(
            "http://desk/", "T", (1000, 1000), (words, Element(1, "button", "OK", Box(0, 100, 80, 20)))
        )
        assert assess(parse("click(1)"), seen, "").decision == decision


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        *(
            (f"press(1, {quote(key)})", "ask")
            for key in ("Enter", "NumpadEnter", "Shift+Enter", "Space", " ")
        ),
        *((f"press(1, {quote(key)})", "ask") for key in ("\n", "\r", "Control+ ", "Return", "KP_Enter")),
        *((f"press(1, {quote(key)})", "approve") for key in ("Tab", "Backspace", "Shift+ArrowDown")),
        *((f"keyboard_press({quote(key)})", "ask") for key in ("Enter", "NumpadEnter", "\n")),
        *((f"keyboard_type({quote(text)})", "ask") for text in ("\n", " ", "a b", "\r")),
        ('keyboard_type("ab")', "approve"),
        ("mouse_path([120, 10, 121, 11])", "ask"),
        ("mouse_path([120, 10, 500, 500])", "ask"),
        ("mouse_path([400, 400, 500, 500])", "approve"),
        ("mouse_drag_and_drop(120, 10, 121, 10)", "ask"),
        ("mouse_move(120, 10)", "approve"),
        ('upload_file(1, "a.txt")', "ask"),
        ('select_option(1, "a")', "ask"),
        ('fill(2, "a b")', "approve"),
    ],
)
def test_whatever_presses_a_button_is_judged_by_it(text: str, decision: str) -> None:
    """Keys, typed line ends and blanks, and drags from a place to itself are no way around."""
    here = page(("button", "Delete"), ("textbox", "Name"), focused=1)
    assert assess(parse(text), here, "").decision == decision


@pytest.mark.parametrize(
    ("enters", "decision"), [("Pay $20", "ask"), ("Search", "approve"), ("", "approve"), (None, "ask")]
)
@pytest.mark.parametrize(
    "text", ['press(2, "Enter")', 'keyboard_press("NumpadEnter")', 'keyboard_type("1\\n")']
)
def test_enter_in_a_field_presses_its_forms_button(text: str, enters: str | None, decision: str) -> None:
    """The one that the reader has found, none in a long text; where it can't tell, any that is in sight."""
    here = page(("button", "Pay $20"), ("textbox", "Name"), focused=2)
    here = replace(here, elements=(here.elements[0], replace(here.elements[1], enters=enters)))
    assert assess(parse(text), here, "").decision == decision
    alone = replace(here, elements=here.elements[1:])
    assert assess(parse(text), alone, "").decision == ("ask" if enters == "Pay $20" else "approve")
    assert assess(parse('press(2, "Space")'), here, "").decision == "approve"


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        *((f"keyboard_press({quote(key)})", "ask") for key in ("Alt+d", "Alt+D", "AltLeft+KeyD")),
        *((f"keyboard_press({quote(key)})", "ask") for key in ("Alt+Shift+d", "Control+Enter", "#")),
        *((f"keyboard_press({quote(key)})", "ask") for key in ("ControlOrMeta+Return", "Control++")),
        *(
            (f"keyboard_press({quote(key)})", "approve")
            for key in ("d", "Alt+s", "Control+d", "Alt+ArrowLeft")
        ),
        ('press(2, "Alt+d")', "ask"),
        ('press(2, "Control+Enter")', "ask"),
        ('press(2, "#")', "approve"),
        ('keyboard_type("a#")', "ask"),
        ('keyboard_type("a")', "approve"),
        ('fill(2, "a#")', "approve"),
    ],
)
def test_what_has_a_key_of_its_own_is_pressed_by_it(text: str, decision: str) -> None:
    """Wherever the focus is, and listed or not; a letter counts only where no field takes it."""
    here = page(("button", "Delete"), ("textbox", "Name"))
    here = replace(here, elements=(here.elements[0], replace(here.elements[1], enters="")))
    delete, name = here.elements
    send = Element(None, "button", "Send", BOX, keys=("Control+Enter", "Control+Plus"))
    save = Element(None, "button", "Save", BOX, keys=("Alt+s",))
    own = replace(here, elements=(replace(delete, keys=("Alt+d", "#")), name), unlisted=(send, save))
    assert assess(parse(text), own, "").decision == decision
    assert assess(parse(text), here, "").decision == "approve"


def test_what_a_key_presses_in_a_frame_is_the_frames() -> None:
    """The rules for its origin hold, not the page's."""
    own = Rules({"http://desk": {"irreversible": "approve"}}, home="http://desk")
    delete = Element(None, "button", "Delete", BOX, keys=("Alt+d",))
    for where, decision in [("", "approve"), ("http://other", "ask")]:
        here = replace(page(), unlisted=(replace(delete, origin=where),))
        assert assess(parse('keyboard_press("Alt+d")'), here, "", own).decision == decision


def test_a_desktops_mnemonics_are_letters_of_the_label() -> None:
    """Which one is not told: any risky button in sight that has it is asked about; plain letters only
    where a menu is open and no field takes them."""
    asks = on_desktop("app:mousepad", ("button", "Delete"), ("textbox", "Name"), ("menuitem", "Send to"))
    for call, decision in [
        ('keyboard_press("Alt+d")', "ask"),
        ('keyboard_press("Alt+f")', "approve"),
        ('keyboard_press("Control+d")', "approve"),
        ('keyboard_press("l")', "approve"),
        ('keyboard_press("s")', "ask"),
        ('keyboard_type("as")', "ask"),
        ('press(2, "s")', "approve"),
    ]:
        assert assess(parse(call), asks, "").decision == decision, call


@pytest.mark.parametrize(
    ("options", "decision"),
    [('"Pay now"', "ask"), ('["Low", "Permanently delete"]', "ask"), ('"Low"', "approve")],
)
def test_an_option_drawn_by_a_script_is_clicked(options: str, decision: str) -> None:
    """And so is judged by its label, by whichever action, its list open or not; a browser's own select only
    holds another value afterwards."""
    here = page(("combobox", "Action"), ("clickable", "Action"))
    for opened in (here, page(("combobox", "Action"), ("clickable", "Action"), ("option", "Pay now"))):
        for ref in (1, 2):
            assert assess(parse(f"select_option({ref}, {options})"), opened, "").decision == decision
        named = Action(
            "select_option", (Named("combobox", "Action"), *parse(f"select_option(1, {options})").args[1:])
        )
        assert assess(named, opened, "").decision == decision
    native = replace(here, elements=(replace(here.elements[0], options=("Low", "Pay now")),))
    assert assess(parse(f"select_option(1, {options})"), native, "").decision == "approve"


@pytest.mark.parametrize(
    ("role", "name", "decision"),
    [
        ("searchbox", "", "approve"),
        ("textbox", "Search customers", "approve"),
        ("combobox", "Filter by name", "approve"),
        ("textbox", "Amount", "ask"),
        ("textbox", "Finding", "ask"),
        ("textbox", "What to search and delete", "ask"),
    ],
)
def test_enter_in_a_search_box_without_a_form_searches(role: str, name: str, decision: str) -> None:
    """Whatever buttons are in sight; not in a dialog, not on a desktop, and not where its form has a button
    that must be asked."""
    here = page(("button", "Delete"), (role, name), focused=2)
    for text in ('press(2, "Enter")', 'keyboard_press("Enter")', 'keyboard_type("ada\\n")'):
        assert assess(parse(text), here, "").decision == decision
        asked = replace(here, elements=(*here.elements, Element(None, "dialog", "Users", BOX)))
        for careful in (asked, replace(here, url="app:thunar")):
            assert assess(parse(text), careful, "").decision == "ask"
        delete, field = here.elements
        sent = replace(here, elements=(delete, replace(field, enters="Pay now")))
        assert assess(parse(text), sent, "").decision == "ask"


def test_enter_in_a_dialog_is_its_ok() -> None:
    """In the answer of a prompt as well; on Cancel it cancels (`browser.py`)."""
    asks = page(("button", "OK"), ("button", "Cancel"), ("textbox", "answer"), ("dialog", "Pay how much?"))
    for text, decision in [('press(3, "Enter")', "ask"), ('press(2, "Enter")', "approve")]:
        assert assess(parse(text), asks, "").decision == decision
    assert assess(parse('keyboard_press("Enter")'), replace(asks, focused=3), "").decision == "ask"


def test_what_lies_in_a_frame_is_judged_by_the_frames_origin() -> None:
    """A secret for this site is not for the site of a frame in it; nor are its rules."""
    here = page(("textbox", "Password"), ("button", "Delete"), focused=1)
    framed = replace(here, elements=tuple(replace(e, origin="http://other") for e in here.elements))
    own = Rules({"http://desk": {"irreversible": "approve"}}, home="http://desk")
    for seen, typed, pressed in [(here, "approve", "approve"), (framed, "refuse", "ask")]:
        for text in ('fill(1, "{{password}}")', 'keyboard_type("{{password}}")'):
            assert assess(parse(text), seen, "sign in with {{password}}", own).decision == typed
        for text in ("click(2)", "mouse_click(220, 10)"):
            assert assess(parse(text), seen, "", own).decision == pressed


def test_secrets_are_typed_only_if_the_person_gave_them() -> None:
    """A password from the goal may be typed; one from elsewhere is asked about."""
    here = page(("textbox", "Password"), ("textbox", "Name"), focused=1)
    assert assess(parse('fill(1, "hunter2")'), here, "sign in as ada with hunter2").decision == "approve"
    for text in ('fill(1, "hunter2")', 'keyboard_type("hunter2")'):
        verdict = assess(parse(text), here, "sign in")
        assert (verdict.kind, verdict.decision) == ("secret", "ask")
    assert assess(parse('fill(2, "hunter2")'), here, "").decision == "approve"


@pytest.mark.parametrize(
    ("text", "goal", "decision"),
    [
        ('goto("/customers")', "", "approve"),
        ('goto("http://desk/x?y=1")', "", "approve"),
        ('goto("http://evil.example/")', "", "refuse"),
        ('goto("//evil.example/")', "", "refuse"),
        ('goto("///evil.example/")', "", "refuse"),
        ('goto("/\\\\evil.example/")', "", "refuse"),
        ('goto("ht\\ntp://evil.example/")', "", "refuse"),
        ('goto("http://desk@evil.example/")', "", "refuse"),
        ('goto("/tickets/12/delete")', "delete ticket 12", "ask"),
        ('goto("/pay?to=mallory&confirm=1")', "", "ask"),
        ('goto("/t/5/del%65te")', "", "ask"),
        ('goto("/t/deleteUser?id=5")', "", "ask"),
        ('goto("/t?do=userDELETEAll")', "", "ask"),
        ('goto("/t/undeletedUsers")', "", "approve"),
        ('goto("/blog/post/3")', "", "approve"),
        ('goto("http://DESK:80/x")', "", "approve"),
        ('goto("http://[")', "", "refuse"),
        ('goto("http://ex\u2100mple.com/")', "", "refuse"),
        ('goto("http://desk:99999/")', "", "refuse"),
        ('goto("http://docs.example/a")', "read docs.example first", "ask"),
        ('goto("http://docs.example.evil.org/")', "read docs.example first", "refuse"),
        ('goto("file:///etc/passwd")', "file:///etc/passwd", "refuse"),
        ('goto("javascript:alert(1)")', "", "refuse"),
        ('upload_file(1, "report.txt")', "", "approve"),
        ('upload_file(1, "../../etc/passwd")', "", "refuse"),
        ('upload_file(1, "/etc/passwd")', "/etc/passwd", "refuse"),
    ],
)
def test_other_sites_and_other_files_are_out_of_bounds(text: str, goal: str, decision: str) -> None:
    """Addresses off the site need the goal to name them; other schemes and paths never pass."""
    assert assess(parse(text), page(("file", "Attachment")), goal).decision == decision


@pytest.mark.parametrize(
    ("url", "decision"),
    [
        ("other.html", "approve"),
        ("sub/other.html", "approve"),
        ("file:///home/me/.ssh/id_rsa", "refuse"),
        ("file:///home/me/pages2/x.html", "refuse"),
        ("../secret.txt", "refuse"),
        ("%2e%2e/secret.txt", "refuse"),
        ("sub/..%2f..%2fsecret.txt", "refuse"),
    ],
)
def test_a_local_page_leads_to_files_beside_it_only(url: str, decision: str) -> None:
    """Whatever the goal and the rules say."""
    seen = replace(page(), url="file:///home/me/pages/page.html")
    rules = Rules({"file://": {"read": "approve"}}, home="file://")
    assert assess(Action("goto", (url,)), seen, f"open {url}", rules).decision == decision


def on_desktop(url: str, *elements: tuple[str, str], focused: int | None = None) -> Observation:
    return replace(page(*elements, focused=focused), url=url)


def test_a_terminals_commands_are_asked() -> None:
    """Whatever ends a line there may do anything; typing without it does nothing yet."""
    shell = on_desktop("app:xterm")
    for call in (
        'keyboard_press("Enter")',
        'keyboard_type("rm -r x\\n")',
        'keyboard_press("Control+j")',
        'keyboard_press("Control+Shift+v")',
        'keyboard_press("Shift+Insert")',
    ):
        assert assess(parse(call), shell, "run rm -r x").decision == "ask", call
    assert assess(parse('keyboard_type("ls")'), shell, "").decision == "approve"
    assert assess(parse('keyboard_press("Enter")'), on_desktop("app:mousepad"), "").decision == "approve"


def test_applications_are_opened_from_a_list() -> None:
    """Harmless ones, and those the person's policy names; never a terminal otherwise, never from a page's
    address that only looks like one."""
    empty = on_desktop("app:desktop")
    assert assess(parse('goto("app:mousepad")'), empty, "").decision == "approve"
    assert assess(parse('goto("app:mousepad?a.txt")'), empty, "").decision == "approve"
    refused = assess(parse('goto("app:xterm")'), empty, "open app:xterm, I allow it")
    assert refused.decision == "refuse" and '["app:xterm"] read = "approve"' in refused.why
    own = Rules({"app:xterm": {"read": "approve"}})
    assert assess(parse('goto("app:xterm")'), empty, "", own).decision == "approve"
    assert assess(parse('goto("app:bash")'), empty, "").decision == "refuse"


def test_overwriting_a_file_is_asked() -> None:
    """A save dialog's Replace; in a search dialog the same word changes nothing on disk."""
    asks = on_desktop("app:mousepad", ("button", "Replace"), ("dialog", 'A file "a" already exists.'))
    assert assess(parse("click(1)"), asks, "").decision == "ask"
    search = on_desktop("app:mousepad", ("button", "Replace"), ("dialog", "Find and Replace"))
    assert assess(parse("click(1)"), search, "").decision == "approve"
