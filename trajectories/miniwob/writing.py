"""Oracles of the tasks that are done by typing what the goal gives, copying, marking text, filling in forms.

Not covered: what they are made of (`oracle.py`); answers that must be read or worked out (`reading.py`).
"""

from __future__ import annotations

import re
from functools import partial

from tools.actions import Action
from tools.observation import Element
from trajectories.miniwob.oracle import FIELDS, Family, OracleLost, Scene
from trajectories.miniwob.reading import read, scroll


def index(ordinal: str) -> int:
    """0 for "1st", 1 for "2nd"."""
    return int(re.sub(r"\D", "", ordinal)) - 1


def focus_text(scene: Scene) -> Action:
    return scene.click("textbox")


def focus_text_2(scene: Scene) -> Action:
    return scene.on("click", scene.all("textbox")[index(*scene.said(r"the (\d\w\w) input"))])


def click_named(scene: Scene) -> Action:
    return scene.click("button", *scene.quoted())


def enter(button: str, scene: Scene) -> Action:
    """Each quoted text of the goal into the field it is for, in order; a single text into all of them."""
    texts, fields = scene.quoted(), scene.all(*FIELDS)
    if not fields:
        raise OracleLost(f"no field among:\n{scene.look.text()}")
    for element, text in zip(fields, texts * (len(fields) if len(texts) == 1 else 1), strict=False):
        if (action := scene.fill(element, text)) is not None:
            return action
    return scene.click("button", button)


def login_user_popup(scene: Scene) -> Action:
    return scene.click("button", "Cancel") if scene.has("Cancel", "button") else enter("OK", scene)


def sign_agreement(scene: Scene) -> Action:
    """Name and button are out of reach until the agreement is scrolled through."""
    if "cancel button" in scene.goal:
        return scene.click("button", "Cancel")
    name = scene.find("Name", "textbox")
    if "disabled" in name.states:
        return Action("scroll", (0, 2000))
    text, button = scene.quoted()
    return scene.fill(name, text) or scene.click("button", button)


# ---- copying and marking ---------------------------------------------------------------------------------


def copy(scene: Scene, source: Element, target: Element) -> Action | None:
    """All of one field into another by the clipboard, which keeps spaces that can't be seen."""
    if target.value == source.value:
        return None
    if target.value:
        return scene.on("fill", target, "")
    whole, taken = (scene.on("press", source, key) for key in ("Control+a", "Control+c"))
    if scene.history[-2:] == (whole, taken):
        return scene.on("press", target, "Control+v")
    return taken if scene.history[-1:] == (whole,) else whole


def copy_paste(scene: Scene) -> Action:
    """`facts` are the indices, among the fields, of the text areas."""
    fields = scene.all("textbox")
    (target,) = (field for i, field in enumerate(fields) if i not in scene.facts)
    nth = index(*scene.said(r"the (\d\w\w) text area")) if "text area" in scene.goal else 0
    return copy(scene, fields[scene.facts[nth]], target) or scene.click("button", "Submit")


def highlight_text(scene: Scene) -> Action:
    nth = index(*scene.said(r"the (\d\w\w) paragraph")) if "paragraph below" not in scene.goal else 0
    text, selected = scene.facts["paragraphs"][nth], scene.facts["selected"]
    if selected.split() != text.split():
        return Action("select_text", (" ".join(text.split()),))
    return scene.click("button", "Submit")


STYLES = {"bold": "bold", "italics": "italic", "underlined": "underline", "colored": "color"}
# The row of the palette that shows pure colours, by what each is listed as.
COLOURS = {
    "red": "#e60000",
    "orange": "#ff9900",
    "yellow": "#ffff00",
    "green": "#008a00",
    "blue": "#0066cc",
    "purple": "#9933ff",
}


def text_editor(scene: Scene) -> Action:
    """`facts`: the editor's `pieces` of text with their styles, and what is `selected` in it."""
    pieces = [(text.strip(), styles) for text, styles in scene.facts["pieces"]]
    whole = "".join(text for text, _ in scene.facts["pieces"]).strip()
    what, _, look = scene.said(r"(?:the text (\S+)|everything) the (style|color) (\w+)")
    wanted, style = what or whole, {STYLES.get(look, "color"): COLOURS.get(look, True)}
    wrong = next((piece for piece in pieces if piece[1] and piece != (wanted, style)), None)
    if not wrong and (wanted, style) in pieces:
        return scene.click("button", "Submit")
    text, (name, *_) = wrong or (wanted, style)  # a style is taken away as it was given
    selected, palette = scene.facts["selected"].strip() == text, scene.has("black box")
    if palette and not (selected and name == "color"):
        return scene.click("clickable", "ql picker label")  # closes it
    if wanted not in whole:
        return scene.on("fill", scene.find(None, "textbox"), wanted)
    if not selected:
        return Action("select_text", (text,))
    if name != "color":
        return scene.click("button", f"ql {name}")
    return scene.click("clickable", f"{'black' if wrong else look} box" if palette else "ql picker label")


# ---- forms and lists -------------------------------------------------------------------------------------


def tick_nth(scene: Scene, role: str, nth: int) -> Action | None:
    """One box of several that have no names, and no other."""
    for i, box in enumerate(scene.all(role)):
        checked = "checked" in box.states
        if checked != (i == nth) and (i == nth or role == "checkbox"):
            return scene.on("click", box)
    return None


