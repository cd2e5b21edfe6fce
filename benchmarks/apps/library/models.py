"""What a library holds: ten related models with choices, dates, numbers, yes-or-no and foreign keys."""

from django.db import models


def choices(*names: str) -> list[tuple[str, str]]:
    return [(name.lower().replace(" ", "-"), name) for name in names]


class Named(models.Model):
    name = models.CharField(max_length=120)

    class Meta:
        abstract = True
        ordering = ["-id"]

    def __str__(self) -> str:
        return str(self.name)


class Titled(models.Model):
    title = models.CharField(max_length=160)

    class Meta:
        abstract = True
        ordering = ["-id"]

    def __str__(self) -> str:
        return str(self.title)


class Author(Named):
    country = models.CharField(
        max_length=20, choices=choices("Brazil", "France", "Ghana", "India", "Japan", "Norway")
    )
    born = models.DateField(null=True, blank=True)
    email = models.EmailField(blank=True)
    active = models.BooleanField(default=True)


class Publisher(Named):
    city = models.CharField(max_length=60)
    website = models.URLField(blank=True)
    phone = models.CharField(max_length=30, blank=True)


class Branch(Named):
    city = models.CharField(max_length=60)
    street = models.CharField(max_length=120)
    opened = models.DateField(null=True, blank=True)
    wheelchair_access = models.BooleanField(default=False)

    class Meta(Named.Meta):
        verbose_name_plural = "branches"


class Supplier(Named):
    contact_person = models.CharField(max_length=80)
    email = models.EmailField()
    rating = models.PositiveSmallIntegerField(default=3)
    trusted = models.BooleanField(default=False)


class Book(Titled):
    author = models.ForeignKey(Author, models.CASCADE)
    publisher = models.ForeignKey(Publisher, models.CASCADE)
    genre = models.CharField(
        max_length=20, choices=choices("Crime", "Essay", "Fantasy", "Novel", "Poetry", "Travel")
    )
    year = models.PositiveIntegerField()
    pages = models.PositiveIntegerField(null=True, blank=True)
    in_stock = models.BooleanField(default=True)


class Member(Named):
    email = models.EmailField()
    plan = models.CharField(max_length=20, choices=choices("Adult", "Child", "Family", "Senior", "Student"))
    joined = models.DateField()
    newsletter = models.BooleanField(default=False)
    branch = models.ForeignKey(Branch, models.CASCADE)


class Loan(models.Model):
    book = models.ForeignKey(Book, models.CASCADE)
    member = models.ForeignKey(Member, models.CASCADE)
    due = models.DateField()
    returned = models.BooleanField(default=False)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.book} for {self.member}"


class Review(models.Model):
    book = models.ForeignKey(Book, models.CASCADE)
    headline = models.CharField(max_length=120)
    text = models.TextField(blank=True)
    stars = models.PositiveSmallIntegerField(default=3)
    approved = models.BooleanField(default=False)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return str(self.headline)


class Event(Titled):
    branch = models.ForeignKey(Branch, models.CASCADE)
    day = models.DateField()
    capacity = models.PositiveIntegerField(default=20)
    state = models.CharField(max_length=20, choices=choices("Planned", "Open", "Full", "Called off"))
    free_entry = models.BooleanField(default=True)


class Room(Named):
    branch = models.ForeignKey(Branch, models.CASCADE)
    floor = models.IntegerField(default=0)
    seats = models.PositiveIntegerField()
    equipment = models.CharField(max_length=20, choices=choices("Beamer", "Piano", "Screen", "Whiteboard"))
