"""Dying with the process that started us, so that a killed command leaves nothing at work behind it.

Not covered: other systems than Linux, where nothing happens.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)


def die_with_parent(parent: int | None = None) -> None:
    """From now on this process is killed when its parent is gone, however that ends; at once if `parent`, its
    process id, is told and is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if parent not in (None, os.getppid()):
            os.kill(os.getpid(), signal.SIGKILL)
