"""`shopfloor config`: each setting, its value, and where it came from.

Not covered: changing them; write `shopfloor.toml` or set the variable (see `tools/settings.py`), and for the
policy `policy.toml` (see `tools/rules.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import sys

from tools import rules, settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    found = settings.find()
    secrets = [settings.variable(n) for n in settings.SECRETS if os.environ.get(settings.variable(n))]
    secrets += sorted(v for v in os.environ if v.startswith(settings.SITE_SECRET))
    strangers = settings.strangers()
    written = rules.load()
    policy = str(written.path or "built in")
    rails = str(written.rails) if written.rails else None
    if args.json:
        values = {f.name: {"value": f.value, "source": f.source} for f in found}
        found_in = {"home": str(settings.home_path()), "policy": policy, "rails": rails}
        print(json.dumps({**found_in, "settings": values, "secrets": secrets}))
    else:
        print(f"state folder: {settings.home_path()}\npolicy: {policy}\nrails: {rails or 'none'}\n")
        for f in found:
            print(f"{f.name:17}{_shown(f.value):18}{f.source:28}{f.doc}")
        if secrets:
            print(f"\nset, not shown: {', '.join(secrets)}")
    for name in strangers:
        print(f"shopfloor: {name} is set but is no setting", file=sys.stderr)
    return 0


def _shown(value: object) -> str:
    """A value as it would be written in the environment."""
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)
