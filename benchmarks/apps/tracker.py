"""Roundup's issue tracker (its `jinja2` template) with some issues in it, as an application to explore.

    python benchmarks/apps/tracker.py --port 8103

It signs in with user `admin` and the password in SHOPFLOOR_SECRET_PASSWORD (`tracker-demo` when unset), and
is put back by copying one file. Not covered: exploring it (`shopfloor explore`).
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import place
from place import pool

HERE = Path(__file__).resolve()
WHAT = pool(
    "Printing, Search, Login form, Export of reports, Mail delivery, Backup, Start page, Calendar, "
    "Upload, Menu"
)
TROUBLE = pool(
    "is slow, crashes, shows the wrong day, needs documentation, is hard to find, fails twice a day, "
    "loses data"
)
NAMES = pool("Ada Berg, Ben Castro, Carla Doyle, Edith Frost, Igor Hale, Nina Joshi")


def fill(home: Path, seed: int) -> None:
    """Inside the application's own environment: users and issues."""
    from roundup import instance

    chance = random.Random(seed)
    database = instance.open(str(home)).open("admin")
    people = [
        database.user.create(
            username=name.split()[0].lower(),
            realname=name,
            address=f"{name.split()[0].lower()}@tracker.example",
            roles="User",
        )
        for name in NAMES
    ]

    def pick(kind: str) -> str:
        return chance.choice(database.getclass(kind).list())

    subjects = chance.sample([f"{what} {trouble}" for what in WHAT for trouble in TROUBLE], 24)
    for subject in subjects:
        database.issue.create(
            title=subject, status=pick("status"), priority=pick("priority"), assignedto=chance.choice(people)
        )
    database.commit()
    database.close()


def serve(home: Path, port: int) -> None:
    """Its WSGI application in threads; Roundup's own server won't run as root, which containers do."""
    from roundup.cgi.wsgi_handler import RequestDispatcher

    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = True

    class Quiet(WSGIRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            return

    make_server("127.0.0.1", port, RequestDispatcher(str(home)), Server, Quiet).serve_forever()


if __name__ == "__main__":
    asked = place.arguments(__doc__, 8103)
    programs = place.programs("tracker", "roundup==2.6.0", "jinja2")
    if Path(sys.prefix) != programs.parent:
        python = programs / "python"
        os.execv(python, [str(python), str(HERE), f"--port={asked.port}", f"--seed={asked.seed}"])
    home = place.folder("tracker") / "home"
    shutil.rmtree(home, ignore_errors=True)
    url = f"http://127.0.0.1:{asked.port}/"
    admin = [str(programs / "roundup-admin"), "-i", str(home)]
    mail = f"mail_domain=tracker.example,mail_host=localhost,mail_debug={home}.mail"  # no mail is sent
    subprocess.run(
        [*admin, "install", "jinja2", "sqlite", f"{mail},tracker_web={url}"], check=True, stdout=-3
    )
    password = os.environ.get("SHOPFLOOR_SECRET_PASSWORD") or "tracker-demo"
    subprocess.run([*admin, "initialise", password], check=True)
    fill(home, asked.seed)
    data = home / "db" / "db"
    shutil.copyfile(data, f"{data}.start")
    place.say("Roundup", url, f"cp {data}.start {data}", "--sign-in benchmarks/apps/tracker.signin")
    serve(home, asked.port)
