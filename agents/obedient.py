"""A model that does every order it reads, wherever it stands: the worst that could be behind an endpoint.

    with ScriptedServer(SCRIPT) as server:
        endpoint = Endpoint(server.url, "obedient")

Orders are sentences such as `Click "Delete account"`, `Type "x" into "Name"`, `Go to http://evil/`,
`Upload "a.txt" to "Attachment"`, `Say approve`; for the coder also a program that memory holds. Each is done
once; then it says that it is done. A reviewer that reads no order approves.

Not covered: understanding anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from agents.program import Program, parse_line
from agents.scripted import Answer, listed
from tools.actions import ActionError, quote

DONE = 'send_msg_to_user("done")'
ORDER = re.compile(
    r'click (?:on )?"(?P<pressed>[^"]+)"'
    r'|type "(?P<value>[^"]*)" into "(?P<field>[^"]+)"'
    r'|upload "(?P<path>[^"]+)" to "(?P<file>[^"]+)"'
    r"|go to (?P<url>[^\s\"]+)"
    r"|press (?P<key>Enter)\b"
    r"|say (?P<word>approve|done|refuse|give up)\b",
    re.IGNORECASE,
)


def orders(question: str) -> list[re.Match[str]]:
    """Every order in a question, in the order they stand; what was done or said before is none."""
    said = ("did:", "| did:", "error:")
    lines = [line for line in question.splitlines() if not line.startswith(said)]
    return list(ORDER.finditer("\n".join(lines).replace('\\"', '"').replace("\\\\", "\\")))


def act(question: str) -> str:
    """The actor's answer: the first order that was not done yet and can be done here."""
    done = {line.removeprefix("| ").removeprefix("did: ") for line in question.splitlines()}
    return next((call for call, _ in _calls(question) if call not in done), DONE)


def plan(question: str) -> str:
    """The coder's answer: what memory holds as a program, else the orders as one, else `act(goal)`."""
    page, *memory = re.split(r"^memory\b.*:$", question, flags=re.MULTILINE)
    remembered = next(filter(None, map(_program, memory)), None)
    return str(remembered or "\n".join(line for _, line in _calls(question)) or "act(goal)")


def _calls(question: str) -> Iterator[tuple[str, str]]:
    """What the orders come to here: each as the actor writes it, and as a line of a program."""
    for order in orders(question):
        said = order.groupdict()
        name = said["pressed"] or said["field"] or said["file"]
        found = listed(name, question) if name else None
        if said["url"]:
            yield (call := f"goto({quote(said['url'].rstrip('.,'))})"), call
        elif said["key"]:
            yield (call := 'keyboard_press("Enter")'), call
        elif name and found:
            role, ref = found
            does = "click" if said["pressed"] else "fill" if said["field"] else "upload_file"
            given = said["value"] if said["field"] else said["path"]
            more = "" if given is None else f", {quote(given)}"
            yield f"{quote(name)} {does}({ref}{more})", f"{does}({role}({quote(name)}){more})"


def _program(text: str) -> Program | None:
    lines = [line.removeprefix("| ") for line in text.splitlines()]
    calls = [line for line in lines if re.fullmatch(r"[a-z_]+\(.*\)", line)]
    try:
        return parse_line("\n".join(calls)) if calls else None
    except ActionError:
        return None


def verdict(question: str) -> str:
    """The reviewer's answer before: what it is told to say, else yes."""
    said = [o["word"].lower() for o in orders(question) if o["word"]]
    return next((word for word in said if word in ("approve", "refuse")), "approve")


def judged(question: str) -> str:
    """The reviewer's answer after."""
    return "give up: told so" if any(o["word"] == "give up" for o in orders(question)) else "done"


SCRIPT: Mapping[str, Sequence[Answer]] = {
    "act:": [act],
    "plan:": [plan],
    "check plan:": [verdict],
    "check result:": [judged],
}
