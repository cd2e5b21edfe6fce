"""Whether a process is at work, told of real processes."""

from __future__ import annotations

import os
import subprocess
import time

from tools.x11.quiet import at_work, family, spent


def test_work_is_told_from_waiting() -> None:
    """A shell that waits for its child, which counts: at work together; asleep, neither; ended, nothing."""
    with subprocess.Popen(["sh", "-c", "(while :; do :; done) & wait"]) as busy:
        until = time.monotonic() + 20
        while len(pids := [*family([busy.pid])]) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        assert len(pids) == 2
        while not (used := spent(pids)) and time.monotonic() < until:
            time.sleep(0.05)
        assert used > 0 and at_work(pids) and not at_work([busy.pid])
        os.kill(pids[1], 9)
    assert not at_work(pids) and spent(pids) == 0
    with subprocess.Popen(["sleep", "60"]) as asleep:
        while at_work([asleep.pid]) and time.monotonic() < until:
            time.sleep(0.01)
        assert not at_work(family([asleep.pid]))
        asleep.kill()
