"""A Ray for as long as a command runs: one that is there already, or else one of its own on this machine.

    with running("auto") as address:
        ...

Ray is held by another process, the keeper (`python -m trajectories.keeper auto`): it prints where Ray is and
ends when its stdin does, so no Ray of ours outlives the command, however that ends; and the command, which
forks, stays free of Ray's threads.

Not covered: what is done there (`cluster.py`), Ray's client (`ray://`).
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

PROBE = 5.0  # seconds for a cluster's head to answer
OBJECTS = 256 << 20  # bytes of shared memory for a Ray of our own: episodes on their way
PASSES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")  # what a driver shows to Ray


class ClusterError(ValueError):
    """There is no Ray to work on; the message says what to install or start."""


@contextmanager
def running(address: str) -> Iterator[str]:
    """Ray's `HOST:PORT` while the block runs. `auto`: what runs on this machine, or else one for the block.

    What a driver needs besides the address is put into this process's environment. Raises ClusterError.
    """
    if importlib.util.find_spec("ray") is None:
        raise ClusterError("Ray is not installed; run: pip install -c constraints.txt ray")
    keeper = subprocess.Popen(
        [sys.executable, "-m", "trajectories.keeper", address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is the command's
    )
    with keeper:  # closes its stdin, and waits for its end
        assert keeper.stdout is not None
        said: dict[str, Any] = json.loads(keeper.stdout.readline() or '{"error": "it ended at once"}')
        if "error" in said:
            raise ClusterError(
                f"no Ray at {address}: {said['error']}. Start one (ray start --head), join it from here "
                "(ray start --address=HOST:PORT) and give its HOST:PORT, or use --ray auto"
            )
        passes = {name: value for name, value in said["passes"].items() if name not in os.environ}
        os.environ |= passes
        try:
            yield said["address"]
        finally:
            for name in passes:
                del os.environ[name]


def connect(address: str) -> None:
    """Make this process a driver of the Ray at `address` (`HOST:PORT`); Ray's own words stay in its logs.
    Raises ClusterError."""
    import ray

    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray raises plain ones as well
        said = " ".join(str(error).split())[:500]
        raise ClusterError(f"Ray at {address} can't be reached: {said}") from error


def _keep(address: str) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when it is imported
    import ray
    from ray._private.services import canonicalize_bootstrap_address

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    said: dict[str, Any]
    try:
        try:
            found = canonicalize_bootstrap_address(address)
            host, _, port = str(found).rpartition(":")
            socket.create_connection(
                (host.strip("[]"), int(port)), PROBE
            ).close()  # Ray would try for minutes
            ray.init(address=found, **quiet)
        except ConnectionError:
            if address != "auto" or os.environ.get("RAY_ADDRESS"):
                raise
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray writes one in the home
            ray.init(address="local", include_dashboard=False, object_store_memory=OBJECTS, **quiet)
        passes = {name: os.environ[name] for name in PASSES if name in os.environ}
        said = {"address": ray.get_runtime_context().gcs_address, "passes": passes}
    except Exception as error:  # of a node that does not come up Ray says so in a plain one
        said = {"error": " ".join(str(error).split()).rstrip(".") or repr(error)}
    print(json.dumps(said), flush=True)
    sys.stdin.read()
    ray.shutdown()
    for process in psutil.Process().children(recursive=True):  # a node that gave up on itself leaves some
        process.kill()


if __name__ == "__main__":
    _keep(sys.argv[1])
