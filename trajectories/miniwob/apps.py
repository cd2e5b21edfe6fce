"""Oracles of the tasks that are little applications: flights, a calendar, a shop, a search, a terminal.

Not covered: what they are made of (`oracle.py`), and mail and posts (`mail.py`).
"""

from __future__ import annotations

import calendar
import math
import re
from functools import partial

from tools.actions import Action
from trajectories.miniwob.mail import click_in
from trajectories.miniwob.oracle import Family, Scene


def pick_date(scene: Scene, date: str, first_month: int) -> Action | None:
    """Choose MM/DD/YYYY in the pop-up calendar of the only readonly field; None where it holds it already.

    The calendar opens at the year's end; Control+PageUp leads to the first month it offers, `first_month`.
    """
    field = next((e for e in scene.all("textbox") if "readonly" in e.states), None)
    if field and field.value == date:
        return None
    month, day, _ = (int(part) for part in date.split("/"))
    months = [f"{name} 2016" for name in calendar.month_name]
    shown = next((months.index(e.name) for e in scene.look.elements if e.name in months), None)
    if shown is None:
        if field is None:
            return None
        # A click opens it only where the field had no focus.
        focused = field.ref == scene.look.focused
        return scene.on("press", field, "Control+Home") if focused else scene.on("click", field)
    if shown == month:
        return scene.click("link", str(day))
    if field and shown - month > 1 + month - first_month:
        return scene.on("press", field, "Control+PageUp")
    return scene.click("clickable", "Next" if shown < month else "Prev")


def choose_date(first_month: int, scene: Scene) -> Action:
    (date,) = scene.said(r"Select (\S+) as")
    if chosen := pick_date(scene, date, first_month):
        return chosen
    submit = scene.has("Submit", "button")  # the calendar takes a moment to fade from over it
    return scene.on("click", submit) if submit else Action("noop", (400,))


# What was searched for, and of each flight found its price, its duration and where its button is.
FLIGHTS = """({
  searched: $('.flight-header:visible').length ? $('.flight-input').toArray().map((f) => f.value) : null,
  flights: $('.flight').toArray().map((flight) => ({
    price: +$('.flight-price', flight).data('price'),
    duration: +$('.time-duration', flight).data('duration'),
    top: $('.flight-price', flight)[0].getBoundingClientRect().top,
  })),
})"""


def book_flight(scene: Scene) -> Action:
    best, start, end, date = scene.said(r"the (\w+) one-way flight from: (.*) to: (.*) on (\S+)\.$")
    if (searched := scene.facts["searched"]) is None:
        # The calendar lies over the other fields: where it is open, the date comes first.
        filled = airport(scene, "From:", start) or airport(scene, "To:", end) or pick_date(scene, date, 10)
        return filled or scene.click("button", "Search")
    if searched[2] != date or start not in searched[0] or end not in searched[1]:
        return scene.click("button", "Back")
    flight = min(scene.facts["flights"], key=lambda f: f[{"cheapest": "price", "shortest": "duration"}[best]])
    button = scene.has(f"Book flight for ${flight['price']}", "button")
    if button is not None:
        return scene.on("click", button)
    return Action("scroll", (0, round(flight["top"] - 130, -1)))


def airport(scene: Scene, name: str, asked: str) -> Action | None:
    """Type a city or a code and take the suggestion; None where it is done, or the calendar is over it."""
    field = scene.has(name, "textbox")
    if field is None:
        return None
    suggested = [e for e in scene.all("clickable") if asked in e.name and e.name.count("(") == 1]
    if suggested and scene.look.focused == field.ref:
        return scene.on("click", suggested[0])
    holds = field.value or ""
    if asked in holds and re.search(r" \(\w+\)$", holds):
        return None
    if scene.history[-1:] == (Action("noop", (300,)),):  # none came: asked again, a code as the list has it
        return scene.fill(field, f"({asked})") or scene.on("press", field, "ArrowDown")
    typed = None if holds == f"({asked})" else scene.fill(field, asked)
    return typed or Action("noop", (300,))  # they come a moment after the typing


def buy_ticket(scene: Scene) -> Action:
    (asked,) = scene.said(r"ticket with the (.*)\.$")
    times = [re.fullmatch(r"(\d+)h (\d+)m", e.name) for e in scene.look.elements]
    minutes = [int(t[1]) * 60 + int(t[2]) for t in times if t]
    buttons = scene.all("button")
    if len(buttons) != len(minutes):
        return Action("scroll", (0, 100 if len(minutes) > len(buttons) else -100))
    cost = "cost" in asked
    worth = [int(b.name.rpartition("$")[2]) for b in buttons] if cost else minutes
    best = min(worth) if asked.startswith(("cheapest", "shortest")) else max(worth)
    return scene.on("click", buttons[worth.index(best)])


# Of each dish its name, what it is, how many are ordered and where it lies.
DISHES = """$('.food-item').toArray().map((dish) => {
  const { top, bottom } = dish.getBoundingClientRect();
  return { name: dish.dataset.item.trim(), types: $('img', dish).toArray().map((i) => i.alt),
    quantity: +dish.dataset.quantity, top, bottom };
})"""


