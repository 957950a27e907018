"""How every SQLite file of a home is opened: readers never wait, writers of all threads and processes take turns."""

import sqlite3
from pathlib import Path

BUSY_SECONDS = 5.0
"""How long a writer waits for another process's transaction, which takes milliseconds, before it gives up."""


def open_database(path: Path, *, survives_power_cut: bool = True) -> sqlite3.Connection:
    """Open the file, creating it and its folder when they are missing; each statement is a transaction of its own.

    With ``survives_power_cut`` the write-ahead log is flushed at every commit; without, a crash of any process loses
    nothing, and a power cut the last moments. Threads that share the connection need a lock of theirs.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {'FULL' if survives_power_cut else 'NORMAL'}")
    return connection
