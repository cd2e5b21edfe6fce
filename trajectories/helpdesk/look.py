"""How the help desk looks and speaks, from a seed: layout, wording, order of fields, colours, font.

No two seeds need look alike, so a model can't learn one page by heart. Every label a page shows and an
expert looks for is read from here (`look.word("save")`), so the two can't drift apart.

Not covered: what the app holds (`world.py`) and the pages themselves (`templates/`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

SECTIONS = ("dashboard", "customers", "tickets", "orders", "settings", "status")

# Every wording of every label; the first is the plainest. Names within one page never coincide.
WORDS: dict[str, tuple[str, ...]] = {
    "brand": ("Help desk", "Support hub", "Service point", "Care centre", "Deskline"),
    "dashboard": ("Dashboard", "Home", "Overview", "Start"),
    "customers": ("Customers", "Clients", "Contacts", "Accounts"),
    "tickets": ("Tickets", "Cases", "Requests", "Issues"),
    "orders": ("Orders", "Purchases", "Sales"),
    "settings": ("Settings", "Preferences", "Options", "My settings"),
    "status": ("Status", "Service", "System health", "Service status"),
    "sign_in": ("Sign in", "Log in", "Enter", "Continue"),
    "user": ("User name", "Login", "User", "Account name"),
    "password": ("Password", "Passphrase", "Secret word"),
    "search": ("Search", "Find", "Look up", "Go"),
    "query": ("Search text", "Name or email", "Keywords", "Find by name"),
    "new_customer": ("New customer", "Add customer", "Create customer", "Add a client"),
    "new_ticket": ("New ticket", "Open a ticket", "Create ticket", "Add case"),
    "new_order": ("New order", "Add order", "Create order", "Start an order"),
    "next": ("Next", "Next page", "More", "Older"),
    "previous": ("Previous", "Previous page", "Back", "Newer"),
    "edit": ("Edit", "Change", "Edit details", "Modify"),
    "cancel": ("Cancel", "Discard", "Never mind"),
    "save": ("Save", "Save changes", "Update", "Apply changes", "Store"),
    "create": ("Create", "Add", "Submit", "Save new"),
    "name": ("Name", "Full name", "Customer name", "Client name"),
    "email": ("Email", "E-mail", "Email address", "Mail"),
    "phone": ("Phone", "Phone number", "Telephone", "Mobile"),
    "title": ("Title", "Subject", "Summary", "Topic"),
    "customer": ("Customer", "Client", "Buyer", "Contact"),
    "priority": ("Priority", "Urgency", "Importance", "Severity"),
    "state": ("State", "Ticket status", "Progress", "Stage"),
    "assignee": ("Assignee", "Assigned to", "Owner", "Agent"),
    "filter": ("Filter", "Apply filter", "Show", "Refine"),
    "comment": ("Comment", "Reply", "Note", "Message"),
    "add_comment": ("Add comment", "Post", "Send reply", "Add note"),
    "file": ("Attachment", "File", "Document"),
    "attach": ("Attach", "Upload", "Add file"),
    "close": ("Close ticket", "Resolve", "Mark as closed", "Close case"),
    "reopen": ("Reopen", "Open again", "Reactivate"),
    "product": ("Product", "Item", "Article"),
    "quantity": ("Quantity", "Amount", "Count", "Units"),
    "date": ("Date", "Delivery date", "Due date", "Ship date"),
    "place": ("Place order", "Book order", "Confirm order", "Order now"),
    "email_alerts": ("Email alerts", "Mail notices", "Alerts by email"),
    "weekly_report": ("Weekly report", "Weekly summary", "Report every week"),
    "sounds": ("Sounds", "Play sounds", "Sound effects"),
    "auto_assign": ("Assign to me", "Take new cases", "Auto-assign"),
    "language": ("Language", "Interface language", "Display language"),
    "theme": ("Theme", "Colour scheme", "Appearance"),
    "signature": ("Signature", "Mail signature", "Sign-off"),
    "lamp": ("Which colour is the lamp?", "Report the lamp's colour", "Lamp colour now"),
    "withdraw": ("Withdraw report", "Take back", "Undo report"),
    "saved": ("Saved", "Changes saved", "Done, saved", "All saved"),
    "any": ("any", "all", "every one"),
    "sign_out": ("Sign out", "Log out", "Leave"),
    "account": ("Signed in as", "User:", "Hello,"),
}

# Choices are kept under the key and shown under one of the wordings.
CHOICES: dict[str, tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]] = {
    "priority": (
        ("low", "normal", "high", "urgent"),
        (
            ("low", "normal", "high", "urgent"),
            ("Low", "Medium", "High", "Critical"),
            ("minor", "usual", "major", "blocker"),
            ("P4", "P3", "P2", "P1"),
        ),
    ),
    "state": (
        ("open", "waiting", "closed"),
        (("open", "waiting", "closed"), ("Active", "Pending", "Resolved"), ("to do", "on hold", "finished")),
    ),
    "language": (
        ("en", "de", "fr", "es", "it", "nl"),
        (
            ("English", "German", "French", "Spanish", "Italian", "Dutch"),
            ("English", "Deutsch", "Français", "Español", "Italiano", "Nederlands"),
        ),
    ),
    "theme": (
        ("light", "dark", "contrast"),
        (("light", "dark", "contrast"), ("Day", "Night", "High contrast"), ("bright", "dim", "strong")),
    ),
}

# The ledger's own, drawn apart: whatever is added here, a seed's other words stay as they were.
LEDGER_WORDS: dict[str, tuple[str, ...]] = {
    "invoices": ("Invoices", "Bills", "Receivables"),
    "payments": ("Payments", "Receipts", "Money received"),
    "archive": ("Archive", "Past invoices", "Last year"),
    "number": ("No.", "Reference", "Invoice no.", "Bill"),
    "debtor": ("Billed to", "Debtor", "Payer", "Company"),
    "amount": ("Amount due", "Net", "Value", "Price"),
    "standing": ("Standing", "Condition", "Situation", "Paid?"),
    "reminders": ("Reminders", "Notices", "Reminded"),
    "total": ("Total", "Grand total", "Sum of all", "Overall sum"),
    "tally": ("Tally", "How many", "Rows counted", "Number of rows"),
    "remark": ("Remark", "Finding", "Result", "Observation"),
    "report": ("Hand in", "File report", "Report", "Enter report"),
    "remind": ("Remind", "Remind now", "Give notice", "Mark reminded"),
}
STANDING: tuple[tuple[str, ...], tuple[tuple[str, ...], ...]] = (
    ("paid", "due", "late"),
    (("paid", "due", "late"), ("Settled", "Pending", "Overdue"), ("all paid", "part paid", "unpaid")),
)

FORMS: dict[str, tuple[str, ...]] = {
    "customer": ("name", "email", "phone"),
    "ticket_new": ("title", "customer", "priority"),
    "ticket_edit": ("priority", "assignee"),
    "ticket_parts": ("edit", "comment", "file"),
    "filters": ("state", "priority"),
    "order": ("customer", "product", "quantity", "date"),
    "checks": ("email_alerts", "weekly_report", "sounds", "auto_assign"),
    "settings": ("checks", "language", "theme", "signature"),
}

FONTS = ("DejaVu Sans", "Liberation Sans", "Liberation Serif", "DejaVu Serif", "Liberation Sans Narrow")


@dataclass(frozen=True)
class Look:
    """One way to look. `hue` is in degrees; `density` scales padding; `rows` is table, cards or list."""

    seed: int
    words: dict[str, str] = field(repr=False)
    choices: dict[str, dict[str, str]] = field(repr=False)
    orders: dict[str, tuple[str, ...]] = field(repr=False)
    nav: str
    rows: str
    labels: str  # above or beside the field
    align: str  # where a form's buttons stand
    hue: int
    dark: bool
    font: str
    density: float
    radius: int
    quick: bool  # whether the dashboard has links to the "new" forms

    @staticmethod
    def of(seed: int) -> Look:
        """The look of a seed, the same every time."""
        r = random.Random(f"look/{seed}")
        words = {key: r.choice(options) for key, options in WORDS.items()}
        choices = {k: dict(zip(keys, r.choice(shown), strict=True)) for k, (keys, shown) in CHOICES.items()}
        orders = {key: tuple(r.sample(parts, len(parts))) for key, parts in FORMS.items()}
        orders["nav"] = tuple(r.sample(SECTIONS, len(SECTIONS)))
        apart = random.Random(f"look/{seed}/ledger")
        words |= {key: apart.choice(options) for key, options in LEDGER_WORDS.items()}
        choices["standing"] = dict(zip(STANDING[0], apart.choice(STANDING[1]), strict=True))
        parts = ("number", "debtor", "amount", "standing")
        orders |= {"bill": tuple(apart.sample(parts, 4)), "report": ("total", "tally", "remark")}
        return Look(
            seed=seed,
            words=words,
            choices=choices,
            orders=orders,
            nav=r.choice(("top", "left", "right", "bottom")),
            rows=r.choice(("table", "cards", "list")),
            labels=r.choice(("above", "beside")),
            align=r.choice(("start", "end")),
            hue=r.randrange(0, 360, 10),
            dark=r.random() < 0.25,
            font=r.choice(FONTS),
            density=r.choice((0.8, 1.0, 1.2)),
            radius=r.choice((0, 4, 10)),
            quick=r.random() < 0.4,
        )

    def word(self, key: str) -> str:
        """The label shown for a key."""
        return self.words[key]

    def choice(self, kind: str, key: str) -> str:
        """The wording of one choice of a select."""
        return self.choices[kind][key]
