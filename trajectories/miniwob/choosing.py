"""Oracles of the tasks that are done by clicking the thing of the right name: buttons, boxes, tabs, menus.

Not covered: what they are made of (`oracle.py`), and what is told by its looks (`shapes.py`).
"""

from __future__ import annotations

from tools.actions import Action
from trajectories.miniwob.oracle import Family, Scene, first, placed

WAIT = Action("noop", (400,))  # a menu opens 300 ms after the mouse has come, a section in 400

UNFOLDING = """{ moving: jQuery(':animated').length > 0, links:
  [...document.querySelectorAll('.ui-accordion-content-active .alink')].map((e) => e.textContent) }"""


def click_test(scene: Scene) -> Action:
    return scene.click("button")


def click_button(scene: Scene) -> Action:
    return scene.click("button", *scene.said(r'the "(.*)" button'))


def click_numbered(scene: Scene) -> Action:
    return scene.click("button", *scene.said(r"button (\w+)\."))


def click_sequence(scene: Scene) -> Action:
    """The facts are how many buttons were pushed."""
    return scene.click("button", scene.said(r"button (\w+), then click button (\w+)")[scene.facts])


def click_link(scene: Scene) -> Action:
    return scene.on(
        "click", scene.find(*scene.said(r'the link "(.*)"'), "link", "generic", "clickable", "text")
    )


def click_tab(scene: Scene) -> Action:
    return scene.click("tab", *scene.said(r"(Tab #\d)"))


def click_dialog(scene: Scene) -> Action:
    return scene.click("button", "Close")


def click_dialog_button(scene: Scene) -> Action:
    (asked,) = scene.quoted()
    return scene.click("button", "Close" if asked == "x" else asked)


def reach(scene: Scene, role: str, name: str | None = None) -> Action:
    """Click what may lie below: scrolled to first where it is not on screen."""
    element = scene.has(name, role)
    return scene.on("click", element) if element else Action("scroll", (0, 100))


def expand(scene: Scene) -> Action:
    section = scene.all("tab")[0]
    return scene.on("click", section) if "expanded" not in section.states else reach(scene, "tab", "Submit")


def look_through(scene: Scene) -> Action:
    """The link that is asked for, wherever it shows; else the tab or section after the open one.

    The facts are whether a section is unfolding, and the open one's links: seen too early, it lacks some.
    """
    (asked,) = scene.quoted()
    if (link := scene.has(asked, "clickable")) is not None:
        return scene.on("click", link)
    if scene.facts["moving"]:
        return WAIT
    if not all(scene.has(link, "clickable") for link in scene.facts["links"]):
        return WAIT if scene.history[-1:] != (WAIT,) else Action("scroll", (0, 100))
    tabs = scene.all("tab")
    opened = [i for i, tab in enumerate(tabs) if "expanded" in tab.states]
    return scene.on("click", tabs[(opened[0] + 1) % len(tabs) if opened else 0])


def tick(scene: Scene, asked: set[str]) -> Action | None:
    """Radio buttons and checkboxes: the first that differs from what is asked, or None."""
    for element in scene.all("checkbox", "radio"):
        wanted, checked = element.name in asked, "checked" in element.states
        if wanted != checked and (wanted or element.role == "checkbox"):
            return scene.on("click", element)
    return None


def click_checkboxes(scene: Scene) -> Action:
    asked = set(scene.said("Select (.*) and click Submit")[0].split(", "))
    return tick(scene, asked) or reach(scene, "button", "Submit")


def click_similar(scene: Scene) -> Action:
    """The facts are lists of words that mean the same."""
    asked = scene.said("similar to (.*) and click Submit")[0].split(", ")
    similar = {word for words in scene.facts for word in words if set(asked) & set(words)}
    return tick(scene, similar) or reach(scene, "button", "Submit")


def draw_number(scene: Scene) -> Action:
    """Checkboxes in rows of four; the facts are each number's pattern, row by row."""
    pattern = scene.facts[int(*scene.quoted())]
    for element, wanted in zip(scene.all("checkbox"), sum(pattern, []), strict=True):
        if ("checked" in element.states) != bool(wanted):
            return scene.on("click", element)
    return scene.click("button", "Submit")