def order_food(scene: Scene) -> Action:
    """One of each dish that is named; else so many of the first that fits."""
    named = re.search(r"each item: (.*)", scene.goal)
    count, kind = (1, "") if named else scene.said(r"Order (\d+) items that are (.*)")
    left = int(count)
    for dish in scene.facts:
        fits = dish["name"] in named[1].split(", ") if named else kind in dish["types"]
        wanted = left if fits else 0
        left -= 0 if named else wanted
        if dish["quantity"] != wanted:
            sign = "+" if dish["quantity"] < wanted else "-"
            return click_in(scene, sign, dish["top"], 140, 70, dish["bottom"])
    order = scene.has("Order!", "button")
    return scene.on("click", order) if order else Action("scroll", (0, 1000))


# The page of results on show.
PAGE = "+$('.page-item.active').text()"


def search_engine(scene: Scene) -> Action:
    (rank,) = scene.said(r"the (\d+)\w+ search result")
    field, asked = scene.find(None, "textbox"), scene.quoted()[0]
    links = scene.all("link")
    filled = scene.fill(field, asked)
    if filled or not links or scene.history[-1].name == "fill":
        return filled or scene.click("button", "Search")
    page, place = divmod(int(rank) - 1, 3)
    return scene.click("link", str(page + 1)) if scene.facts != page + 1 else scene.on("click", links[place])


def phone_book(scene: Scene) -> Action:
    person, kind = scene.said(r"Find (.*) in the contact book and click on their (\w+)")
    names = [e.name for e in scene.look.elements]
    if person in names:
        label = names.index(f"{kind.capitalize()}:")
        return scene.on("click", scene.look.elements[label + 1])
    turned = [a.label for a in scene.history if a.label in ("<", ">")][-1:]
    back = scene.has("<", "link") if turned == ["<"] else None
    return scene.on("click", back or scene.has(">", "link") or scene.find("<", "link"))


# What is typed and not yet entered, what the last `ls` showed, and whether keys go to the terminal.
TERMINAL = """({
  typed: $('#active-input').text(),
  files: $('.terminal-line').filter((_, line) => $('.command', line).text() === 'ls').last()
    .next('.terminal-output').text().trim().split(' ').filter(Boolean),
  focused: document.activeElement.id === 'terminal-target',
})"""


def terminal(scene: Scene) -> Action:
    typed, files = scene.facts["typed"], scene.facts["files"]
    if not scene.facts["focused"]:
        screen = scene.look.elements[0]
        return (
            scene.point(*screen.box.centre) if scene.history else Action("noop", (200,))
        )  # it takes the focus
    command = f"rm {to_remove(scene, files)}" if files else "ls"
    if typed == command:
        return Action("keyboard_press", ("Enter",))
    if command.startswith(typed):
        return Action("keyboard_type", (command.removeprefix(typed),))
    return Action("keyboard_press", ("Backspace",))


def to_remove(scene: Scene, files: list[str]) -> str:
    if "no file extension" in scene.goal:
        return next(f for f in files if "." not in f)
    (ending,) = scene.said(r"extension \.(\S+)$")
    # The page takes the first "sh" of bash.sh for its ending and calls it wrong: rather another.
    fit = (f for f in files if f.endswith(f".{ending}"))
    return max(fit, key=lambda f: f.index(ending) == len(f) - len(ending))


# The price, which is later than in the listing, and how many of its hundred points, ten a second, are drawn.
STOCK = """({
  price: parseFloat(document.querySelector('#stock-price').textContent.slice(1)), points: priceIndex,
})"""


def stock_market(scene: Scene) -> Action:
    """Buy well below the limit, for the price moves while we act; towards the curve's end closer to it."""
    (limit,) = scene.said(r"less than \$([\d.]+)\.$")
    listed = (re.fullmatch(r"Stock price: \$([\d.]+)", e.name) for e in scene.look.elements)
    prices = [float(price[1]) for price in listed if price] + [scene.facts["price"] or math.inf]
    if len(prices) < 2:
        return Action("noop")
    margin = 1.5 if scene.facts["points"] < 50 else 1 if scene.facts["points"] < 70 else 0.2
    above = max(prices) - float(limit) + margin
    # The farther above, the longer it takes to come down.
    return scene.click("button", "Buy") if above <= 0 else Action("noop", (float(round(above * 150)),))


FAMILIES: dict[str, Family] = {
    "book-flight": Family(book_flight, FLIGHTS, steps=12),  # the suggestions are waited for twice
    "book-flight-nodelay": Family(book_flight, FLIGHTS),
    "buy-ticket": Family(buy_ticket),
    "choose-date": Family(partial(choose_date, 1)),
    "choose-date-easy": Family(partial(choose_date, 12)),
    "choose-date-medium": Family(partial(choose_date, 11)),
    "choose-date-nodelay": Family(partial(choose_date, 1)),
    "order-food": Family(order_food, DISHES),
    "phone-book": Family(phone_book, repeats=True),
    "search-engine": Family(search_engine, PAGE),
    "stock-market": Family(stock_market, STOCK, steps=25),
    "terminal": Family(terminal, TERMINAL),
}
