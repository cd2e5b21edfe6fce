"""Debian's Prometheus against the live server: every query of every panel and rule answers, with figures.

Without Prometheus (Debian's package `prometheus`, which `.ci/run` installs) what needs it is skipped.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from apps import drift, evaluate
from apps.serving.gate import Gate
from apps.serving.limits import Limits
from apps.watched import Watched
from eval.runner import summarise
from tools.actions import Action
from tools.observation import Observation
from tools.settings import home
from training import experiment
from trajectories.episode import Decision, Episode, Step
from trajectories.store import Store
from trajectories.tasks import Outcome

from .running import desk_of, running

DEPLOY = Path(__file__).resolve().parent.parent.parent / "deploy"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
RULES = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
WANTED = {"server", "line", "agents"}

prometheus = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")),
    reason="Prometheus is not installed; on Debian: apt-get install --no-install-recommends prometheus",
)


def boards() -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in DASHBOARDS}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def episode(number: int, success: bool) -> Episode:
    look = Observation("http://x/", "X", (10, 10))
    step = Step(look, Decision(Action("noop")), "m", 0.1)
    ended = "done" if success else "budget"
    at = f"2026-11-28T10:{number:02}:00"
    return Episode(
        f"chat-{number}", "chat/x/0", "Do it", (step,), look, Outcome(success), ended, "team", "m", at
    )


def leave_traces() -> None:
    """What commands leave in the state folder: an evaluation, tasks, a look for drift, a trial."""
    done = [episode(i, i % 3 > 0) for i in range(12)]
    store = Store(home() / "episodes")
    for one in done:
        store.add(one)
    tasks = [replace(one, task=f"helpdesk/open-ticket/{i}") for i, one in enumerate(done)]
    evaluate.log(
        summarise(tasks, ["open-ticket"], suite="helpdesk", policy="model", model="m", seed=0, without="")
    )
    from eval.drift import Reference

    reference = Reference.of([episode(i, True) for i in range(12)])
    drift.keep(reference, store.path, drift.look(reference, store, steps=6, windows=1))
    trial = experiment.begin("released", "2", 0.5)
    for i in range(8):
        trial.record(f"s{i}", f"t{i}", "checker", i % 2 == 0)


@pytest.fixture
def server(tiny_model: Path) -> Iterator[str]:
    """host:port of a running `shopfloor serve`, on this test's state folder."""
    command = [
        sys.executable,
        "-m",
        "apps.main",
        "serve",
        "--model",
        str(tiny_model),
        "--port",
        "0",
        "--json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield urlsplit(json.loads(process.stdout.readline())["url"]).netloc
        finally:
            process.terminate()


@pytest.fixture
def asked(server: str, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of a Prometheus that scrapes the server by the configuration we deploy, but each second."""
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["scrape_configs"][0]["static_configs"] = [{"targets": [server]}]
    config["rule_files"] = [str(DEPLOY / "prometheus" / "alerts.yml")]
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={file}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", trust_env=False, timeout=30) as client:
            yield client
    finally:
        process.terminate()
        process.wait(30)


def until(client: httpx.Client, query: str, patience: float = 90) -> list[Any]:
    """What a query answers, once it does."""
    since = time.monotonic()
    found: list[Any] = []
    while not found and time.monotonic() - since < patience:
        try:
            answer = client.get("/query", params={"query": query}).json()
            assert answer["status"] == "success", f"{query}: {answer['error']}"
            found = answer["data"]["result"]
        except httpx.TransportError:  # it is still starting
            pass
        if not found:
            time.sleep(0.5)
    return found


@prometheus
@pytest.mark.timeout(300)
def test_every_query_answers(server: str, asked: httpx.Client) -> None:
    """Each panel's with at least one figure; each rule's is answered, and each metric it names is there."""
    leave_traces()
    with httpx.Client(base_url=f"http://{server}", trust_env=False, timeout=60) as client:
        named = client.get("/v1/models").json()["data"][0]["id"]
        for _ in range(3):
            message = {"role": "user", "content": "act:"}
            body = {"model": named, "messages": [message], "max_tokens": 4}
            assert client.post("/v1/chat/completions", json=body).status_code == 200
            assert until(asked, "shopfloor_requests_total")
            assert until(asked, 'rate(shopfloor_requests_total{status="200"}[15s])')
        told = client.get("/metrics").text
    # The server's own figures come with its queue.
    ours = WANTED if "shopfloor_queue_limit" in told else WANTED - {"server"}
    for name in ours:
        for panel in boards()[name]["panels"]:
            for target in panel["targets"]:
                query = target["expr"].replace("$__rate_interval", "15s")
                assert until(asked, query), f"{name}, {panel['title']}: {query}"
    for group in (group for group in RULES["groups"] if group["name"] in ours):
        for rule in group["rules"]:
            assert asked.get("/query", params={"query": rule["expr"]}).json()["status"] == "success"
            for metric in set(re.findall(r"\b(?:shopfloor_\w+|up)\b", rule["expr"])):
                assert until(asked, metric), f"{rule['alert']}: {metric}"
    rules = asked.get("/rules").json()["data"]["groups"]
    assert {r["name"]: r["health"] for g in rules for r in g["rules"]} == {
        rule["alert"]: "ok" for group in RULES["groups"] for rule in group["rules"]
    }


@prometheus
def test_promtool_agrees(tmp_path: Path) -> None:
    """Configuration and rules are valid, and the rules alert when they should and not otherwise."""
    for what, name in (("config", "prometheus.yml"), ("rules", "alerts.yml")):
        subprocess.run(["promtool", "check", what, str(DEPLOY / "prometheus" / name)], check=True)
    fired = [
        ("Drift", "shopfloor_drift_alarm", "1x3", "0x3"),
        ("ServerDown", 'up{job="shopfloor"}', "0x3", "1x3"),
        ("MetricsUnread", "shopfloor_watched_errors", "1x8", "0x8"),
    ]
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": series, "values": values}],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}) or vector(0)',
                    "eval_time": "7m" if alert == "MetricsUnread" else "2m",
                    "exp_samples": [{"labels": "{}", "value": number}],
                }
            ],
        }
        for alert, series, bad, good in fired
        for values, number in ((bad, 1), (good, 0))
    ]
    file = tmp_path / "test.yml"
    file.write_text(
        yaml.safe_dump({"rule_files": [str(DEPLOY / "prometheus" / "alerts.yml")], "tests": tests})
    )
    said = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr


def test_a_server_with_keys_is_scraped(tiny_model: Path) -> None:
    """In compose the server wants keys; what Prometheus is given there gets it the figures. For the rest its
    configuration is the one that others use."""
    compose = yaml.safe_load((DEPLOY / "docker" / "compose.yaml").read_text())
    key = "a-key-of-compose-0123"
    content = compose["configs"]["prometheus"]["content"]
    config = yaml.safe_load(content.replace("${METRICS_KEY:-${SHOPFLOOR_SERVE_KEYS}}", key))
    usual = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    (job,), (usual_job,) = config["scrape_configs"], usual["scrape_configs"]
    assert job["job_name"] == usual_job["job_name"] and config["global"] == usual["global"]
    assert [Path(name).name for name in config["rule_files"]] == usual["rule_files"]
    (target,) = job["static_configs"][0]["targets"]
    assert target.split(":")[0] in compose["services"]
    with running(desk_of(tiny_model, "tiny", Limits(), Gate([key]))) as url:
        address = url.replace("/v1", "/metrics")
        sent = {"Authorization": f"Bearer {job['authorization']['credentials']}"}
        assert httpx.get(address, trust_env=False).status_code == 401
        assert httpx.get(address, trust_env=False, headers=sent).status_code == 200


def test_dashboards_are_whole() -> None:
    """One for the server, the line and the agents; each panel has a query, a place of its own, and the
    data source that is provisioned; each rule says what is wrong and what to do."""
    assert boards().keys() == WANTED == {group["name"] for group in RULES["groups"]}
    provisioned = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())
    (source,) = provisioned["datasources"]
    for name, board in boards().items():
        assert board["uid"] == f"shopfloor-{name}"
        taken: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            at = panel["gridPos"]
            cells = {
                (x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
            }
            assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
            taken |= cells
            for target in panel["targets"]:
                assert target["datasource"]["uid"] == source["uid"] and target["expr"]
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids)
    for group in RULES["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"].keys() == {"summary", "mend"} and rule["labels"]["severity"]


def test_nothing_there_yet_is_no_error() -> None:
    """A new state folder gives noughts, and asking makes no file in it."""
    registry = CollectorRegistry()
    registry.register(Watched())
    told = generate_latest(registry).decode()
    assert "shopfloor_watched_errors 0.0" in told and "shopfloor_drift_alarm 0.0" in told
    assert "shopfloor_line_champion_version 0.0" in told
    assert not list(home().iterdir())


def test_a_part_that_cant_be_read_costs_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """A broken file is counted, and the other figures are still there."""
    (home() / "ab.db").write_text("no database, but long enough to be read as one" * 20)
    registry = CollectorRegistry()
    registry.register(Watched())
    told = generate_latest(registry).decode()
    assert "shopfloor_watched_errors 1.0" in told and "shopfloor_drift_alarm 0.0" in told
