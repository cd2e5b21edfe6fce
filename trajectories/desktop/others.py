"""Families about a terminal (xterm), pictures (GPicView), and a program that can only be looked at (Tk)."""

from __future__ import annotations

import io

from tools.actions import Action
from trajectories.desktop.tasks import VIEWPORT, Maker, Plan, Screen, World, family, keys, typed

COLOURS = {"red": "#d02020", "green": "#20a020", "blue": "#2040d0", "yellow": "#e0d020", "white": "#ffffff"}


def _commanded(screen: Screen, command: str) -> Action:
    """A terminal says nothing that could be read: the command is typed once, then there is waiting."""
    if screen.did(typed(command)):
        return keys("Enter")
    return Action("noop", (500,)) if typed(command) in screen.history else typed(command)


@family("terminal-folder", 6)
def terminal_folder(make: Maker) -> Plan:
    name = make.word()
    command = f"mkdir {name}"
    return Plan(
        make.say("In the terminal, make a folder {name}.", "Make the folder {name} by a command.", name=name),
        lambda world: world.holds({f"{name}/": b""}),
        lambda screen: _commanded(screen, command),
        open=("app:xterm",),
    )


@family("terminal-count", 6)
def terminal_count(make: Maker) -> Plan:
    name, result = (f"{word}.txt" for word in make.words(2))
    lines = [make.word() for _ in range(make.random.randint(3, 30))]
    text = "".join(f"{line}\n" for line in lines)
    command = f"wc -l < {name} > {result}"
    return Plan(
        make.say(
            "In the terminal, count the lines of {name} and write the number into {result}.",
            "Let the terminal count the lines of {name}; the number goes into {result}.",
            name=name,
            result=result,
        ),
        lambda world: world.holds({name: text, result: str(len(lines))}),
        lambda screen: _commanded(screen, command),
        open=("app:xterm",),
        files={name: text},
    )


def _picture(colour: str, size: tuple[int, int]) -> bytes:
    from PIL import Image

    made = io.BytesIO()
    Image.new("RGB", size, colour).save(made, "PNG")
    return made.getvalue()


@family("show-picture", 10)
def show_picture(make: Maker) -> Plan:
    names = sorted(f"{word}.png" for word in make.words(5))
    colours = make.random.sample(list(COLOURS.values()), 5)
    wanted = make.random.choice(names[1:])
    files = {name: _picture(colour, (240, 160)) for name, colour in zip(names, colours, strict=True)}

    def expert(screen: Screen) -> Action:
        shown = next((i for i, name in enumerate(names) if screen.look.title.startswith(name)), 0)
        return screen.click("button", "Forward" if shown < names.index(wanted) else "Back")

    return Plan(
        make.say("Show the picture {x}.", "Go on to the picture {x}.", x=wanted),
        lambda world: any(title.startswith(wanted) for title in world.titles) and world.holds(files),
        expert,
        open=(f"app:gpicview?{names[0]}",),
        files=files,
    )


@family("rotate-picture", 10)
def rotate_picture(make: Maker) -> Plan:
    name = f"{make.word()}.png"
    width, height = make.random.randrange(200, 300, 10), make.random.randrange(100, 180, 10)

    def turned(world: World) -> bool:
        from PIL import Image, UnidentifiedImageError

        if world.files().keys() != {name}:
            return False
        try:
            with Image.open(world.home / name) as image:
                return image.size == (height, width)
        except (UnidentifiedImageError, OSError):
            return False

    def expert(screen: Screen) -> Action:
        if screen.has("button", "Yes"):
            return screen.click("button", "Yes")
        if "Rotate Clockwise" in screen.clicked:
            return screen.click("button", "Save")
        return screen.click("button", "Rotate Clockwise")

    return Plan(
        make.say(
            "Turn the picture {x} upright, to the right, and save it.",
            "Rotate {x} clockwise and save.",
            x=name,
        ),
        turned,
        expert,
        open=(f"app:gpicview?{name}",),
        files={name: _picture(make.random.choice(list(COLOURS.values())), (width, height))},
    )


LAMPS = """wm title . Lamps
wm geometry . {width}x{height}+{left}+{top}
canvas .c -width {width} -height {height} -background #c0c0c0 -highlightthickness 0
pack .c
foreach {{x y colour name}} {{{lamps}}} {{
  set lamp [.c create oval [expr $x-28] [expr $y-28] [expr $x+28] [expr $y+28] -fill $colour -width 3]
  .c bind $lamp <Button-1> [list pressed $name]
}}
proc pressed name {{ puts $name; exit 0 }}
"""
ROOM = (480, 320)


@family("press-lamp", 4, looks_only=True)
def press_lamp(make: Maker) -> Plan:
    """Tk has no accessibility tree at all: nothing of this window can be read, only seen."""
    names = make.random.sample(list(COLOURS), 4)
    wanted = make.random.choice(names)
    cells = make.random.sample([(col, row) for col in range(4) for row in range(3)], 4)
    places = {name: (60 + col * 118, 56 + row * 104) for name, (col, row) in zip(names, cells, strict=True)}
    left, top = make.random.randrange(20, 460, 20), make.random.randrange(40, 380, 20)
    lamps = " ".join(f"{x} {y} {COLOURS[name]} {name}" for name, (x, y) in places.items())

    def expert(screen: Screen) -> Action:
        x, y = places[wanted]
        # The window's place is where its content lies: the frame is drawn around it.
        shown = screen.look.thousandths(left + x + 1, top + y + 20)
        return Action("mouse_click", (float(shown[0]), float(shown[1])))

    assert left + ROOM[0] < VIEWPORT[0] and top + ROOM[1] + 20 < VIEWPORT[1]
    return Plan(
        make.say("Press the {x} lamp.", "Click on the lamp that is {x}.", x=wanted),
        lambda world: world.code == 0 and world.printed.strip() == wanted,
        expert,
        run=("wish", "{program}"),
        program=LAMPS.format(width=ROOM[0], height=ROOM[1], left=left, top=top, lamps=lamps),
    )
