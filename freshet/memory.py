"""How much memory this process has needed, at most."""

import contextlib
import resource
import sys
from pathlib import Path

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_RESET_PEAK = "5"
"""What Linux takes, since 4.0, to begin the peak anew."""


def peak_bytes() -> int:
    """The most memory held at once since the process began, or since ``forget_peak`` where that is possible."""
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1_024
    unit = 1 if sys.platform == "darwin" else 1_024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def forget_peak() -> None:
    """Count the peak from here on, so that each step has its own. Elsewhere than on Linux nothing happens."""
    with contextlib.suppress(OSError):  # no such file, or a container that forbids it
        _CLEAR.write_text(_RESET_PEAK)
