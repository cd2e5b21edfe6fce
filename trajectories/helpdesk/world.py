"""What the help desk holds at the start of an episode, from a seed: people, tickets, orders, settings.

Plain rows by table, made in a millisecond, so that a task's goal and checker can be worked out before
any server runs.

Not covered: keeping it (`database.py`).
"""

from __future__ import annotations

import random
import string
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]


def pool(text: str) -> list[str]:
    """The items of a list written in one text, between commas."""
    return [item.strip() for item in text.split(",")]


FIRST = pool(
    "Ada, Alan, Alba, Aldo, Alice, Amara, Amir, Ana, Anders, Anil, Anouk, Arjun, Astrid, Aya, Bea, Ben, "
    "Bianca, Bjorn, Bruno, Carla, Carmen, Chidi, Chloe, Clara, Claude, Cora, Dara, Dina, Diego, Dmitri, "
    "Edith, Efua, Elena, Eli, Elif, Emeka, Emil, Emma, Enzo, Erika, Esra, Ethan, Eva, Fatima, Felix, "
    "Fiona, Freya, Gina, Grace, Greta, Gustav, Hana, Hannah, Hassan, Heidi, Hugo, Ida, Igor, Imani, "
    "Ines, Ingrid, Irene, Isla, Ivan, Jack, Jana, Jonas, Julia, Kaito, Karin, Kenji, Kira, Kofi, Lars, "
    "Laura, Leila, Leo, Lina, Luca, Lucia, Luis, Maja, Marco, Maria, Marta, Mateo, Maya, Mei, Mila, "
    "Mina, Mona, Nadia, Nia, Nina, Noah, Nora, Olga, Omar, Oscar, Otto, Pablo, Paula, Pavel, Petra, "
    "Priya, Quinn, Rafael, Ravi, Rita, Rosa, Ruth, Sakura, Salma, Samir, Sara, Selim, Sena, Silas, "
    "Sofia, Stefan, Sven, Tara, Tariq, Tessa, Theo, Tina, Tomas, Uma, Vera, Viktor, Wanda, Wei, Xenia, "
    "Yara, Yusuf, Zara, Zoe, Zuri"
)
LAST = pool(
    "Abbott, Adeyemi, Aguilar, Ahmed, Almeida, Andersen, Baker, Banerjee, Barros, Becker, Bennett, Berg, "
    "Bianchi, Blake, Borg, Braun, Brooks, Byrne, Campos, Carver, Castro, Chandra, Chen, Clarke, Conti, "
    "Costa, Cruz, Dahl, Dalton, Das, Dayan, Diaz, Doyle, Dubois, Duran, Egan, Ekberg, Ellis, Engel, "
    "Eriksen, Falk, Farah, Faure, Ferrari, Fischer, Flynn, Fontaine, Foster, Frost, Fuchs, Gallo, "
    "Garcia, Gibson, Gomez, Grant, Greco, Gupta, Haas, Hale, Hansen, Hart, Hayes, Herrera, Hill, "
    "Hoffman, Holm, Hopper, Horn, Hughes, Ibarra, Ito, Jansen, Jensen, Joshi, Kahn, Kaplan, Kato, "
    "Keller, Khan, Kim, Klein, Koch, Kovacs, Kumar, Lang, Larsen, Lee, Lind, Lopez, Lovelace, Lund, "
    "Mahler, Marin, Marsh, Meyer, Mills, Moreau, Mori, Moss, Nair, Navarro, Nguyen, Nilsson, Noor, "
    "Novak, Okafor, Olsen, Ono, Ortiz, Osei, Palmer, Park, Patel, Pena, Petrov, Pohl, Quist, Rao, Reed, "
    "Reyes, Ricci, Rossi, Roth, Ruiz, Sato, Schmidt, Shah, Sharma, Silva, Singh, Soto, Stark, Stone, "
    "Suzuki, Tanaka, Torres, Turing, Ueda, Vargas, Vega, Vogel, Wagner, Walsh, Weber, White, Winter, "
    "Wolf, Wong, Yamada, Young, Zapata, Zeller, Zhang"
)
HOSTS = ("mail.org", "post.net", "example.com", "x.org", "acme.io", "corp.example", "inbox.net", "home.dev")
THINGS = pool(
    "Printer, Laptop, Screen, Keyboard, Router, Invoice, Password, Phone, Badge, Scanner, Camera, "
    "Projector, Mailbox, Backup, Licence, Calendar, Headset, Docking station, Web shop, Report, "
    "Delivery, Parcel, Refund, Contract, Mouse"
)
TROUBLES = pool(
    "is broken, does not start, is missing, is too slow, was sent twice, makes noise, keeps failing, "
    "has no power, shows an error, needs an update, is locked, arrived late, cannot connect, "
    "lost its settings, looks wrong, is not in the list, smells of smoke, is out of date, crashes daily, "
    "needs a new cable"
)
PLACES = pool(
    "in room 4, on floor 2, in the lab, at the gate, in Oslo, at home, in the shop, since Monday, "
    "since noon, after the update, for everyone, for a guest, on Linux, in the van, at the desk, "
    "in the hall"
)
REMARKS = pool(
    "Please call back, Sent a new one, Waiting for parts, Fixed the cable, Asked the vendor, "
    "Will look tomorrow, Restarted it twice, Works again, Customer agrees, Needs approval, "
    "Ordered a spare, Checked the logs, Could not repeat it, Moved to the lab, See the manual, "
    "Thanks for waiting, No answer yet, Sent the refund"
)
PRODUCTS = pool(
    "Desk lamp, Office chair, USB cable, Laptop stand, Web camera, Wall clock, Paper box, Label maker, "
    "Ink set, Power strip, Phone case, Mouse pad, Door sign, Tool kit, Ladder, Fan heater, Coffee mug, "
    "Whiteboard"
)
SIGN_OFFS = pool("Kind regards, Best wishes, Cheers, Yours, Thank you, Greetings, Take care, With thanks")
STANDINGS = ("paid", "due", "late")  # of an invoice
COLOURS = ("red", "green", "blue", "yellow", "black")  # of the service lamp

