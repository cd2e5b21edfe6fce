"""What a decision may cost: a real endpoint that follows a script, looks made by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle

import pytest

from agents.actor import ModelPolicy
from agents.clients import Endpoint
from agents.effort import EFFORTS, Deliberate
from agents.reviewer import Reviewer
from agents.scripted import Answer, ScriptedServer, pick
from tools import settings
from tools.actions import parse
from tools.observation import Box, Element, Observation

BOX = Box(0, 0, 10, 10)
PAGE = Observation(
    url="http://127.0.0.1/",
    title="Form",
    viewport=(100, 100),
    elements=(Element(1, "button", "Next", BOX), Element(2, "button", "Save", BOX)),
    screenshot=b"a picture",
)
NEXT, SAVE = parse("click(1)"), parse("click(2)")


async def decided(
    answers: list[Answer],
    looks: list[Observation],
    effort: str = "medium",
    verdicts: list[Answer] | None = None,
) -> tuple[list[str], list[int]]:
    """What is done, one decision a look, and how many answers each request asked for."""
    with ScriptedServer({"act:": answers, "check result:": verdicts or ["done"]}) as server:
        endpoint = Endpoint(server.url, "scripted", brief=True)
        model, reviewer = ModelPolicy(endpoint), Reviewer(endpoint)
        policy, history = Deliberate(model, EFFORTS[effort], reviewer), []
        for look in looks:
            history.append((await policy.decide("Save it.", look, history)).action)
        await model.close()
        await reviewer.close()
        return [f"{a.name}({a.args[0]})" for a in history], [body.get("n", 1) for body in server.asked]


async def test_another_action_where_the_same_was_in_vain() -> None:
    """The second time on one page, other answers are drawn, and one that is new there is taken; what went
    wrong on the way is no other page, another picture is."""
    answers = [pick("Next"), pick("Next"), pick("Save")]
    assert await decided(answers, [PAGE, replace(PAGE, error="it did nothing")]) == (
        ["click(1)", "click(2)"],
        [1, 1, EFFORTS["medium"].samples],
    )
    assert await decided([pick("Next")], [PAGE, replace(PAGE, screenshot=b"another")]) == (
        ["click(1)", "click(1)"],
        [1, 1],
    )


async def test_what_led_back_is_to_blame_before_what_led_on() -> None:
    """Save, Cancel where it asks, and again: this time it is not Cancel. What led on may be done twice."""
    sure = replace(
        PAGE,
        title="Sure?",
        elements=(Element(1, "button", "OK", BOX), Element(2, "button", "Cancel", BOX)),
    )
    answers = [pick("Save"), pick("Cancel"), pick("Save"), pick("Cancel"), pick("OK")]
    done, asked = await decided(answers, [PAGE, sure, PAGE, sure])
    assert done == ["click(2)", "click(2)", "click(2)", "click(1)"] and asked == [1, 1, 1, 1, 8]
    pages = [replace(PAGE, title="Another"), replace(PAGE, title="A third")]
    turns = [PAGE, pages[0], PAGE, pages[1], PAGE]
    answers = [pick("Save"), pick("Next"), pick("Save"), pick("Next"), pick("Save"), pick("Next")]
    assert (await decided(answers, turns))[0][-1] == "click(1)"


async def test_what_nothing_else_can_be_said_to_stays() -> None:
    """A model that knows but one answer gives it, and waiting again is no repetition."""
    assert (await decided([pick("Next")], [PAGE, PAGE]))[0] == ["click(1)", "click(1)"]
    assert await decided(["noop(500)"], [PAGE, PAGE]) == (["noop(500)", "noop(500)"], [1, 1])
    answers: list[Answer] = [pick("Next"), pick("Next"), 'send_msg_to_user("done")']
    assert (await decided(answers, [PAGE, PAGE]))[0] == ["click(1)", "click(1)"]  # nor is that done


async def test_effort_decides() -> None:
    """Low does again what it did; medium takes `done` only if the reviewer sees it, high besides what comes
    up most."""
    answers: list[Answer] = [pick("Next"), pick("Next"), pick("Save")]
    assert await decided(answers, [PAGE, PAGE], "low") == (["click(1)", "click(1)"], [1, 1])
    done = 'send_msg_to_user("done")'
    found, asked = await decided(
        [done, pick("Save"), done, done], [PAGE, PAGE], "high", ["not yet: no", "done"]
    )
    assert found == ["click(2)", "send_msg_to_user(done)"]
    assert asked == [1, 8, 1, 1, 8, 1]
    found, asked = await decided([done, pick("Save"), done], [PAGE, PAGE], "medium", ["not yet: no", "done"])
    assert found == ["click(2)", "send_msg_to_user(done)"]
    assert asked == [1, 1, 1, 1, 1]  # done? not yet; what else, then? and done? done
    assert (await decided([done], [PAGE], "low", ["not yet: no"]))[0] == ["send_msg_to_user(done)"]


async def test_only_what_was_decided_here_counts() -> None:
    """What a program did meanwhile was not done on the page seen last. And the dial is the settings' own."""
    with ScriptedServer({"act:": [pick("Next"), pick("Save")]}) as server:
        model = ModelPolicy(Endpoint(server.url, "scripted", brief=True))
        policy = Deliberate(model, EFFORTS["medium"])
        assert (await policy.decide("x", PAGE, [])).action == NEXT
        assert (await policy.decide("x", PAGE, [NEXT, SAVE])).action == SAVE  # not asked again
        await model.close()
        assert len(server.asked) == 2
    assert tuple(EFFORTS) == settings.EFFORTS


@pytest.mark.parametrize("swings", [2, 5])
async def test_a_new_episode_begins_afresh(swings: int) -> None:
    """With a shorter history than before everything may be done again."""
    turn = cycle([pick("Next"), pick("Save")])
    answers: list[Answer] = [next(turn) for _ in range(swings * 2)]
    with ScriptedServer({"act:": answers}) as server:
        model = ModelPolicy(Endpoint(server.url, "scripted", brief=True))
        policy = Deliberate(model, EFFORTS["medium"])
        for _ in range(swings):
            assert (await policy.decide("x", PAGE, [])).action == NEXT
            assert (await policy.decide("x", PAGE, [NEXT])).action == SAVE
        await model.close()
        assert len(server.asked) == swings * 2


async def test_who_can_only_send_again_is_done() -> None:
    """The reviewer sees no comment on the page, and the actor would send it twice; where it would do
    something else, it does."""
    done = 'send_msg_to_user("done")'
    found, _ = await decided([pick("Next"), done, pick("Next")], [PAGE, PAGE], "medium", ["not yet: no"])
    assert found == ["click(1)", "send_msg_to_user(done)"]
    found, _ = await decided([pick("Next"), done, pick("Save")], [PAGE, PAGE], "medium", ["not yet: no"])
    assert found == ["click(1)", "click(2)"]
