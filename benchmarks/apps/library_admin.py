"""Django's admin over a small library of ten related models (`library/`), as an application to explore.

    python benchmarks/apps/library_admin.py --port 8101

It signs in with user `admin` and the password in SHOPFLOOR_SECRET_PASSWORD (`library-demo` when unset), and
is put back by copying one file. Not covered: exploring it (`shopfloor explore`).
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import place

HERE = Path(__file__).resolve()


def serve(port: int, seed: int) -> None:
    """Inside the application's own environment: make the database afresh, keep a copy, serve."""
    import django
    from django.conf import settings
    from django.core.management import call_command

    database = place.folder("library-admin") / "library.db"
    database.unlink(missing_ok=True)
    sys.path.insert(0, str(HERE.parent))
    contrib = ("admin", "auth", "contenttypes", "sessions", "messages", "staticfiles")
    settings.configure(
        DEBUG=True,
        SECRET_KEY=f"library-{seed}",
        ROOT_URLCONF="library.urls",
        ALLOWED_HOSTS=["127.0.0.1"],
        INSTALLED_APPS=[*(f"django.contrib.{name}" for name in contrib), "library"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(database)}},
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",  # a sign-in outlives a reset
        STATIC_URL="/static/",
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        USE_TZ=True,
    )
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    from django.contrib.auth.models import User
    from library import sample

    User.objects.create_superuser(
        "admin", "admin@library.example", os.environ.get("SHOPFLOOR_SECRET_PASSWORD") or "library-demo"
    )
    sample.fill(seed)
    start = database.with_suffix(".start")
    shutil.copyfile(database, start)
    place.say(
        "Django's admin",
        f"http://127.0.0.1:{port}/admin/",
        f"cp {start} {database}",
        "SHOPFLOOR_SECRET_PASSWORD, and --sign-in benchmarks/apps/library_admin.signin",
    )
    call_command("runserver", f"127.0.0.1:{port}", "--noreload", verbosity=0)


if __name__ == "__main__":
    asked = place.arguments(__doc__, 8101)
    python = place.programs("library-admin", "django==5.2.19") / "python"
    if Path(sys.prefix) != python.parent.parent:
        os.execv(python, [str(python), str(HERE), f"--port={asked.port}", f"--seed={asked.seed}"])
    serve(asked.port, asked.seed)
