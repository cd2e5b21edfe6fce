"""The team at work on a small real environment, with scripted models behind real endpoints."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from agents.clients import Endpoint
from agents.job import Event, Request
from agents.scripted import Answer, ScriptedServer, pick
from agents.spans import Span, span, spent
from agents.team import TeamResult, remember, run_team
from tools.actions import Action
from tools.environment import Start
from tools.memory import Memory
from tools.observation import Box, Element, Observation
from tools.rules import Rules

DONE = 'send_msg_to_user("done")'


class Notes:
    """A tiny app: a name field, Save, and a Delete behind a confirm dialog. Implements `Environment`."""

    def __init__(self) -> None:
        self.typed = ""
        self.saved: list[str] = []
        self.asking = False
        self.error: str | None = None
        self.done: list[Action] = []

    async def reset(self, start: Start) -> Observation:
        return await self.observe()

    async def observe(self) -> Observation:
        box = Box(0, 0, 10, 10)
        page = [Element(1, "textbox", "Name", box, value=self.typed), Element(2, "button", "Save", box)]
        page += [Element(3, "button", "Delete all", box), Element(4, "button", "Idle", box)]
        page += [Element(None, "text", f"saved: {name}", box) for name in self.saved]
        if self.asking:
            page = [Element(None, "dialog", "Delete all notes?", box), Element(1, "button", "OK", box)]
        return Observation("http://notes/", "Notes", (100, 100), tuple(page), b"png", error=self.error)

    async def step(self, action: Action) -> Observation:
        self.done.append(action)
        self.error = None
        if action.name == "fill" and action.args[0] == 1:
            self.typed = str(action.args[1])
        elif action == Action("click", (1,)) and self.asking:
            self.saved, self.asking = [], False
        elif action == Action("click", (2,)):
            self.saved.append(self.typed)
        elif action == Action("click", (3,)):
            self.asking = True
        elif action != Action("click", (4,)):
            self.error = f"{action} does nothing here"
        return await self.observe()

    async def close(self) -> None:
        """Nothing is held."""


class Run:
    """One run of the team: its result, what was shown, what was asked of the person."""

    def __init__(self, env: Notes, script: dict[str, Sequence[Answer]], yes: bool) -> None:
        self.env = env
        self.events: list[Event] = []
        self.requests: list[Request] = []
        self.server = ScriptedServer(script)
        self.yes = yes

    async def approve(self, request: Request) -> bool:
        self.requests.append(request)
        return self.yes

    async def go(self, goal: str, memory: Memory | None = None, **how: object) -> TeamResult:
        with self.server:
            endpoint = Endpoint(self.server.url, "scripted")
            return await run_team(
                goal,
                self.env,
                await self.env.observe(),
                {"actor": endpoint, "coder": endpoint, "reviewer": endpoint},
                memory=memory,
                on_event=self.events.append,
                approve=self.approve,
                **how,  # type: ignore[arg-type]
            )

    def said(self, who: str) -> list[str]:
        return [e.text for e in self.events if e.who == who and e.kind == "says"]


def start(script: dict[str, Sequence[Answer]], yes: bool = False) -> Run:
    return Run(Notes(), script, yes)


def does(result: TeamResult) -> list[str]:
    return [f"{by}: {d.action}" for _, d, by in result.steps]


async def test_the_actor_does_what_the_coder_leaves_to_it() -> None:
    """act(goal) goes step by step with screenshot and page; usage is added up."""
    run = start({"act:": [pick("Name", 'fill({}, "Ada")'), pick("Save"), DONE]})
    result = await run.go("Save a note for Ada")
    assert (result.outcome, result.reason) == ("done", "done")
    assert run.env.saved == ["Ada"]
    assert does(result) == ['actor: "Name" fill(1, "Ada")', 'actor: "Save" click(2)', f"actor: {DONE}"]
    assert result.prompt_tokens > 100 and result.completion_tokens > 5 and len(result.timings) == 3
    act = run.server.texts("act:")
    assert 'textbox "Name" [1]' in act[0] and 'did: "Name" fill(1, "Ada")' in act[1]
    assert all(m["messages"][-1]["content"][0]["type"] == "image_url" for m in run.server.asked)


async def test_a_program_runs_without_the_actor_and_drift_is_healed_by_it() -> None:
    """Steps with targets on the page need no model; a missing target hands over with the whole goal."""
    plan = 'fill(textbox("Name"), "Ada")\nclick(button("Save"))'
    run = start({"plan:": [plan]})
    result = await run.go("Save a note for Ada")
    assert result.outcome == "done" and run.env.saved == ["Ada"] and not run.server.texts("act:")
    assert does(result)[-1] == f"reviewer: {DONE}"
    assert f"did: {DONE}" in run.server.texts("check result:")[0]  # as the reviewer has learnt to see it

    run = start({"plan:": ["\n".join([plan] * 2)]})
    result = await run.go("Save two notes for Ada", max_steps=4)  # near its end only an actor is told so
    assert result.outcome == "done" and len(run.env.saved) == 2 and not run.server.texts("act:")

    run = start({"plan:": [plan.replace("Save", "Store")], "act:": [pick("Save"), DONE]})
    result = await run.go("Save a note for Ada")
    assert result.outcome == "done" and run.env.saved == ["Ada"]
    assert "the actor looks for it" in run.said("program")[0]

    run = start(
        {"plan:": ['click(button("OK"))'], "act:": [pick("Delete all"), pick("Name", 'fill({}, "x")')]}
    )
    run.yes = True
    result = await run.go("Delete all notes")  # the actor only finds the way; the program then does its step
    assert result.outcome == "done" and does(result)[:2] == [
        'actor: "Delete all" click(3)', 'program: "OK" click(1)'
    ]  # fmt: skip


async def test_what_the_actor_does_on_its_way_is_not_the_step_itself() -> None:
    """A step counts as healed only by the same call with the same values on the like of its target."""
    plan = 'fill(textbox("Title"), "Ada")\nclick(button("Save"))'
    fill = [pick("Name", 'fill({}, "x")'), pick("Name", 'fill({}, "Ada")')]
    run = start({"plan:": [plan], "act:": fill})
    result = await run.go("Save a note for Ada")
    assert result.outcome == "done" and run.env.saved == ["Ada"]
    assert [by for _, _, by in result.steps[:3]] == ["actor", "actor", "program"]


async def test_a_program_ends_at_its_last_word() -> None:
    """What it says at the end is the end, whatever stands after it."""
    run = start({"plan:": ['send_msg_to_user("done")\nclick(button("Save"))']})
    result = await run.go("Save nothing")
    assert does(result) == [f"program: {DONE}"] and not run.env.saved and not run.server.texts("act:")


async def test_what_worked_is_remembered_and_replayed_without_a_coder(tmp_path: Path) -> None:
    """The second time the same goal here costs no planning, nor does one like it with another value; what is
    said otherwise shows the coder the program."""
    memory = Memory(tmp_path)
    memory.add_program("Save a note for Zed", "notes", "explode(1)")  # of another version: passed over
    run = start({"act:": [pick("Name", 'fill({}, "Ada")'), pick("Save"), DONE]})
    assert remember(memory, "Save a note for Ada", await run.go("Save a note for Ada", memory)) == 2
    again = start({})
    result = await again.go("Save a note for Ada", memory)
    assert result.outcome == "done" and again.env.saved == ["Ada"]
    assert remember(memory, "Save a note for Ada", result) == 0  # known already
    assert not again.server.texts("plan:") and not again.server.texts("act:")
    like = start({})
    result = await like.go("Save a note for Bob Lee", memory)
    assert result.outcome == "done" and like.env.saved == ["Bob Lee"]
    assert remember(memory, "Save a note for Bob Lee", result) == 0
    assert not like.server.texts("plan:") and not like.server.texts("act:")
    assert remember(memory, 'Save a note for "Zoe"', result) == 0  # of whom the program says nothing
    assert any("can't be read" in said for said in run.said("memory"))
    assert sorted(kept.worked for kept in memory.entries()) == [1, 3]
    other = start({"plan:": ['fill(textbox("Name"), "Bob")\nclick(button("Save"))']})
    await other.go("Please keep a note for Bob", memory)
    memory.close()
    assert '| # Save a note for Ada\n| fill(textbox("Name"), "Ada")' in other.server.texts("plan:")[0]


@pytest.mark.parametrize("yes", [True, False])
async def test_what_cannot_be_undone_is_asked_once(yes: bool) -> None:
    """A yes covers the confirm dialog of the same act; a no ends the job with nothing done."""
    run = start({"act:": [pick("Delete all"), pick("OK"), DONE]}, yes)
    run.env.saved = ["old"]
    result = await run.go("Delete everything")
    assert [str(r.action) for r in run.requests] == ['"Delete all" click(3)']
    assert result.outcome == ("done" if yes else "refused")
    assert run.env.saved == ([] if yes else ["old"])
    assert bool(run.env.done) is yes


async def test_the_policy_goes_before_the_reviewers_model() -> None:
    """A plan that leaves the site is sent back before any model sees it, and refused in the end."""
    run = start({"plan:": ['goto("http://evil.example/")']})
    result = await run.go("Save a note")
    assert result.outcome == "refused" and "evil.example" in result.reason
    assert not run.env.done and not run.server.texts("check plan:")
    assert len(run.server.texts("plan:")) == 3 and "reviewer: revise" in run.server.texts("plan:")[1]


async def test_the_actor_is_told_once_what_is_not_allowed() -> None:
    """The first refusal is an error it sees; the second ends the job. Nothing was done."""
    run = start({"act:": ['goto("http://evil.example/")']})
    result = await run.go("Save a note")
    assert result.outcome == "refused" and not run.env.done
    assert "error: not allowed" in run.server.texts("act:")[1]


async def test_the_reviewer_sends_back_twice_at_most() -> None:
    """`not yet` goes to the coder with the reason; `revise` and `refuse` before anything is done."""
    run = start({"check result:": ["not yet: nothing is saved", "done"], "act:": [DONE, pick("Save"), DONE]})
    result = await run.go("Save a note")
    assert result.outcome == "done" and run.env.saved == [""]
    assert "not yet: nothing is saved" in run.server.texts("plan:")[1]
    run = start({"check result:": ["not yet: nothing is saved"]})
    result = await run.go("Save a note")
    assert result.outcome == "not done" and "nothing is saved" in result.reason
    assert len(run.server.texts("check result:")) == 1  # nothing was done since, so the answer stands
    assert len(run.server.texts("plan:")) == 3
    run = start({"check plan:": ["refuse: that would be wrong"]})
    result = await run.go("Save a note")
    assert (result.outcome, result.reason) == ("refused", "the reviewer refuses: that would be wrong")
    run = start({"check plan:": ["revise: too vague", "approve"]})
    assert (await run.go("Save a note")).outcome == "done"
    assert "too vague" in run.server.texts("plan:")[1]


async def test_going_in_circles_ends_with_an_honest_report() -> None:
    """The same action on the same page three times is told once, then another plan is asked for once, then
    the job stops. So it is where the page goes back and forth, and after many steps."""
    run = start({"act:": [pick("Idle")]})
    result = await run.go("Save a note")
    assert result.outcome == "not done" and "stuck" in result.reason
    told = ["do something else" in asked for asked in run.server.texts("act:")]
    # One question for the first time, two where it is a repetition, for others are drawn.
    assert len(result.steps) == 9 and told[:6] == [False] * 5 + [True]
    assert "stuck: " in run.server.texts("plan:")[1] and len(run.server.texts("plan:")) == 2
    back_and_forth = [pick("Name", f'fill({{}}, "{"AB"[i % 2]}")') for i in range(30)]
    run = start({"act:": back_and_forth})
    result = await run.go("Save a note", max_steps=30)
    assert "stuck" in result.reason and len(result.steps) < 24
    run = start({"act:": [pick("Save")]})
    result = await run.go("Save a note", max_steps=7)
    assert (result.outcome, result.reason) == ("not done", "7 steps were not enough")


@pytest.mark.parametrize(
    ("script", "outcome", "says"),
    [
        ({"act:": ["I think we should click around"]}, "not done", "answers no action"),
        ({"act:": ["click(99)"]}, "not done", "answers no action"),
        ({"act:": [""]}, "not done", "answers no action"),
        ({"check plan:": ["maybe?"]}, "not done", "gives no verdict"),
        ({"check result:": ["\u2603"]}, "not done", "gives no verdict"),
        ({"plan:": ["import os; os.remove('x')"]}, "done", "done"),  # twice the same: the actor does it
        ({"plan:": ["1 + + and then I would click"]}, "done", "done"),
        ({"act:": ['report_infeasible("no such thing")']}, "not done", "no such thing"),
    ],
)
async def test_babble_ends_clearly(script: dict[str, Sequence[Answer]], outcome: str, says: str) -> None:
    """A model that answers what is no answer is asked again, then the job ends and says which role it was."""
    result = await start(script).go("Save a note")
    assert result.outcome == outcome and says in result.reason


async def test_one_slip_is_mended_by_asking_again() -> None:
    """An answer that points at nothing is asked again with the error in words."""
    run = start({"act:": ["click(99)", pick("Save"), DONE]})
    result = await run.go("Save a note")
    assert result.outcome == "done" and all(d.valid for _, d, _ in result.steps)
    assert "there is no element [99]" in run.server.asked[3]["messages"][-1]["content"]


async def test_a_dead_endpoint_ends_clearly() -> None:
    """Nobody listening is an outcome with the mend in it, not a traceback."""
    with ScriptedServer() as server:
        dead = Endpoint(server.url, "gone")
    env = Notes()
    result = await run_team(
        "Save a note",
        env,
        await env.observe(),
        {"actor": dead, "coder": dead, "reviewer": dead},
        memory=None,
        on_event=lambda event: None,
        approve=lambda request: asyncio.sleep(0, False),
    )
    assert result.outcome == "not done" and "can't be reached; start it" in result.reason and result.broken


async def test_an_interrupt_keeps_what_was_done_and_can_go_on() -> None:
    """The step under way is finished and recorded; going on starts from there, with its history."""
    run = start({"act:": [pick("Name", 'fill({}, "Ada")'), pick("Save"), DONE]})
    stop = asyncio.Event()

    class Stopping(list[Event]):
        def append(self, event: Event) -> None:
            super().append(event)
            if event.kind == "does":
                stop.set()

    run.events = Stopping()
    first = await run.go("Save a note for Ada", interrupt=stop)
    assert first.outcome == "interrupted" and run.env.typed == "Ada" and len(first.steps) == 1
    rest = Run(run.env, {"act:": [pick("Save"), DONE]}, False)
    second = await rest.go("Save a note for Ada", earlier=first.steps)
    assert second.outcome == "done" and run.env.saved == ["Ada"] and len(second.steps) == 3
    assert "did:" in rest.server.texts("act:")[0]
    assert replace(first.final, error=None).elements[0].value == "Ada"


async def test_an_unclear_goal_is_asked_about() -> None:
    """The person's answer is part of the goal from then on, the coder's question is not: a page may have led
    to it. Where nobody can be asked, or answers, nothing is done; and a coder that only asks comes to an end.
    """
    question = "ask(\"Whose note, Ada's or Bob's?\")"
    asked: list[str] = []

    async def answer(text: str) -> str:
        asked.append(text)
        return "Ada's"

    run = start({"plan:": [question, 'fill(textbox("Name"), "Ada")\nclick(button("Save"))']})
    result = await run.go("Save the note", ask=answer)
    assert result.outcome == "done" and asked == ["Whose note, Ada's or Bob's?"]
    assert run.env.saved == ["Ada"] and result.goal == "Save the note (Ada's)"
    assert "goal: Save the note (Ada's)\n" in run.server.texts("check result:")[0]
    assert not any("Bob" in text for text in run.server.texts("check result:"))

    alone = await start({"plan:": [question]}).go("Save the note")
    assert (alone.outcome, alone.steps) == ("not done", ()) and "nobody can be asked" in alone.reason
    silent = await start({"plan:": [question]}).go("Save the note", ask=lambda text: asyncio.sleep(0, ""))
    assert silent.outcome == "not done" and "not answered" in silent.reason
    asked.clear()
    again = await start({"plan:": [question]}).go("Save the note", ask=answer)
    assert again.outcome == "not done" and "still unclear" in again.reason and len(asked) == 2


async def test_a_yes_is_bound_to_what_was_shown() -> None:
    """It shows target, place and values; a value changed while the person thinks is asked about again."""
    run = start({"act:": [pick("Delete all"), pick("Delete all"), pick("OK"), DONE]}, True)
    run.env.typed, run.env.saved = "Ada", ["old"]
    say = run.approve

    async def slow(request: Request) -> bool:
        if not run.requests:
            run.env.typed = "Mallory"  # while the person reads
        return await say(request)

    run.approve = slow  # type: ignore[method-assign]
    result = await run.go("Delete everything")
    first, second = (r.terms for r in run.requests)
    assert first.what == 'click(button("Delete all"))' and first.where == "http://notes/"
    assert first.fields == ('textbox "Name" = "Ada"',) and '"saved: old"' in first.near
    assert second.fields == ('textbox "Name" = "Mallory"',)
    assert [str(a) for a in run.env.done] == ['"Delete all" click(3)', '"OK" click(1)']
    assert "the page changed" in run.server.texts("act:")[1] and result.outcome == "done"


async def test_a_page_that_never_rests_is_asked_about_three_times() -> None:
    """A yes to terms that have passed meanwhile is no step, and so is counted by itself."""
    run = start({"act:": [pick("Delete all")]}, True)
    say = run.approve

    async def slow(request: Request) -> bool:
        run.env.typed += "x"  # as a countdown does
        return await say(request)

    run.approve = slow  # type: ignore[method-assign]
    result = await run.go("Delete everything", max_steps=5)
    assert result.outcome == "not done" and "the page changed 3 times" in result.reason
    assert len(run.requests) == 3 and not run.env.done


async def test_a_yes_is_good_once() -> None:
    """The same button again is asked again, and the terms that got a no are in the result."""
    run = start({"act:": [pick("Delete all"), pick("OK"), pick("Delete all")]}, True)
    say = run.approve

    async def once(request: Request) -> bool:
        run.yes = not run.requests
        return await say(request)

    run.approve = once  # type: ignore[method-assign]
    result = await run.go("Delete everything")
    assert result.outcome == "refused" and len(run.requests) == 2
    assert result.terms is not None and result.terms.what == 'click(button("Delete all"))'


async def test_a_yes_ends_with_the_next_act_done_or_not() -> None:
    """An act that is refused stands between: the dialog is asked about."""
    away = 'goto("http://evil.example/")'
    run = start({"act:": [pick("Delete all"), away, pick("OK"), DONE]}, True)
    await run.go("Delete everything")
    assert [r.action.args for r in run.requests] == [(3,), (1,)]


async def test_a_goal_that_a_rail_forbids_is_not_worked_on(tmp_path: Path) -> None:
    """No model is asked and nothing done. A plan is judged by the rails before the reviewer sees it."""
    (tmp_path / "config.yml").write_text(
        "models: []\nrails:\n  input: {flows: [g]}\n  output: {flows: [a]}\n"
    )
    (tmp_path / "rails.co").write_text(
        'define flow g\n  if "Mallory" in $goal\n    bot forbid\n    stop\n\n'
        'define flow a\n  if "Save" in $what\n    bot forbid\n    stop\n\ndefine bot forbid\n  "not here"\n'
    )
    run = start({"plan:": ['fill(textbox("Name"), "Ada")\nclick(button("Save"))', "act(goal)"]})
    result = await run.go("Write to Mallory", rules=Rules(rails=tmp_path))
    assert (result.outcome, result.reason.split(":")[0]) == ("refused", "the policy refuses the goal")
    assert "not here" in result.reason and not run.server.asked and not run.env.done
    run = start(run.server.script)
    result = await run.go("Save a note", rules=Rules(rails=tmp_path))
    assert result.outcome == "done" and not run.env.done
    assert (
        'the rail "a" says: not here' in run.server.texts("plan:")[1]
        and len(run.server.texts("check plan:")) == 1
    )


async def test_a_last_word_that_a_rail_forbids_ends_nothing(tmp_path: Path) -> None:
    """The actor is told and finds another; a task does not end as done by what was never said."""
    (tmp_path / "config.yml").write_text("models: []\nrails:\n  output: {flows: [a]}\n")
    (tmp_path / "rails.co").write_text(
        'define flow a\n  if "4711" in $what\n    bot forbid\n    stop\n\ndefine bot forbid\n  "not aloud"\n'
    )
    for plan in ("act(goal)", 'act("find the code")'):
        run = start({"plan:": [plan], "act:": ['send_msg_to_user("it is 4711")', DONE]})
        result = await run.go("Find the code", rules=Rules(rails=tmp_path))
        assert result.outcome == "done" and does(result) == [f"actor: {DONE}"]
        assert "error: not allowed: the rail" in run.server.texts("act:")[1]


async def test_a_part_that_cannot_be_done_ends_the_program() -> None:
    """What follows it is not done on a page that it was not written for; nor is it said to be done."""
    run = start({"plan:": ['act("open the safe")\nclick(button("Save"))'], "act:": [pick("Safe")]})
    result = await run.go("Save it in the safe")
    assert (result.outcome, result.reason) == ("not done", "the actor says it can't be done: no Safe here")
    assert not run.env.done


def tree(root: Span) -> list[str]:
    """Kind and name of each span, indented by its depth."""
    below = [f" {line}" for inner in root.inner for line in tree(inner)]
    return [f"{root.kind} {root.name}", *below]


async def test_what_a_task_was_made_of() -> None:
    """Each turn holds its model's calls, each action what policy and person said; in order, with times,
    through AutoGen. A role's cost is that of its calls."""
    run = start({"act:": [pick("Delete all"), "click(99)", pick("OK"), DONE]}, yes=True)
    with span("task", "whole") as root:
        result = await run.go("Delete everything")
    assert tree(root) == [
        "task whole",
        " team Delete everything",
        "  turn coder",
        "   model coder",
        "  turn reviewer",
        "   model reviewer",
        "  turn actor",
        "   model actor",
        '   action "Delete all" click(3)',
        '    policy "Delete all" click(3)',
        "    person approve",
        "   model actor",
        "   model actor",
        '   action "OK" click(1)',
        '    policy "OK" click(1)',
        "   model actor",
        f"   action {DONE}",
        f"    policy {DONE}",
        "  turn reviewer",
        "   model reviewer",
    ]
    cost = spent(root)
    assert {role: c.calls for role, c in cost.items()} == {"coder": 1, "reviewer": 2, "actor": 4}
    assert sum(c.prompt_tokens for c in cost.values()) == result.prompt_tokens
    assert sum(c.completion_tokens for c in cost.values()) == result.completion_tokens
    assert 0 < sum(c.seconds for c in cost.values()) < result.seconds
    model = root.inner[0].inner[0].inner[0]
    assert model.given["messages"][-1]["content"].endswith("plan:") and model.came["texts"] == ["act(goal)"]
    assert "(a picture)" in model.given["messages"][-1]["content"] and root.began < model.began < root.ended


async def test_a_place_to_work_that_says_nothing_ends_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step without an answer is waited for with a bound, and the job then says so."""
    monkeypatch.setattr("agents.job.SILENCE", 0.2)
    run = start({"act:": [pick("Save")]})

    async def silent(action: Action) -> Observation:
        await asyncio.Event().wait()
        raise AssertionError

    run.env.step = silent  # type: ignore[method-assign]
    result = await run.go("Save a note for Ada")
    assert (result.outcome, result.reason) == ("not done", "no answer from the page in 0.2 s; start again")