def choose_list(scene: Scene) -> Action:
    (asked,) = scene.said("Select (.*) from the list")
    chooser = scene.find(None, "combobox", "listbox")
    if chooser.value != asked:
        return scene.on("select_option", chooser, asked)
    return scene.click("button", "Submit")


def choose_several(scene: Scene) -> Action:
    asked = scene.said("Select (.*) from the scroll list")[0].split(", ")
    chooser = scene.find(None, "listbox")
    if set((chooser.value or "").split(", ")) != set(asked):
        return scene.on("select_option", chooser, tuple(asked) if len(asked) > 1 else asked[0])
    return scene.click("button", "Submit")


def descend(scene: Scene, path: list[str]) -> Action | None:
    """Along a menu that opens under the mouse, from the deepest item that shows; None where none does."""
    *ways, leaf = path
    if (item := scene.has(leaf, "menuitem")) is not None:
        return scene.on("click", item)
    for way in reversed(ways):
        if (item := scene.has(way, "menuitem")) is not None:
            hover = scene.on("hover", item)
            return WAIT if scene.history[-1:] == (hover,) else hover
    return None


def click_menu(scene: Scene) -> Action:
    return first(descend(scene, scene.said("Select (.*)")[0].split(">")))


def click_menu_item(scene: Scene) -> Action:
    """By its label or its icon; the facts are each label's icon."""
    asked = scene.quoted()[1]
    label = next(label for label, icon in scene.facts.items() if asked in (label, icon))
    return descend(scene, ["Playback", label]) or scene.click("button", "Menu")


def click_pie(scene: Scene) -> Action:
    """Shown once the pie is opened by the plus in its middle; the colour is said before the letter."""
    (asked,) = scene.quoted()
    slices = [e for e in scene.all("img") if e.name.split()[-1] == asked]
    return scene.on("click", (slices or scene.all("img"))[-1])


def navigate_tree(scene: Scene) -> Action:
    """Open one folder after the other until it shows; the facts are the folders that are closed."""
    (asked,) = scene.quoted()
    found = scene.has(asked, "clickable")
    return scene.on("click", found or scene.under(scene.facts[0]))


def search_movies(scene: Scene) -> Action:
    genre, director, year = scene.said(r"for (\w+) movies directed by (.+) from year (\d+)")
    for element in scene.all("textbox"):
        text = genre if "Genre" in element.name else director if "Director" in element.name else year
        if (action := scene.fill(element, text)) is not None:
            return action
    return scene.on("click", scene.all("button", "clickable")[-1])


FAMILIES: dict[str, Family] = {
    "click-test": Family(click_test),
    "click-test-2": Family(click_numbered),
    "click-test-transfer": Family(click_numbered),
    "click-button": Family(click_button),
    "click-button-sequence": Family(click_sequence, "buttonsPushed.length"),
    "click-link": Family(click_link),
    "click-option": Family(click_checkboxes),
    "click-checkboxes": Family(click_checkboxes),
    "click-checkboxes-large": Family(click_checkboxes, steps=15),  # up to twelve boxes
    "click-checkboxes-soft": Family(click_similar, "SYNONYMS"),
    "click-checkboxes-transfer": Family(click_checkboxes),
    "number-checkboxes": Family(draw_number, "PATTERNS", steps=17),  # up to fourteen boxes
    "click-tab": Family(click_tab),
    **dict.fromkeys(
        ("click-tab-2", "click-tab-2-easy", "click-tab-2-medium", "click-tab-2-hard")
        + ("click-collapsible-2", "click-collapsible-2-nodelay"),
        Family(look_through, UNFOLDING),
    ),
    **dict.fromkeys(("click-collapsible", "click-collapsible-nodelay"), Family(expand)),
    "click-dialog": Family(click_dialog),
    "click-dialog-2": Family(click_dialog_button),
    "choose-list": Family(choose_list),
    "click-scroll-list": Family(choose_several),
    "click-menu": Family(click_menu),
    "click-menu-2": Family(click_menu_item, "PROBLEM_SET"),
    **dict.fromkeys(("click-pie", "click-pie-nodelay"), Family(click_pie)),
    "navigate-tree": Family(navigate_tree, placed("#tree li.expandable > span")),
    **dict.fromkeys(("multi-layouts", "multi-orderings"), Family(search_movies)),
}
