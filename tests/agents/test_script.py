"""Scripts end to end: a scripted coder's Python in the sandbox, on a real page in a real Chromium."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from agents.clients import Endpoint
from agents.job import Event, Request
from agents.scripted import Answer, ScriptedServer, pick
from agents.team import TeamResult, remember, run_team
from tools.browser import Browser, BrowserEnvironment
from tools.environment import Start
from tools.memory import Memory
from tools.observation import Observation
from tools.sandbox import find

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = """<title>Orders</title><h1>Orders</h1>
<table><caption>Open orders</caption>
<thead><tr><th>Customer</th><th>Amount</th><th></th></tr></thead>
<tbody><tr><td>Ada</td><td>12.50</td><td><a href="#1">Open</a></td></tr>
<tr><td>Bob</td><td>30</td><td><input aria-label="note" value="late"></td></tr>
<tr style="display:none"><td>Ghost</td><td>1000</td><td></td></tr>
<tr><td colspan="2">Cleo, nothing yet</td><td><input type="password" value="swordfish"></td></tr></tbody>
<tfoot><tr><td>Total</td><td>42.50</td><td></td></tr></tfoot></table>
<table><tr><td>plain</td><td>1</td></tr></table>
<label>Total <input id="total"></label> <label>Name <input id="name"></label>
<label><input type="checkbox" checked> Paid</label>
<button onclick="const p = document.createElement('p'); p.textContent = 'saved ' + total.value + name_();
  document.body.append(p)">Save</button>
<button onclick="document.title = 'gone'">Delete all</button>
<script>const name_ = () => document.querySelector('#name').value;</script>"""


class Run:
    """The team on the page, with scripted models behind a real endpoint."""

    def __init__(self, env: BrowserEnvironment, look: Observation, folder: Path) -> None:
        self.env, self.look, self.work = env, look, folder / "work"
        self.files = folder / "files"
        self.files.mkdir()
        self.events: list[Event] = []
        self.asked: list[Request] = []
        self.server = ScriptedServer()

    async def approve(self, request: Request) -> bool:
        self.asked.append(request)
        return False

    async def go(
        self, plans: Sequence[str], script: dict[str, Sequence[Answer]] | None = None, **how: object
    ) -> TeamResult:
        self.server = ScriptedServer({"plan:": list(plans), **(script or {})})
        with self.server:
            endpoint = Endpoint(self.server.url, "scripted")
            return await run_team(
                "Do the orders",
                self.env,
                self.look,
                {"actor": endpoint, "coder": endpoint, "reviewer": endpoint},
                memory=None,
                on_event=self.events.append,
                approve=self.approve,
                files=self.files,
                work=self.work,
                **how,  # type: ignore[arg-type]
            )

    def said(self, who: str) -> str:
        return "\n".join(e.text for e in self.events if e.who == who and e.kind == "says")

    async def shown(self) -> str:
        return str(await self.env.page.evaluate("document.body.innerText"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(chromium_path: str) -> AsyncIterator[Browser]:
    async with Browser() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, tmp_path: Path) -> AsyncIterator[Run]:
    file = tmp_path / "orders.html"
    file.write_text(PAGE)
    env = browser.environment()
    yield Run(env, await env.reset(Start(file.as_uri())), tmp_path)
    await env.close()


async def test_a_column_is_added_up_and_filled_in(page: Run) -> None:
    """A table is read whole, a condition decides, and each call is a step of the episode by the script."""
    plan = """```python
rows = read_table("Amount")
total = 0
for row in rows:
    try:
        total += float(row["Amount"])
    except ValueError:
        print("no amount for", row["Customer"])
if total > 40 and read(checkbox("Paid")) == "on":
    fill(textbox("Total"), total)
    click(button("Save"))
print(rows[0], rows[1]["column 3"], len(rows), read(textbox("Total")), read_table(1))
```"""
    result = await page.go([plan])
    assert (result.outcome, result.reason) == ("done", "done")
    assert "saved 42.5" in await page.shown()
    assert [(by, d.action.name, d.action.label) for _, d, by in result.steps] == [
        ("script", "fill", "Total"),
        ("script", "click", "Save"),
        ("reviewer", "send_msg_to_user", None),
    ]
    assert not page.server.texts("act:")
    said = page.said("script")
    assert said.startswith("no amount for Cleo, nothing yet\n")
    assert "{'Customer': 'Ada', 'Amount': '12.50', 'column 3': 'Open'} late 3 42.5 [['plain', '1']]" in said
    assert "rows = read_table" in page.server.texts("check plan:")[0]


async def test_rows_of_a_file_are_worked_off_and_files_are_kept(page: Run) -> None:
    """The task's files lie in the work folder; what the script leaves is kept, and a picture is announced."""
    (page.files / "names.csv").write_text("name\nAda\nBob\n")
    plan = """
import csv
import matplotlib.pyplot as plt
names = [row["name"] for row in csv.DictReader(open("names.csv"))]
for name in names:
    fill(textbox("Name"), name)
    click(button("Save"))
plt.bar(names, [1, 2])
plt.savefig("chart.png")
open("report.txt", "w").write(f"{len(names)} saved")
send_msg_to_user("two names are saved")
"""
    result = await page.go([plan])
    assert (result.outcome, result.reason) == ("done", "two names are saved")
    shown = await page.shown()
    assert "saved Ada" in shown and "saved Bob" in shown
    assert len(result.steps) == 5
    chart = page.work / "chart.png"
    assert set(result.files) == {chart, page.work / "report.txt"}
    assert chart.read_bytes().startswith(b"\x89PNG")
    assert (page.work / "report.txt").read_text() == "2 saved"
    assert f"picture {chart}" in page.said("script")


