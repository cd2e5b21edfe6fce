"""Episodes as ATIF: valid by our check and by the `atif` package's models, and lossless there and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.policies import Decision
from tools.actions import Action, Named
from tools.observation import Box, Element, Observation
from trajectories.episode import Episode, EpisodeError, Step, from_atif, images, to_atif, validate_atif
from trajectories.tasks import Outcome


def an_episode() -> Episode:
    """One step of each awkward kind: named target, list, float, no argument, invalid, empty error."""
    box = Box(1.5, 2, 30, 4.25)
    one = Observation(
        url="http://127.0.0.1:1/a?b=c",
        title='Ti"tle\n é 漢',
        viewport=(320, 200),
        elements=(
            Element(1, "button", "Save", box),
            Element(None, "text", "", box),
            Element(2, "combobox", "P", box, "low", ("expanded", "focused"), ("low", "high")),
            Element(3, "textbox", "Q", box, ""),
        ),
        screenshot=b"\x89PNG one",
        focused=2,
        tabs=("a", "b"),
        tab=1,
        hidden=4,
    )
    two = Observation(url="about:blank", title="", viewport=(1, 1), error="", restarted=True)
    three = Observation(url="x", title="y", viewport=(9, 9), screenshot=b"\x89PNG one", error="gone")
    steps = (
        Step(
            one,
            Decision(Action("click", (Named("button", "Save", 1),), "Save"), "said", True, 7, 3),
            "m",
            0.1,
        ),
        Step(two, Decision(Action("select_option", (2, ("low", "high")))), "random", 0.0),
        Step(three, Decision(Action("noop"), "gibberish \ud800", valid=False), "m", 1.25),
        Step(one, Decision(Action("mouse_click", (500, 2.5)), confidence=0.5), "m", 2.0),
        Step(one, Decision(Action("send_msg_to_user", ("done",))), "m", 2.0),
    )
    return Episode(
        id="e1",
        task="suite/family/7",
        goal='Set "P" to "low".',
        steps=steps,
        final=three,
        outcome=Outcome(True, 0.5, True),
        ended="done",
        policy="m",
        model="nano",
        started="2026-11-23T00:00:00+00:00",
        extra={"perturb": 1, "nested": {"a": [1, None]}},
    )


def written(episode: Episode, folder: Path) -> dict[str, object]:
    for name, png in images(episode).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(png)
    document: dict[str, object] = json.loads(json.dumps(to_atif(episode)))
    return document


def test_round_trip_is_lossless(tmp_path: Path) -> None:
    """Everything comes back equal, labels and screenshots too, through real JSON and real files."""
    episode = an_episode()
    back = from_atif(written(episode, tmp_path), tmp_path)
    assert back == episode
    assert [a.label for a in back.actions] == [a.label for a in episode.actions]
    assert len(images(episode)) == 1  # equal screenshots are one file
    assert (back.suite, back.family, back.seed, back.message) == ("suite", "family", 7, "done")


def test_written_documents_are_valid_atif(tmp_path: Path) -> None:
    """Our check accepts what we write, with steps and without, and so do the published models."""
    episode = an_episode()
    bare = Episode("e", "s/f/0", "g", (), episode.final, Outcome(False), "error", "p", "", episode.started)
    for each in (episode, bare):
        document = written(each, tmp_path)
        validate_atif(document)
        assert from_atif(document, tmp_path) == each


def test_published_models_accept_it(tmp_path: Path) -> None:
    """The `atif` package (Pydantic models of the RFC) accepts the same document."""
    import atif

    atif.Trajectory.model_validate(written(an_episode(), tmp_path))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda d: d.pop("agent"), "lacks agent"),
        (lambda d: d.update(ours=1), "does not know: ours"),
        (lambda d: d.update(schema_version="ATIF-v9"), "schema_version"),
        (lambda d: d["steps"][3].update(step_id=9), "step_id"),
        (lambda d: d["steps"][0].update(tool_calls=[]), "only an agent"),
        (lambda d: d["steps"][0].update(timestamp="noon"), "ISO 8601"),
        (lambda d: d["steps"][2]["observation"]["results"][0].update(source_call_id="no"), "no call"),
        (lambda d: d["steps"][1]["observation"]["results"][0]["content"].append({"type": "image"}), "part"),
        (lambda d: d["extra"].update(ended="lunch"), "ended"),
    ],
)
def test_faults_are_named(spoil: object, says: str, tmp_path: Path) -> None:
    """Each rule of the format, broken once, is found and named."""
    document = written(an_episode(), tmp_path)
    spoil(document)  # type: ignore[operator]
    with pytest.raises(EpisodeError, match=says):
        validate_atif(document)


def test_strange_document_is_refused(tmp_path: Path) -> None:
    """Valid ATIF of somebody else's is an EpisodeError, not a KeyError."""
    agent = {"name": "a", "version": "1"}
    other = {"schema_version": "ATIF-v1.7", "agent": agent, "steps": []}
    with pytest.raises(EpisodeError, match="not an episode"):
        from_atif(other, tmp_path)
