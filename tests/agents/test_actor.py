"""The actor's own judgement around the model's answer."""

from __future__ import annotations

from dataclasses import replace

from agents.actor import ModelPolicy
from agents.clients import Endpoint
from tools.actions import Action, parse
from tools.grammar import action_regex
from tools.observation import Box, Element, Observation

BOX = Box(0, 0, 10, 10)
PAGE = Observation(
    url="http://a/",
    title="A",
    viewport=(100, 100),
    elements=(Element(1, "button", "Save", BOX), Element(2, "button", "Next", BOX)),
)


def test_what_was_done_in_vain_is_left_out_until_the_page_changes() -> None:
    """Clicks that change nothing are remembered, each goal's apart, and forgotten once the page reads
    otherwise; the grammar then has no call on those elements."""
    policy = ModelPolicy(Endpoint("http://127.0.0.1:9/v1", "none"))
    save, after = parse("click(1)"), parse("click(2)")
    done: tuple[Action, ...] = ()
    assert policy._in_vain("goal", PAGE, done) == frozenset()
    assert policy._in_vain("goal", PAGE, (save,)) == {1}
    assert policy._in_vain("another", PAGE, (save,)) == frozenset()
    assert policy._in_vain("goal", PAGE, (save, after)) == {1, 2}
    changed = replace(PAGE, title="B")
    assert policy._in_vain("goal", changed, (save, after, save)) == frozenset()
    assert policy._in_vain("goal", changed, (save,)) == frozenset()  # another episode with the same goal
    regex = action_regex(PAGE, ["goal"], {1})
    assert '"Next"' in regex and '"Save" ' not in regex