async def test_a_file_that_is_downloaded_meanwhile_is_there_to_read(page: Run) -> None:
    """After the click that downloads it; what the script has written under that name itself is not lost, and
    what came from the page is not taken for the script's own."""
    links = (("rates", "EUR,2", "Rates"), ("own", "theirs", "Other"))
    body = (f'<a download="{file}.csv" href="data:text/csv,{text}">{name}</a> ' for file, text, name in links)
    (page.files.parent / "links.html").write_text("".join(body))
    address = (page.files.parent / "links.html").as_uri()
    page.look = await page.env.reset(Start(address, files=str(page.files)))
    plan = """
open("own.csv", "w").write("mine")
click(link("Rates"))
click(link("Other"))
send_msg_to_user(open("rates.csv").read() + " " + open("own.csv").read())
"""
    result = await page.go([plan])
    assert (result.outcome, result.reason) == ("done", "EUR,2 mine"), page.said("script")
    assert [path.name for path in result.files] == ["own.csv"]


async def test_a_part_goes_to_the_actor_and_its_answer_comes_back(page: Run) -> None:
    """act("…") is done step by step by the actor; its last word is a value, or an ActionError."""
    plan = """
said = act("save it")
try:
    act("open the safe")
except ActionError as error:
    send_msg_to_user(f"{said}; {error}")
"""
    answers: list[Answer] = [pick("Save"), 'send_msg_to_user("saved")', 'report_infeasible("no safe")']
    result = await page.go([plan], {"act:": answers})
    assert result.reason == "saved; the actor says it can't be done: no safe"
    assert "goal: save it" in page.server.texts("act:")[0]
    assert [by for _, _, by in result.steps] == ["actor", "actor", "actor", "script"]


async def test_a_script_that_fails_goes_back_to_the_coder_with_its_line(page: Run) -> None:
    """What was done stays in the episode; the coder is told the reason and what was done, and mends it."""
    plans = [
        'fill(textbox("Total"), "7")\nx = read_table("Amount")[0]["Price"]',
        'import sys\nclick(button("Save"))',
    ]
    result = await page.go(plans)
    assert result.outcome == "done" and "saved 7" in await page.shown()
    second = page.server.texts("plan:")[1]
    assert "script: failed: line 2, x = read_table" in second and "KeyError: 'Price'" in second
    assert 'did: "Total" fill(' in second
    assert [by for _, _, by in result.steps] == ["script", "script", "reviewer"]


async def test_scripts_that_never_work_end_clearly(page: Run) -> None:
    """After three tries the job ends with the reason."""
    result = await page.go([f"import os\nos.remove('{name}')" for name in "xyz"])
    assert result.outcome == "not done" and len(page.server.texts("plan:")) == 3
    assert "the script failed: line 2, os.remove('z'): FileNotFoundError" in result.reason


async def test_a_script_that_failed_is_not_run_again_but_left_to_the_actor(page: Run) -> None:
    """A coder that has no other plan: the second time the actor does the whole goal, step by step."""
    script = 'fill(textbox("Total"), "7")\nx = read_table("Price")'
    result = await page.go([script], {"act:": [pick("Save"), 'send_msg_to_user("done")']})
    assert result.outcome == "done" and "saved 7" in await page.shown()
    assert [by for _, _, by in result.steps] == ["script", "actor", "actor"]
    assert "the script that failed, again; the actor goes step by step" in page.said("coder")


async def test_what_a_script_did_is_not_done_over_by_hand(page: Run) -> None:
    """It ran, the reviewer does not see it done, and the coder has no other: an honest end, and the page as
    the script left it."""
    script = 'for name in ["Save"]:\n    fill(textbox("Total"), "7")\n    click(button(name))'
    answers = {"check result:": ["not yet: nothing is saved"], "act:": [pick("Delete all")]}
    result = await page.go([script, "act(goal)"], answers)
    assert result.outcome == "not done" and "no other has come" in result.reason
    assert "saved 7" in await page.shown() and not page.server.texts("act:")


