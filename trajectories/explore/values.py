"""What is typed into a field: its kind, by what the page says of it, and values of that kind from a seed.

Not covered: fields with options, whose values are the options.
"""

from __future__ import annotations

import datetime
import random
import re

from trajectories.helpdesk.world import FIRST, HOSTS, LAST, THINGS, TROUBLES

# The first that fits decides. HTML's own type comes before any word of the label.
TYPES = {
    "email": "mail",
    "url": "address",
    "tel": "phone",
    "date": "date",
    "number": "number",
    "textarea": "text",
}
WORDS = (
    ("mail", r"e-?mail|mail address"),
    ("address", r"\burl\b|web ?site|home ?page"),
    ("phone", r"phone|mobile|fax"),
    ("year", r"\byear\b"),
    ("date", r"\b(date|day|born|birthday|joined|opened|due|deadline|since|until|expires|on)\b"),
    ("rating", r"\b(rating|stars|score|priority)\b"),
    ("number", r"\b(number of|pages|count|quantity|amount|capacity|seats|floor|price|age|size|weight)\b"),
    ("street", r"\bstreet\b|address"),
    ("town", r"\b(city|town|place|location)\b"),
    (
        "person",
        r"\b(author|person|contact|(first|last|full|real) ?name|owner|member|customer|user|patient)\b",
    ),
    ("title", r"\b(title|subject|headline|summary|topic)\b"),
    ("text", r"\b(text|note|notes|comment|description|message|body|content)\b"),
)
TOWNS = ("Aarhus", "Bristol", "Cadiz", "Delft", "Exeter", "Faro", "Gdansk", "Haifa", "Izmir", "Kobe", "Oslo")
ROADS = ("Abbey Lane", "Bridge Street", "Canal Road", "Dock Road", "Elm Row", "Forge Street", "Garden Walk")


def kind_of(name: str, type_: str = "", value: str = "") -> str:
    """The kind of a text field from its label, its HTML type and what it holds now."""
    if type_ in TYPES and not (type_ == "number" and re.search(r"(?i)\b(year|rating|stars)\b", name)):
        return TYPES[type_]
    if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return "date"
    label = re.sub(r"[_-]+", " ", name.lower())
    return next((kind for kind, pattern in WORDS if re.search(pattern, label)), "name")


def draw(kind: str, chance: random.Random) -> str:
    """A value of that kind."""
    first, last = chance.choice(FIRST), chance.choice(LAST)
    thing, trouble = chance.choice(THINGS), chance.choice(TROUBLES)
    match kind:
        case "mail":
            return f"{first}.{last}@{chance.choice(HOSTS)}".lower()
        case "address":
            return f"https://{last.lower()}.example/"
        case "phone":
            return f"(555) {chance.randint(100, 999)}-{chance.randint(1000, 9999)}"
        case "year":
            return str(chance.randint(1930, 2025))
        case "date":
            day = datetime.date(2024, 1, 1) + datetime.timedelta(days=chance.randint(0, 1500))
            return day.isoformat()
        case "rating":
            return str(chance.randint(1, 5))
        case "number":
            return str(chance.randint(2, 400))
        case "street":
            return f"{chance.randint(1, 120)} {chance.choice(ROADS)}"
        case "town":
            return chance.choice(TOWNS)
        case "person":
            return f"{first} {last}"
        case "title":
            return f"{thing} of {first} {trouble}"
        case "text":
            return f"{first} says the {thing.lower()} {trouble}."
    return (
        f"{last} {chance.choice(('and', 'of', 'for'))} {chance.choice(LAST)}"  # a name that nothing has yet
    )