# Titles are cut to fit a line; a name twice on one page would be ambiguous, so names are unique.
CUSTOMERS, TICKETS, ORDERS, AGENTS, GOODS = 15, 14, 9, 4, 5


def token(r: random.Random) -> str:
    """A short random string, as model numbers and passwords are."""
    return "".join(r.choices(string.ascii_lowercase + string.digits, k=r.randint(4, 8)))


def person(r: random.Random) -> str:
    """A name; now and then one that is in no list."""
    if r.random() < 0.1:
        return f"{token(r).capitalize()} {r.choice(LAST)}"
    middle = f" {r.choice(string.ascii_uppercase)}." if r.random() < 0.1 else ""
    return f"{r.choice(FIRST)}{middle} {r.choice(LAST)}"


def email(r: random.Random, name: str | None = None) -> str:
    """An address, of that person or of anybody."""
    parts = (name or person(r)).lower().replace(".", "").split()
    local = r.choice((".".join(parts), parts[0], parts[0][0] + parts[-1], parts[-1] + str(r.randint(1, 99))))
    return f"{token(r) if r.random() < 0.1 else local}@{r.choice(HOSTS)}"


def phone(r: random.Random) -> str:
    """A telephone number in one of a few fashions."""
    return r.choice(("555-{:04}", "+44 20 555 {:04}", "030 55{:04}", "(555) 01{:04}")).format(
        r.randrange(10000)
    )


def title(r: random.Random) -> str:
    """What a ticket is about."""
    thing = f"{r.choice(THINGS)} {token(r)}" if r.random() < 0.2 else r.choice(THINGS)
    place = f" {r.choice(PLACES)}" if r.random() < 0.5 else ""
    return f"{thing} {r.choice(TROUBLES)}{place}"


def remark(r: random.Random) -> str:
    """What somebody notes on a ticket."""
    return f"{r.choice(REMARKS)}, {token(r)}" if r.random() < 0.25 else r.choice(REMARKS)


def sign_off(r: random.Random) -> str:
    """A signature."""
    return f"{r.choice(SIGN_OFFS)}, {r.choice((r.choice(FIRST), person(r), token(r)))}"


def day(r: random.Random) -> str:
    """A date of the coming year, as a date field takes it."""
    return f"2027-{r.randint(1, 12):02}-{r.randint(1, 28):02}"


