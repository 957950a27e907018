"""``freshet nearline``: the nearline worker in a process of its own. Every API of the home leaves the work to it."""

import logging
import signal
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Final

import typer
from rich.console import Console

from commands.refusal import refuse
from commands.serve import log_to_stderr
from freshet.settings import Settings, load_settings

if TYPE_CHECKING:
    from nearline.feast_handle import FeastHandle

REOPEN_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 1.0

logger = logging.getLogger(__name__)


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("nearline")(nearline)


def nearline() -> None:
    """Fold events into online features until Ctrl-C; an API of the home takes over whenever this is not running."""
    settings = load_settings()
    log_to_stderr()
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    Console().print(f"Freshet folds the events of {settings.home} until Ctrl-C", highlight=False, soft_wrap=True)
    _run(settings, stopping)


def _run(settings: Settings, stopping: threading.Event) -> None:
    from ingestion.event_log import SqliteEventLog
    from nearline.feast_handle import FeastHandle
    from nearline.offsets import SqliteOffsets, WorkerLock
    from nearline.tracing import open_traces
    from nearline.user_states import FeastUserStates
    from nearline.worker import NearlineWorker

    store = FeastHandle(settings.home)
    locks = WorkerLock(settings.worker_lock_path), WorkerLock(settings.dedicated_lock_path)
    with (
        closing(SqliteEventLog(settings.log_path)) as log,
        closing(SqliteOffsets(settings.offsets_path)) as offsets,
        closing(open_traces(str(settings.otlp_endpoint) if settings.otlp_endpoint else None)) as traces,
    ):
        _open(store, stopping)  # an API folds meanwhile
        states = FeastUserStates(store.get)
        worker = NearlineWorker(log, states, offsets, locks[0], traces, dedicated=locks[1], is_dedicated=True)
        if not stopping.is_set():
            worker.start()
        while not stopping.wait(LOOK_SECONDS):
            if not worker.status().is_running:
                refuse("the nearline worker has ended: see above; start it again, no event is lost")
        worker.stop()


def _open(store: "FeastHandle", stopping: threading.Event) -> None:
    from nearline.user_states import OnlineStoreError

    while not stopping.is_set():
        try:
            store.open()
        except OnlineStoreError as error:
            logger.warning("the online store cannot be opened yet", extra={"error": str(error)})
            stopping.wait(REOPEN_SECONDS)
        else:
            return
