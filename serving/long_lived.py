"""What a model and a catalogue are made of stays for minutes, and the garbage collector need not look at it.

A collection stops every answer, the longer the more objects there are, and it looks at all of them again whenever a
quarter more have come. So what stays is made while the collector rests, and is then out of its sight; it is
freed by its reference counts. Cycles that are garbage already would stay for ever, so they go first.
"""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_THRESHOLDS: Final = (10_000, 50, 1_000)
"""Objects, and times of the younger generation, after which a generation is looked at; Python's own are 700, 10 and 10.
Answers leave no cycles to be found, and others go at the latest when something long-lived is made."""

_changing = threading.Lock()
_n_makers = 0


def collect_seldom() -> None:
    """For a process that answers."""
    gc.set_threshold(*_THRESHOLDS)


@contextmanager
def made_to_stay() -> Iterator[None]:
    """What any thread makes until the last one leaves is not looked at any more."""
    global _n_makers
    with _changing:
        if not _n_makers:
            gc.collect()
            gc.disable()
        _n_makers += 1
    try:
        yield
    finally:
        with _changing:
            _n_makers -= 1
            if not _n_makers:
                gc.freeze()
                gc.enable()
