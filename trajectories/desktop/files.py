"""Families about a file manager (Thunar)."""

from __future__ import annotations

from tools.actions import Action
from trajectories.desktop.tasks import Maker, Plan, Screen, family, keys

LIST = (keys("Control+2"),)  # files as a list: as icons they have no place in the accessibility tree


def _folder(make: Maker) -> tuple[dict[str, str], list[str]]:
    """Some files, and their names."""
    names = [f"{word}{make.random.choice(('.txt', '.csv', '.md'))}" for word in make.words(5)]
    return {name: f"{name}\n" for name in names}, names


@family("make-folder", 10)
def make_folder(make: Maker) -> Plan:
    files, _ = _folder(make)
    name = make.word().capitalize()

    def expert(screen: Screen) -> Action:
        if screen.has("textbox", "Enter the name"):
            return screen.fill("textbox", "Enter the name", name) or screen.click("button", "Create")
        if screen.has("menuitem", "Create Folder"):
            return screen.click("menuitem", "Create Folder")
        return screen.click("menuitem", "File")

    return Plan(
        make.say("Make a folder {name}.", "Create a new folder called {name}.", name=name),
        lambda world: world.holds({**files, f"{name}/": b""}),
        expert,
        open=("app:thunar",),
        files=files,
        first=LIST,
    )


@family("rename-file", 10)
def rename_file(make: Maker) -> Plan:
    files, names = _folder(make)
    old = make.random.choice(names)
    new = f"{make.word()}-{make.random.randint(1, 99)}.txt"
    after = {new if name == old else name: text for name, text in files.items()}

    def expert(screen: Screen) -> Action:
        if screen.has("textbox", "Enter the new name"):
            field = screen.fill("textbox", "Enter the new name", new)
            return field or screen.click("button", "Rename")
        if "selected" in screen.element("cell", old).states:
            return keys("F2")
        return screen.click("cell", old)

    return Plan(
        make.say("Rename {old} to {new}.", "Give the file {old} the name {new}.", old=old, new=new),
        lambda world: world.holds(after),
        expert,
        open=("app:thunar",),
        files=files,
        first=LIST,
    )


@family("move-file", 12)
def move_file(make: Maker) -> Plan:
    files, names = _folder(make)
    moved, folder = make.random.choice(names), make.word().capitalize()
    after: dict[str, str | bytes] = {name: text for name, text in files.items() if name != moved}
    after |= {f"{folder}/": b"", f"{folder}/{moved}": files[moved]}

    def expert(screen: Screen) -> Action:
        cut = keys("Control+x")
        if screen.look.title.startswith(folder):
            return keys("Control+v")
        if cut in screen.history:
            return screen.act("dblclick", "cell", folder)
        if "selected" in screen.element("cell", moved).states:
            return cut
        return screen.click("cell", moved)

    return Plan(
        make.say(
            "Move {moved} into the folder {folder}.",
            "Put {moved} away into {folder}.",
            moved=moved,
            folder=folder,
        ),
        lambda world: world.holds(after),
        expert,
        open=("app:thunar",),
        files={**files, f"{folder}/": b""},
        first=LIST,
    )


@family("delete-file", 8)
def delete_file(make: Maker) -> Plan:
    files, names = _folder(make)
    gone = make.random.choice(names)

    def expert(screen: Screen) -> Action:
        for button in ("Move to Trash", "Delete", "Yes"):
            if screen.has("button", button):
                return screen.click("button", button)
        if "selected" in screen.element("cell", gone).states:
            return keys("Delete")
        return screen.click("cell", gone)

    return Plan(
        make.say("Delete the file {gone}.", "Throw {gone} away.", gone=gone),
        lambda world: world.holds({name: text for name, text in files.items() if name != gone}),
        expert,
        open=("app:thunar",),
        files=files,
        first=LIST,
    )
