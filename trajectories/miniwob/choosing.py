"""Oracles of the tasks that are done by clicking the right thing: buttons, boxes, tabs, menus, shapes.

Not covered: what they are made of (`oracle.py`).
"""

from __future__ import annotations

from tools.actions import Action
from trajectories.miniwob.oracle import Family, Scene


def click_test(scene: Scene) -> Action:
    return scene.click("button")


def click_button(scene: Scene) -> Action:
    return scene.click("button", *scene.said(r'the "(.*)" button'))


def click_link(scene: Scene) -> Action:
    return scene.on(
        "click", scene.find(*scene.said(r'the link "(.*)"'), "link", "generic", "clickable", "text")
    )


def click_tab(scene: Scene) -> Action:
    return scene.click("tab", *scene.said(r"(Tab #\d)"))


def click_dialog(scene: Scene) -> Action:
    return scene.click("button", "Close")


def tick(scene: Scene, asked: set[str]) -> Action | None:
    """Radio buttons and checkboxes: the first that differs from what is asked, or None."""
    for element in scene.all("checkbox", "radio"):
        wanted, checked = element.name in asked, "checked" in element.states
        if wanted != checked and (wanted or element.role == "checkbox"):
            return scene.on("click", element)
    return None


def click_checkboxes(scene: Scene) -> Action:
    asked = set(scene.said("Select (.*) and click Submit")[0].split(", "))
    return tick(scene, asked) or scene.click("button", "Submit")


def choose_list(scene: Scene) -> Action:
    (asked,) = scene.said("Select (.*) from the list")
    chooser = scene.find(None, "combobox", "listbox")
    if chooser.value != asked:
        return scene.on("select_option", chooser, asked)
    return scene.click("button", "Submit")


FAMILIES: dict[str, Family] = {
    "click-test": Family(click_test),
    "click-button": Family(click_button),
    "click-link": Family(click_link),
    "click-option": Family(click_checkboxes),
    "click-checkboxes": Family(click_checkboxes),
    "click-tab": Family(click_tab),
    "click-dialog": Family(click_dialog),
    "choose-list": Family(choose_list),
}