def form_sequence(scene: Scene) -> Action:
    """A slider by its keys, of which a page is four; `facts`: whether it has the focus."""
    asked, box = scene.said(r"Select (-?\d+) with.*the (\d\w\w) checkbox")
    (now,) = read(scene, r"(?m)^(-?\d+)$")
    left = int(asked) - int(now)
    if left and not scene.facts:
        return scene.on("click", scene.find(None, "slider", "clickable"))
    if left:
        keys = ("ArrowRight", "PageUp") if left > 0 else ("ArrowLeft", "PageDown")
        return Action("keyboard_press", (keys[abs(left) > 2],))
    return tick_nth(scene, "checkbox", index(box)) or scene.click("button", "Submit")


def form_sequence_2(scene: Scene) -> Action:
    radio, number, box = scene.said(r'the (\d\w\w) radio.*"(.*)" into the (\d\w\w)')
    if action := tick_nth(scene, "radio", index(radio)):
        return action
    for i, field in enumerate(scene.all("textbox")):
        if action := scene.fill(field, number if i == index(box) else ""):
            return action
    return scene.click("button", "Submit")


def form_sequence_3(scene: Scene) -> Action:
    """A list that the page draws, with room for two lines; `facts` is what is chosen in it."""
    asked, name = scene.said(r'Choose (.*) from.*labeled "(.*)"')
    button, option = scene.has(name, "button"), scene.has(asked, "clickable")
    chooser, *options = scene.all("clickable")
    if scene.facts == asked and button:
        return scene.on("click", button)
    if option:
        return scene.on("click", option)
    if options:
        return scroll(scene, options[-1], -300 if scene.look.error else 80)
    return scene.on("click", chooser)


def use_autocomplete(scene: Scene) -> Action:
    """The list comes a moment after typing; the down key opens it where it was closed."""
    begins, *ends = scene.quoted()
    field, submit = scene.find(None, *FIELDS), scene.has("Submit", "button")
    offered = scene.all("clickable")
    offered = offered[1:] or offered  # the list itself comes before its lines
    last = scene.history[-1].name if scene.history else ""

    def fits(text: str) -> bool:
        return text.startswith(begins) and text.endswith(*ends or ("",))

    if submit and fits(field.value or "") and (field.value != begins or last == "click"):
        return scene.on("click", submit)
    if option := next((e for e in offered if fits(e.name)), None):
        return scene.on("click", option)
    if action := scene.fill(field, begins):
        return action
    if offered:
        return scroll(scene, offered[-1], 100)
    return Action("noop", (500,)) if last == "fill" else scene.on("press", field, "ArrowDown")


def resize_textarea(scene: Scene) -> Action:
    """`facts`: the area's width and height, first and now, and the corner it is dragged by."""
    side, way = scene.said("the (width|height) is (smaller|larger)")
    first, now = scene.facts["first"][side], scene.facts["now"][side]
    if now != first and (now > first) == (way == "larger"):
        return scene.click("button", "Submit")
    x, y = scene.facts["corner"]
    by = first - now + (20 if way == "larger" else -20)
    return scene.drag((x, y), (x + by, y) if side == "width" else (x, y + by))


AREAS = """[...document.querySelectorAll('#area input, #area textarea')].flatMap(
  (e, i) => e.tagName === 'TEXTAREA' ? [i] : [])"""
MARKED = """((text) => ({ selected: String(getSelection()),
  paragraphs: (text.children.length ? [...text.children] : [text]).map((e) => e.innerText) })
)(document.querySelector('#randomText'))"""
EDITOR = """((range) => ({ selected: range ? editor.getText(range.index, range.length) : '',
  pieces: editor.getContents().ops.map((o) => [o.insert, o.attributes || {}]) })
)(editor.selection.savedRange)"""
SIZES = """((area, corner) => {
  const now = { width: area.offsetWidth, height: area.offsetHeight }, at = corner.getBoundingClientRect();
  area.dataset.first ||= JSON.stringify(now);
  return { now, first: JSON.parse(area.dataset.first), corner: [at.x + at.width / 2, at.y + at.height / 2] };
})(document.querySelector('#tt'), document.querySelector('.ui-resizable-se'))"""

FAMILIES: dict[str, Family] = {
    "focus-text": Family(focus_text),
    "focus-text-2": Family(focus_text_2),
    "unicode-test": Family(click_named),
    "enter-text": Family(partial(enter, "Submit")),
    "enter-text-dynamic": Family(partial(enter, "Submit")),
    "enter-password": Family(partial(enter, "Submit")),
    "login-user": Family(partial(enter, "Login")),
    "login-user-popup": Family(login_user_popup),
    "sign-agreement": Family(sign_agreement),
    "copy-paste": Family(copy_paste, AREAS),
    "copy-paste-2": Family(copy_paste, AREAS),
    "highlight-text": Family(highlight_text, MARKED),
    "highlight-text-2": Family(highlight_text, MARKED),
    "text-editor": Family(text_editor, EDITOR),
    "form-sequence": Family(form_sequence, "document.activeElement.matches('.ui-slider-handle')"),
    "form-sequence-2": Family(form_sequence_2),
    "form-sequence-3": Family(form_sequence_3, "document.querySelector('#dropdown').value"),
    "use-autocomplete": Family(use_autocomplete),
    "use-autocomplete-nodelay": Family(use_autocomplete),
    "resize-textarea": Family(resize_textarea, SIZES),
}
