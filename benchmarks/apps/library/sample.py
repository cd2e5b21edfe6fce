"""What the library holds at the start, from a seed."""

import datetime
import random

from place import pool

from library.models import Author, Book, Branch, Event, Loan, Member, Publisher, Review, Room, Supplier

FIRST = pool(
    "Ada, Ben, Carla, Diego, Edith, Farid, Grace, Hana, Igor, Jana, Kofi, Leila, Marco, Nina, Omar, "
    "Petra, Quinn, Rosa, Sven, Tara"
)
LAST = pool(
    "Abbott, Berg, Castro, Doyle, Engel, Frost, Gupta, Hale, Ibarra, Joshi, Kahn, Lund, Moreau, Novak, "
    "Okafor, Patel"
)
ADJECTIVES = pool(
    "Quiet, Golden, Broken, Northern, Hidden, Last, Silver, Burning, Distant, Patient, Hollow, Second"
)
NOUNS = pool(
    "Harbour, Garden, Winter, Letter, River, Mountain, Clock, Orchard, Island, Station, Mirror, Lantern"
)
CITIES = pool("Bergen, Accra, Lyon, Osaka, Recife, Pune, Graz, Porto, Turku, Leeds")
STREETS = pool("Mill Lane, Station Road, Harbour Street, Church Row, Park Avenue, High Street")
DAY = datetime.date(2026, 1, 1)


def fill(seed: int) -> None:
    """Write the sample rows into an empty database."""
    chance = random.Random(seed)

    def pick(model: type, field: str) -> str:
        return chance.choice(model._meta.get_field(field).choices)[0]

    def day(first: int, last: int) -> datetime.date:
        return DAY + datetime.timedelta(days=chance.randint(first, last))

    people = iter(chance.sample([f"{a} {b}" for a in FIRST for b in LAST], 60))
    titles = iter(chance.sample([f"The {a} {b}" for a in ADJECTIVES for b in NOUNS], 60))
    authors = [
        Author.objects.create(
            name=name,
            country=pick(Author, "country"),
            born=day(-30000, -9000),
            email=f"{name.split()[0].lower()}@writers.example",
            active=chance.random() < 0.7,
        )
        for name in (next(people) for _ in range(14))
    ]
    publishers = [
        Publisher.objects.create(
            name=f"{noun} {kind}",
            city=chance.choice(CITIES),
            website=f"https://{noun.lower()}.example/",
            phone=f"(555) 01{chance.randint(10, 99)}",
        )
        for noun, kind in zip(chance.sample(NOUNS, 8), ["Press", "Books", "House", "Verlag"] * 2, strict=True)
    ]
    branches = [
        Branch.objects.create(
            name=f"{city} {kind}",
            city=city,
            street=f"{chance.randint(1, 99)} {chance.choice(STREETS)}",
            opened=day(-9000, -300),
            wheelchair_access=chance.random() < 0.5,
        )
        for city, kind in zip(chance.sample(CITIES, 6), ["Central", "North", "South"] * 2, strict=True)
    ]
    for noun in chance.sample(NOUNS, 6):
        person = next(people)
        Supplier.objects.create(
            name=f"{noun} Supplies",
            contact_person=person,
            email=f"{person.split()[0].lower()}@{noun.lower()}.example",
            rating=chance.randint(1, 5),
            trusted=chance.random() < 0.5,
        )
    books = [
        Book.objects.create(
            title=next(titles),
            author=chance.choice(authors),
            publisher=chance.choice(publishers),
            genre=pick(Book, "genre"),
            year=chance.randint(1950, 2025),
            pages=chance.randint(90, 700),
            in_stock=chance.random() < 0.6,
        )
        for _ in range(30)
    ]
    members = [
        Member.objects.create(
            name=name,
            email=f"{name.replace(' ', '.').lower()}@mail.example",
            plan=pick(Member, "plan"),
            joined=day(-2500, 0),
            newsletter=chance.random() < 0.5,
            branch=chance.choice(branches),
        )
        for name in (next(people) for _ in range(20))
    ]
    for book in chance.sample(books, 16):
        Loan.objects.create(
            book=book, member=chance.choice(members), due=day(0, 90), returned=chance.random() < 0.4
        )
    for book, word in zip(chance.sample(books, 14), ADJECTIVES + ["Fine", "Odd"], strict=True):
        Review.objects.create(
            book=book,
            headline=f"{word} and {chance.choice(('slow', 'bright', 'tender', 'short', 'funny'))}",
            text="Read in one evening.",
            stars=chance.randint(1, 5),
            approved=chance.random() < 0.5,
        )
    for noun, kind in zip(chance.sample(NOUNS, 10), ["reading", "workshop"] * 5, strict=True):
        Event.objects.create(
            title=f"{noun} {kind}",
            branch=chance.choice(branches),
            day=day(0, 200),
            capacity=chance.randint(10, 80),
            state=pick(Event, "state"),
            free_entry=chance.random() < 0.5,
        )
    for word in chance.sample(ADJECTIVES, 9):
        Room.objects.create(
            name=f"{word} room",
            branch=chance.choice(branches),
            floor=chance.randint(-1, 4),
            seats=chance.randint(4, 60),
            equipment=pick(Room, "equipment"),
        )