@pytest.mark.parametrize(
    ("call", "why"),
    [
        ("click(5)", "give targets by role and name"),
        ('click(button("Gone"))', 'no button("Gone") on this page'),
        ('read(button("Gone"))', 'no button("Gone") on this page'),
        ('read_table("Price")', 'no such table on this page; there are 0: "Customer"'),
        ("fill(textbox('Total'))", "fill takes (target, value)"),
        ("fill(textbox('Total'), [1])", "does not fit"),
        ("click(object())", "not a call"),
        ("keyboard_type(chr(0xD800))", "keyboard_type('\\ud800'): half a character"),
        ("act(3, 4)", "not a step"),
        ('goto("http://evil.example/")', "not allowed: it leaves this site"),
    ],
)
async def test_what_cannot_be_done_is_an_exception_in_the_script(page: Run, call: str, why: str) -> None:
    """The parser, the page and the policy answer a script as they answer a model; nothing is done."""
    plan = f"name = 'goto'\ntry:\n    {call}\nexcept ActionError as error:\n    print('no:', error)"
    result = await page.go([plan.replace('goto("', "globals()[name](" + '"')])
    assert page.said("script").startswith("no: ") and why in page.said("script")
    assert [by for _, _, by in result.steps] == ["reviewer"]


FORGED = """
import fcntl, json, os, time
out = [f for f in range(3, 30) if os.path.exists(f"/proc/self/fd/{f}") and fcntl.fcntl(f, 3) & 3 == 1][0]
os.write(out, json.dumps({"call": CALL}).encode() + b"\\n")
time.sleep(0.5)
"""


@pytest.mark.parametrize(
    "call",
    [
        "goto('http://evil.example/')",
        '__import__("os").system("touch escaped")',
        "act(open('/etc/passwd'))",
        "a." * 500 + "a",
    ],
)
async def test_a_call_forged_on_the_pipe_is_judged_like_any_other(page: Run, call: str) -> None:
    """The policy and the parser stand outside; nothing is done, by whatever way a call comes."""
    result = await page.go([FORGED.replace("CALL", repr(call))])
    assert [by for _, _, by in result.steps] == ["reviewer"]
    assert page.env.page.url == page.look.url and not Path("escaped").exists()


async def test_the_person_is_asked_and_their_no_ends_the_script(page: Run) -> None:
    """An irreversible action in a script waits for the person; after a no nothing more is done."""
    result = await page.go(['for name in ["Delete all", "Save"]:\n    click(button(name))'])
    assert result.outcome == "refused" and len(page.asked) == 1 and not result.steps
    assert "saved" not in await page.shown()


async def test_the_policy_reads_a_script_before_any_model(page: Run) -> None:
    """What stands in it as it will be called is judged before the reviewer's model sees it."""
    result = await page.go(['if True:\n    goto("http://evil.example/")'])
    assert result.outcome == "refused" and "evil.example" in result.reason
    assert not page.server.texts("check plan:")


async def test_a_file_that_may_not_be_read_is_passed_over(page: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are there."""
    (page.files / "locked.txt").write_text("no")
    (page.files / "open.txt").write_text("yes")
    read = Path.read_bytes

    def reads(path: Path) -> bytes:
        if path.name == "locked.txt":  # whoever runs the tests may read all files
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", reads)
    result = await page.go(['import os\nsend_msg_to_user(" ".join(sorted(os.listdir())))'])
    assert result.outcome == "done" and "open.txt" in result.reason and "locked" not in result.reason


async def test_steps_are_counted_in_a_script_too(page: Run) -> None:
    """A loop ends with the job's steps; what was done is in the result."""
    plan = ["import itertools\nfor i in itertools.count():\n    fill(textbox('Total'), i)"]
    result = await page.go(plan, max_steps=5)
    assert result.outcome == "not done" and result.reason == "5 steps were not enough"
    assert len(result.steps) == 5


async def test_without_a_sandbox_scripts_are_refused_with_the_mend(
    page: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A straight line runs all the same; the coder is told, and the person what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    find.cache_clear()
    try:
        result = await page.go(["import os"])
        assert result.outcome == "refused" and "apt-get install bubblewrap" in result.reason
        assert "only plain calls" in page.server.texts("plan:")[1]
        result = await page.go(["import os", 'click(button("Save"))'])
        assert result.outcome == "done"
    finally:
        find.cache_clear()


async def test_what_a_script_did_is_not_remembered_as_a_program(page: Run, tmp_path: Path) -> None:
    """Its values were worked out from the page; the next time they may be others."""
    result = await page.go(["import os\nfill(textbox('Total'), os.getpid())"])
    memory = Memory(tmp_path / "memory")
    assert result.outcome == "done" and remember(memory, "Do the orders", result) == 0
    memory.close()
