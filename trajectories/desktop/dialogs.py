"""Families about dialogs (Zenity): forms, lists, questions, scales, and copying into one."""

from __future__ import annotations

from tools.actions import Action
from trajectories.desktop.tasks import PEOPLE, Maker, Plan, Screen, family, keys

TITLES = ("Order", "Booking", "Delivery", "Registration", "Report", "Request")


@family("fill-form", 12)
def fill_form(make: Maker) -> Plan:
    labels = make.random.sample(
        ("Name", "Company", "Street", "Town", "Phone", "Remark"), make.random.randint(2, 4)
    )
    values = {label: make.random.choice(PEOPLE) if label == "Name" else make.sentence() for label in labels}
    sizes = make.words(3)
    kind, chosen = make.random.choice(("Kind", "Size", "Colour")), make.random.choice(sizes)
    argv = ["zenity", "--forms", f"--title={make.random.choice(TITLES)}", "--text=Please fill in."]
    argv += [f"--add-entry={label}" for label in labels]
    argv += [f"--add-combo={kind}", f"--combo-values={'|'.join(sizes)}", "--separator=|"]
    said = ", ".join(f'{label.lower()} "{value}"' for label, value in values.items())

    def expert(screen: Screen) -> Action:
        for label, value in values.items():
            if (step := screen.fill("textbox", label, value)) is not None:
                return step
        if screen.element("combobox", kind).value != chosen:
            return screen.act("select_option", "combobox", kind, chosen)
        return screen.click("button", "OK")

    return Plan(
        make.random.choice(
            (
                f'Fill in {said} and {kind.lower()} "{chosen}", and press OK.',
                f'Send the form with {said}, {kind.lower()} "{chosen}".',
            )
        ),
        lambda world: world.code == 0 and world.printed.rstrip("\n") == "|".join([*values.values(), chosen]),
        expert,
        run=tuple(argv),
    )


@family("pick-row", 8)
def pick_row(make: Maker) -> Plan:
    names = make.words(make.random.randint(4, 8))
    wanted = make.random.choice(names)
    rows = [text for name in names for text in (name, str(make.random.randint(10, 99)))]
    argv = ["zenity", "--list", f"--title={make.random.choice(TITLES)}", "--text=Choose one.", "--height=400"]

    def expert(screen: Screen) -> Action:
        chosen = "selected" in screen.element("cell", wanted).states
        return screen.click("button", "OK") if chosen else screen.click("cell", wanted)

    return Plan(
        make.say("Choose {x} and press OK.", "Pick {x} from the list and confirm.", x=wanted),
        lambda world: world.code == 0 and world.printed.strip() == wanted,
        expert,
        run=(*argv, "--column=Name", "--column=Number", *rows),
    )


@family("answer-question", 5)
def answer_question(make: Maker) -> Plan:
    yes, no = make.random.choice((("Yes", "No"), ("Keep", "Drop"), ("Now", "Later"), ("Accept", "Refuse")))
    wanted = make.random.choice((yes, no))
    text = f"{make.sentence().rstrip('.!')}?"
    argv = ("zenity", "--question", f"--title={make.random.choice(TITLES)}", f"--text={text}")
    return Plan(
        make.say("Answer the question with {x}.", "Say {x} to what is asked.", x=wanted),
        lambda world: world.code == (0 if wanted == yes else 1),
        lambda screen: screen.click("button", wanted),
        run=(*argv, f"--ok-label={yes}", f"--cancel-label={no}"),
    )


@family("set-scale", 8)
def set_scale(make: Maker) -> Plan:
    start, wanted = (str(n) for n in make.random.sample(range(1, 100), 2))
    argv = ("zenity", "--scale", f"--title={make.random.choice(TITLES)}", "--text=How much?")

    def expert(screen: Screen) -> Action:
        slider = next((e for e in screen.look.actionable() if e.role == "slider"), None)
        if slider is not None and slider.value != wanted:
            return screen.act("fill", "slider", slider.name, wanted)
        return screen.click("button", "OK")

    return Plan(
        make.say("Set the scale to {x} and press OK.", "Choose {x} and confirm.", x=wanted),
        lambda world: world.code == 0 and world.printed.strip() == wanted,
        expert,
        run=(*argv, f"--value={start}"),
    )


@family("copy-into-dialog", 14)
def copy_into_dialog(make: Maker) -> Plan:
    name, text = make.file(), f"{make.word()}-{make.random.randint(1000, 9999)} {make.random.choice(PEOPLE)}"
    title = make.random.choice(TITLES)

    def expert(screen: Screen) -> Action:
        copied = keys("Control+c") in screen.history
        if screen.app == "mousepad":
            if copied:
                return screen.front(title)
            return keys("Control+c") if screen.did(keys("Control+a")) else keys("Control+a")
        if not copied:
            return screen.front(name)
        if screen.element("textbox", "Code").value == text:
            return screen.click("button", "OK")
        return screen.act("press", "textbox", "Code", "Control+v")

    return Plan(
        make.say(
            "Copy the text of {name} into the field of the window {title} and press OK.",
            "Put what {name} says into the dialog {title}, and confirm.",
            name=name,
            title=title,
        ),
        lambda world: world.code == 0 and world.printed.strip() == text,
        expert,
        open=(f"app:mousepad?{name}",),
        files={name: text},
        run=("zenity", "--entry", f"--title={title}", "--text=Code"),
    )
