"""Families about a text editor (Mousepad)."""

from __future__ import annotations

from tools.actions import Action, Named
from trajectories.desktop.tasks import Maker, Plan, Screen, family, keys, typed

PAGE = Named("textbox", "")  # the document
SAVING = "Save As"


def saved(screen: Screen, name: str) -> Action:
    """Save the document under a name, from wherever that has got to."""
    if screen.has("dialog", SAVING) or screen.look.title.endswith(SAVING):
        return screen.fill("textbox", "Name", name) or screen.click("button", "Save")
    return keys("Control+s")


def written(screen: Screen, text: str, name: str) -> Action:
    """Write a text into an empty document and save it under a name."""
    if screen.has("textbox", "Name"):
        return saved(screen, name)
    return screen.fill("textbox", "", text) or saved(screen, name)


@family("write-note", 10)
def write_note(make: Maker) -> Plan:
    text, name = make.sentence(), make.file(".txt", ".md", "")
    return Plan(
        make.say(
            "Write {text} and save it as {name}.",
            "Save a new text that says {text} under the name {name}.",
            "Make a file {name} with the text {text}.",
            text=text,
            name=name,
        ),
        lambda world: world.holds({name: text}),
        lambda screen: written(screen, text, name),
        open=("app:mousepad",),
    )


@family("append-line", 10)
def append_line(make: Maker) -> Plan:
    name, line = make.file(), make.sentence()
    before = "\n".join(make.words(make.random.randint(1, 4)))
    after = f"{before}\n{line}"

    def expert(screen: Screen) -> Action:
        there = screen.element("textbox", "").value or ""
        if there == after:
            return keys("Control+s")
        if there != before:
            return screen.act("fill", "textbox", "", after)
        end = screen.act("press", "textbox", "", "Control+End")
        if screen.did(keys("Enter")):  # of an empty last line nothing is to be seen
            return typed(line)
        return keys("Enter") if screen.did(end) else end

    return Plan(
        make.say(
            "Add the line {line} at the end of {name} and save it.",
            "In {name}, write {line} on a new last line; save.",
            line=line,
            name=name,
        ),
        lambda world: world.holds({name: after}),
        expert,
        open=(f"app:mousepad?{name}",),
        files={name: before},
    )


@family("replace-word", 16)
def replace_word(make: Maker) -> Plan:
    old, new, *others = make.words(5)
    name = make.file()
    lines = [f"{make.random.choice(others)} {old}", *others, f"{old} {make.random.choice(others)}"]
    text = "\n".join(lines)
    after = text.replace(old, new)

    def expert(screen: Screen) -> Action:
        if screen.has("combobox", "Search for"):
            if (screen.look.find(PAGE) or screen.element("textbox", "")).value == after:
                return screen.click("button", "Close")
            step = screen.fill("combobox", "Search for", old) or screen.fill("combobox", "Replace with", new)
            if step is not None:
                return step
            if "checked" not in screen.element("checkbox", "Replace all in").states:
                return screen.click("checkbox", "Replace all in")
            return screen.click("button", "Replace All")
        there = screen.element("textbox", "").value
        if there == after:
            return keys("Control+s")
        if there != text:
            return screen.act("fill", "textbox", "", after)
        return keys("Control+r")

    return Plan(
        make.say(
            "Replace every {old} by {new} in {name} and save it.",
            "In {name}, change each {old} to {new}; save.",
            old=old,
            new=new,
            name=name,
        ),
        lambda world: world.holds({name: after}),
        expert,
        open=(f"app:mousepad?{name}",),
        files={name: text},
    )


@family("save-copy", 10)
def save_copy(make: Maker) -> Plan:
    one, other = (f"{word}.txt" for word in make.words(2))
    text = make.sentence()

    def expert(screen: Screen) -> Action:
        if screen.has("textbox", "Name"):
            return saved(screen, other)
        return keys("Control+Shift+s")

    return Plan(
        make.say(
            "Save {one} under the name {other} too.",
            "Save a copy of {one} as {other}.",
            one=one,
            other=other,
        ),
        lambda world: world.holds({one: text, other: text}),
        expert,
        open=(f"app:mousepad?{one}",),
        files={one: text},
    )
