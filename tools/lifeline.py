"""Dying with the process that started us, so that a killed command leaves nothing at work behind it.

Not covered: other systems than Linux, where nothing happens.
"""

from __future__ import annotations

import ctypes
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)


def die_with_parent() -> None:
    """From now on this process is killed when its parent is gone, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
