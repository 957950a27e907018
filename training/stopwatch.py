"""Where a training's time and memory go."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from freshet.memory import forget_peak, peak_bytes

logger = logging.getLogger(__name__)


@dataclass
class Stopwatch:
    """Where the time and the memory go, by the name of the step."""

    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    """Of all threads; unlike ``seconds``, they do not grow when others keep the machine busy."""
    peak_bytes: dict[str, int] = field(default_factory=dict)
    """The most that the process held at once during the step, what lay there before it included."""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one step and say so."""
        forget_peak()
        started, used = time.perf_counter(), time.process_time()
        yield
        took, cpu = time.perf_counter() - started, time.process_time() - used
        self.seconds[name] = self.seconds.get(name, 0.0) + took
        self.cpu_seconds[name] = self.cpu_seconds.get(name, 0.0) + cpu
        self.peak_bytes[name] = max(self.peak_bytes.get(name, 0), peak_bytes())
        logger.info("%s took %.1f s, %.1f s of CPU", name, took, cpu)