def distinct(r: random.Random, make: Any, count: int, taken: set[str] | None = None) -> list[str]:
    """That many different values."""
    seen: dict[str, None] = {}
    while len(seen) < count:
        value = make(r)
        if value not in (taken or ()):
            seen.setdefault(value)
    return list(seen)


@dataclass(frozen=True)
class World:
    """The rows of every table at the start. The first agent is the person who uses the app."""

    agents: list[Row]
    customers: list[Row]
    tickets: list[Row]
    products: list[Row]
    orders: list[Row]
    comments: list[Row]
    settings: Row
    lamp: str
    bills: list[Row]  # of the three lists of the ledger

    @property
    def me(self) -> Row:
        return self.agents[0]

    @staticmethod
    def of(seed: int) -> World:
        """The rows of a seed, the same every time."""
        r = random.Random(f"world/{seed}")
        names = distinct(r, person, AGENTS + CUSTOMERS)
        agents = [
            {
                "id": i + 1,
                "name": n,
                "login": n.split()[0].lower() + str(i + 1),
                "password": token(r) + token(r),
            }
            for i, n in enumerate(names[:AGENTS])
        ]
        customers = [
            {"id": i + 1, "name": n, "email": email(r, n), "phone": phone(r)}
            for i, n in enumerate(names[AGENTS:])
        ]
        products = [{"id": i + 1, "name": n} for i, n in enumerate(r.sample(PRODUCTS, GOODS))]
        tickets = [
            {
                "id": i + 1,
                "title": t,
                "customer": r.randint(1, CUSTOMERS),
                "state": r.choices(("open", "waiting", "closed"), (5, 2, 1))[0],
                "priority": r.choice(("low", "normal", "high", "urgent")),
                "assignee": r.randint(1, AGENTS),
            }
            for i, t in enumerate(distinct(r, title, TICKETS))
        ]
        comments = [
            {"id": i + 1, "ticket": t["id"], "author": r.randint(1, AGENTS), "text": remark(r)}
            for i, t in enumerate(r.sample(tickets, 6))
        ]
        orders = [
            {
                "id": i + 1,
                "customer": r.randint(1, CUSTOMERS),
                "product": r.randint(1, GOODS),
                "quantity": r.randint(1, 20),
                "date": day(r),
            }
            for i in range(ORDERS)
        ]
        settings = {
            **{c: r.randint(0, 1) for c in ("email_alerts", "weekly_report", "sounds", "auto_assign")},
            "language": r.choice(("en", "de", "fr", "es", "it", "nl")),
            "theme": r.choice(("light", "dark", "contrast")),
            "signature": sign_off(r),
        }
        lamp = r.choice(COLOURS)
        bills = _bills(random.Random(f"bills/{seed}"), names[AGENTS:])
        return World(
            agents, customers, tickets, products, orders, comments, {"id": 1, **settings}, lamp, bills
        )


def _bills(r: random.Random, names: list[str]) -> list[Row]:
    """The ledger: open invoices, the payments for them in another order and one of them wrong, old invoices.

    Every standing is there; amounts are texts with two digits after the point, all different.
    """
    count, old = r.randint(6, 8), r.randint(13, 17)
    sign = r.choice(("INV-", "R", "2027/", "B-"))
    numbers = [f"{sign}{n}" for n in r.sample(range(1000, 10_000), count + old)]
    amounts = [f"{cents / 100:.2f}" for cents in r.sample(range(1_000, 100_000), count + old + 1)]
    standings = r.sample([*STANDINGS, *r.choices(STANDINGS, k=count - len(STANDINGS))], count)
    standings += r.choices(STANDINGS, k=old)
    rows = [
        {
            "list": "invoices" if i < count else "archive",
            "number": numbers[i],
            "debtor": r.choice(names),
            "amount": amounts[i],
            "standing": standings[i],
            "reminders": 0,
        }
        for i in range(count + old)
    ]
    payments = [{**row, "list": "payments"} for row in r.sample(rows[:count], count)]
    payments[r.randrange(count)]["amount"] = amounts[-1]
    return [{"id": i + 1, **row} for i, row in enumerate([*rows, *payments])]
