"""What was sent cannot be kept just now: 507 where the disk is full, which somebody has to mend, else 503."""

import sqlite3
from typing import Final

from serving.problems import ProblemError

SOON_SECONDS: Final = 1
FULL_DISK_SECONDS: Final = 30
"""When to send again what a full disk refused: nobody frees it within a second."""
_PRIMARY: Final = 0xFF
"""The part of SQLite's extended codes that says what kind of error it is."""


def unwritable(what: str, error: sqlite3.Error, again: str) -> ProblemError:
    """The problem for a database, called ``what``, that did not take something; ``again`` names that something."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)  # errors of the module itself have none
    if code & _PRIMARY == sqlite3.SQLITE_FULL:
        detail = f"{what} cannot be written, because the server's disk is full: send {again} again once it has room"
        return ProblemError(507, detail, headers={"retry-after": str(FULL_DISK_SECONDS)})
    detail = f"{what} cannot be written just now ({error}): send {again} again"
    return ProblemError(503, detail, headers={"retry-after": str(SOON_SECONDS)})
