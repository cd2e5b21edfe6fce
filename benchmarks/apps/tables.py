"""Datasette over a small database of a shop, as an application to explore: tables, facets, filters, rows.

    python benchmarks/apps/tables.py --port 8102

It only reads, so it needs neither sign-in nor reset. Not covered: exploring it (`shopfloor explore`).
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
from pathlib import Path

import place
from place import pool

TABLES = """
create table makers (id integer primary key, name text, country text, founded integer);
create table products (id integer primary key, name text, category text, price integer, stock integer,
  maker integer references makers(id));
create table shops (id integer primary key, name text, city text, staff integer, opened text);
create table orders (id integer primary key, customer text, state text, amount integer, day text,
  product integer references products(id), shop integer references shops(id));
create table staff (id integer primary key, name text, role text, shop integer references shops(id));
create virtual table products_fts using fts5(name, category, content="products", content_rowid="id");
create virtual table orders_fts using fts5(customer, state, content="orders", content_rowid="id");
"""
FIRST = pool(
    "Ada, Ben, Carla, Diego, Edith, Farid, Grace, Hana, Igor, Jana, Kofi, Leila, Marco, Nina, Omar, Petra"
)
LAST = pool(
    "Abbott, Berg, Castro, Doyle, Engel, Frost, Gupta, Hale, Ibarra, Joshi, Kahn, Lund, Moreau, Novak"
)
KINDS = {"Kitchen": "Kettle Toaster Pan Knife Bowl", "Garden": "Spade Hose Rake Shears Barrow"} | {
    "Office": "Stapler Lamp Desk Folder Chair",
    "Sport": "Racket Helmet Ball Tent Rope",
}
STYLES = pool("Classic, Compact, Deluxe, Folding, Giant, Little, Quiet, Rapid, Solid, Twin")
CITIES = pool("Bergen, Accra, Lyon, Osaka, Recife, Pune, Graz, Porto, Turku, Leeds")
COUNTRIES = pool("Brazil, France, Ghana, India, Japan, Norway")


def fill(database: sqlite3.Connection, seed: int) -> None:
    """Write the sample rows."""
    chance = random.Random(seed)
    names = iter(chance.sample([f"{a} {b}" for a in FIRST for b in LAST], 90))
    makers = [
        (n, f"{word} Works", chance.choice(COUNTRIES), chance.randint(1890, 2020))
        for n, word in enumerate(LAST, 1)
    ]
    things = [
        (style, thing, kind) for style in STYLES for kind, all_ in KINDS.items() for thing in all_.split()
    ]
    products = [
        (n, f"{style} {thing}", kind, chance.randint(3, 400), chance.randint(0, 90), chance.choice(makers)[0])
        for n, (style, thing, kind) in enumerate(chance.sample(things, 60), 1)
    ]
    shops = [
        (
            n,
            f"{city} store",
            city,
            chance.randint(3, 40),
            f"{chance.randint(1990, 2024)}-0{chance.randint(1, 9)}-12",
        )
        for n, city in enumerate(CITIES, 1)
    ]
    states = ("new", "packed", "sent", "returned")
    orders = [
        (
            n,
            next(names),
            chance.choice(states),
            chance.randint(1, 9),
            f"2026-0{chance.randint(1, 9)}-{chance.randint(10, 28)}",
        )
        + (chance.choice(products)[0], chance.choice(shops)[0])
        for n in range(1, 51)
    ]
    roles = ("Buyer", "Cashier", "Driver", "Manager")
    staff = [(n, next(names), chance.choice(roles), chance.choice(shops)[0]) for n in range(1, 31)]
    for table, rows in {
        "makers": makers,
        "products": products,
        "shops": shops,
        "orders": orders,
        "staff": staff,
    }.items():
        database.executemany(f"insert into {table} values ({', '.join('?' * len(rows[0]))})", rows)
    for table in ("products", "orders"):
        database.execute(f"insert into {table}_fts({table}_fts) values ('rebuild')")


if __name__ == "__main__":
    asked = place.arguments(__doc__, 8102)
    folder = place.folder("tables")
    programs = place.programs("tables", "datasette==0.65.5")
    file = folder / "shop.db"
    file.unlink(missing_ok=True)
    with sqlite3.connect(file) as database:
        database.executescript(TABLES)
        fill(database, asked.seed)
    facets = {
        "products": ["category", "maker"],
        "orders": ["state", "shop"],
        "staff": ["role"],
        "makers": ["country"],
    }
    tables = {
        name: {"facets": columns, "label_column": "name", "size": 15} for name, columns in facets.items()
    }
    tables["orders"]["label_column"] = "customer"
    (folder / "metadata.json").write_text(json.dumps({"databases": {"shop": {"tables": tables}}}))
    place.say("Datasette", f"http://127.0.0.1:{asked.port}/")
    datasette = str(programs / "datasette")
    settings = ["--setting", "default_page_size", "15", "--metadata", str(folder / "metadata.json")]
    os.execv(datasette, [datasette, "serve", str(Path(file)), "-p", str(asked.port), *settings])
