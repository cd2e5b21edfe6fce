"""The server as others start it (`deploy/`): the same answers to the same recorded requests everywhere."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

ROOT = Path(__file__).parents[2]
COUNT = 20
KEY = "a-key-of-the-tests-0123456789"
PAGE = "/v1/chat/completions"
Ask = Callable[[dict[str, Any]], httpx.Response]


@pytest.fixture(scope="module")
def asked(chromium_path: str) -> list[dict[str, Any]]:
    """Twenty of the actor's requests, from episodes that the oracle plays now; each held to its grammar."""
    import asyncio

    from agents import prompts
    from tools.grammar import action_regex
    from trajectories.rollout import oracle_policy, roll_out
    from trajectories.suites import open_suite, open_workplace

    async def play() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        async with open_workplace("helpdesk") as place, open_suite("helpdesk") as suite:
            env = place.environment()
            for seed in range(COUNT):
                task = suite.task(suite.families[seed % len(suite.families)], seed)
                episode = await roll_out(task, oracle_policy(task), env)
                for at, step in enumerate(episode.steps[:4]):
                    look = step.observation
                    text = prompts.actor_text(episode.goal, look, tuple(episode.actions[:at]))
                    said = prompts.messages("actor", text, look.screenshot, brief=True)
                    held = {"regex": action_regex(look, sources=[episode.goal])}
                    found.append({"messages": said, "max_tokens": 30, "structured_outputs": held})
                if len(found) >= COUNT:
                    break
            await env.close()
        return found[:COUNT]

    return asyncio.run(play())


@contextmanager
def started(
    command: list[str], ready: str, status: int = 200, seconds: float = 400, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A server while the block runs, once `ready` answers with `status`; it and its children are gone
    afterwards."""
    inherited = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    env = inherited | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment
    with subprocess.Popen(command, cwd=ROOT, env=env, start_new_session=True) as process:
        try:
            until = time.monotonic() + seconds
            while True:
                assert process.poll() is None and time.monotonic() < until, f"{command} does not start"
                try:
                    if httpx.get(ready, trust_env=False, timeout=10).status_code == status:
                        break
                except httpx.HTTPError:
                    pass
                time.sleep(0.5)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(60)
            finally:
                for pid in [p.pid for p in psutil.process_iter() if _session(p.pid) == process.pid]:
                    os.kill(pid, signal.SIGKILL)


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def free() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def asking(url: str, key: str | None = None) -> Ask:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return lambda body: httpx.post(url, json=body, headers=headers, trust_env=False, timeout=120)


def ours(model: Path) -> list[str]:
    return [sys.executable, "-m", "apps.main", "serve", "--model", str(model)]


@pytest.fixture(scope="module")
def expected(asked: list[dict[str, Any]], tiny_model: Path) -> list[dict[str, Any]]:
    """What `shopfloor serve` answers."""
    port = free()
    with started([*ours(tiny_model), "--port", str(port)], f"http://127.0.0.1:{port}/health"):
        found = [asking(f"http://127.0.0.1:{port}{PAGE}")(body).json() for body in asked]
    said = [answer["choices"][0]["message"]["content"] for answer in found]
    assert len(said) == COUNT and len(set(said)) > COUNT / 2  # they are not all one answer
    return found


def same(ask: Ask, asked: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Text, end, tokens and weights are equal, and the confidence as far as floats are."""
    for body, other in zip(asked, expected, strict=True):
        response = ask(body)
        assert response.status_code == 200, response.text
        answer = response.json()
        for name in ("system_fingerprint", "usage", "model"):
            assert answer[name] == other[name]
        one, two = answer["choices"][0], other["choices"][0]
        assert one["message"] == two["message"] and one["finish_reason"] == two["finish_reason"]
        assert one["confidence"] == pytest.approx(two["confidence"], abs=1e-4)
    wrong = ask({**asked[0], "structured_outputs": {"regex": "(?=a)"}})
    assert wrong.status_code == 400 and "held to" in wrong.text
    assert ask({**asked[0], "model": "another"}).status_code == 404


def ready_for(script: str) -> None:
    """Its environment, made at the first time; without it the test fails, with what the script says."""
    subprocess.run(["bash", f"deploy/{script}/setup.sh"], cwd=ROOT, check=True, timeout=2400)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ray_serve(
    asked: list[dict[str, Any]],
    expected: list[dict[str, Any]],
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two replicas answer alike; one is killed under load, no request of OpenAI's client fails, and another
    is started."""
    import openai

    from trajectories.keeper import running

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("SHOPFLOOR_MODEL", str(tiny_model))

    def replicas() -> set[int]:
        found = set()
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("SHOPFLOOR_MODEL") == str(tiny_model)
                if ours and "ServeReplica" in " ".join(process.cmdline()):
                    found.add(process.pid)
            except psutil.Error:
                continue
        return found

    port, answered, failed = free(), [0], []
    stop = threading.Event()

    def load(number: int) -> None:
        with openai.OpenAI(
            base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=5, timeout=120
        ) as client:
            while not stop.is_set():
                answered[0] += 1
                question = f"{number} {answered[0]}"  # a new one, which no replica has kept
                try:
                    client.chat.completions.create(
                        model=expected[0]["model"],
                        messages=[{"role": "user", "content": question}],
                        extra_body={"guided_regex": "[a-z]{200}"},
                        max_tokens=220,
                    )
                except openai.OpenAIError as error:
                    failed.append(error)

    with running("auto") as address:
        import ray  # here: it reads the token that the keeper has set
        from ray import serve

        from deploy.ray.serving import shopfloor

        ray.init(address=address, log_to_driver=False)
        try:
            serve.start(http_options={"host": "127.0.0.1", "port": port})
            serve.run(shopfloor)
            same(asking(f"http://127.0.0.1:{port}{PAGE}"), asked, expected)
            before = replicas()
            assert len(before) == 2
            threads = [threading.Thread(target=load, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            while answered[0] < 12:
                time.sleep(0.1)
            killed = min(before)
            os.kill(killed, signal.SIGKILL)
            at = answered[0]
            until = time.monotonic() + 300
            while len(replicas() - {killed}) < 2 or answered[0] < at + 12:
                assert time.monotonic() < until
                time.sleep(0.2)
            stop.set()
            for thread in threads:
                thread.join()
            assert not failed
            same(asking(f"http://127.0.0.1:{port}{PAGE}"), asked, expected)
        finally:
            stop.set()
            serve.shutdown()
            ray.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_bentoml(
    asked: list[dict[str, Any]], expected: list[dict[str, Any]], tiny_model: Path, tmp_path: Path
) -> None:
    """`setup.sh serve` answers as `shopfloor serve` does, behind the same key, beside BentoML's own pages."""
    ready_for("bentoml")
    port = free()
    root = f"http://127.0.0.1:{port}"
    with started(
        ["bash", "deploy/bentoml/setup.sh", "serve"],
        f"{root}/readyz",
        PORT=str(port),
        SHOPFLOOR_MODEL=str(tiny_model),
        SHOPFLOOR_SERVE_KEYS=KEY,
        BENTOML_HOME=str(tmp_path),
    ):
        same(asking(root + PAGE, KEY), asked, expected)
        assert asking(root + PAGE)(asked[0]).status_code == 401


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_torchserve(
    asked: list[dict[str, Any]], expected: list[dict[str, Any]], tiny_model: Path, tmp_path: Path
) -> None:
    """The archive of a model, served with TorchServe's own token, answers and refuses alike."""
    script = ["bash", "deploy/torchserve/setup.sh"]
    environment = {"SHOPFLOOR_HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    subprocess.run(
        [*script, "archive", str(tiny_model)], cwd=ROOT, env=os.environ | environment, check=True, timeout=600
    )
    names = ("INFERENCE", "MANAGEMENT", "METRICS")
    addresses = {f"TS_{name}_ADDRESS": f"http://127.0.0.1:{free()}" for name in names}
    ports = {f"TS_GRPC_{name}_PORT": str(free()) for name in names[:2]}
    root = addresses["TS_INFERENCE_ADDRESS"]
    # Without a token it answers nothing, not even whether it is well.
    with started([*script, "serve"], f"{root}/ping", 400, **environment, **addresses, **ports):
        tokens = json.loads((tmp_path / "torchserve" / "key_file.json").read_text())
        ask = asking(f"{root}/predictions/shopfloor", tokens["inference"]["key"])
        until = time.monotonic() + 400
        while ask(asked[0]).status_code != 200:  # its worker has yet to load the model
            assert time.monotonic() < until
            time.sleep(1)
        same(ask, asked, expected)
        assert ask({**asked[0], "stream": True}).status_code == 400


def manifest() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ROOT / "deploy/kserve/shopfloor.yaml").read_text())
    return read


def test_kserve_manifest() -> None:
    """It holds to KServe's published schema (deploy/kserve/schema.py), which refuses what is misspelt; and
    its command is the image's own."""
    import jsonschema

    schema = json.loads(Path(__file__).with_name("kserve.schema.json").read_text())
    check = jsonschema.Draft7Validator(schema)
    assert [error.message for error in check.iter_errors(manifest())] == []
    for wrong in ("minReplica", "container"):
        bad = manifest()
        bad["spec"]["predictor"][wrong] = 1
        assert wrong in next(check.iter_errors(bad)).message
    nameless = manifest()
    del nameless["spec"]["predictor"]["containers"][0]["name"]
    assert "'name' is a required property" in next(check.iter_errors(nameless)).message
    file = (ROOT / "deploy/docker/Dockerfile").read_text()
    commands = [json.loads(found) for found in re.findall(r"^CMD (\[.+\])$", file, re.M)]
    container = manifest()["spec"]["predictor"]["containers"][0]
    assert container["command"] in commands
    port = str(container["ports"][0]["containerPort"])
    assert port in container["command"] and container["readinessProbe"]["httpGet"]["port"] == int(port)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_kserve_command(
    asked: list[dict[str, Any]], expected: list[dict[str, Any]], tiny_model: Path, tmp_path: Path
) -> None:
    """The manifest's command, with its variables, comes to answer its probe and then the requests."""
    container = manifest()["spec"]["predictor"]["containers"][0]
    port, probe = free(), container["readinessProbe"]["httpGet"]
    shopfloor = Path(sys.executable).with_name("shopfloor")
    command = [
        {"shopfloor": str(shopfloor), str(probe["port"]): str(port)}.get(word, word)
        for word in container["command"]
    ]
    keys = {variable["name"]: KEY for variable in container["env"]}
    root = f"http://127.0.0.1:{port}"
    with started(
        command,
        root + probe["path"],
        SHOPFLOOR_MODEL=str(tiny_model),
        SHOPFLOOR_HOME=str(tmp_path),
        **keys,
    ):
        same(asking(root + PAGE, KEY), asked, expected)
        assert asking(root + PAGE)(asked[0]).status_code == 401
