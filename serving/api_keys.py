"""API keys: who may do what, and how often. A key is shown once; what is kept of it cannot be turned back into it."""

import hashlib
import hmac
import re
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, get_args

from freshet.sqlite import open_database

Scope = Literal["events:write", "recommend:read", "items:write", "admin"]
"""``admin`` may do everything."""
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
DEFAULT_REQUESTS_PER_SECOND: Final = 100.0

_KEY: Final = re.compile(r"freshet_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_COLUMNS: Final = "key_id, name, scopes, requests_per_second, created_at, revoked_at"


@dataclass(frozen=True)
class ApiKey:
    """What is known of a key, besides its secret."""

    key_id: str
    name: str
    scopes: frozenset[Scope]
    requests_per_second: float
    created_at: datetime
    revoked_at: datetime | None

    def allows(self, scope: Scope) -> bool:
        """Whether the key may do this."""
        return scope in self.scopes or "admin" in self.scopes


class SqliteApiKeys:
    """The keys of one home in one SQLite file that only its owner can read; safe to share between threads."""

    def __init__(self, path: Path) -> None:
        """Open the keys at ``path``, creating them when they are missing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._lock, self._connection = threading.Lock(), open_database(path)
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS keys (key_id TEXT PRIMARY KEY, name TEXT NOT NULL, scopes TEXT NOT NULL,"
            " requests_per_second REAL NOT NULL, created_at TEXT NOT NULL, revoked_at TEXT, hash BLOB NOT NULL) STRICT"
        )

    def create(
        self, name: str, scopes: Sequence[Scope], requests_per_second: float = DEFAULT_REQUESTS_PER_SECOND
    ) -> tuple[ApiKey, str]:
        """Make a key, and the text that whoever uses it must send: nobody can show it again."""
        key_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
        key = ApiKey(key_id, name, frozenset(scopes), requests_per_second, datetime.now(UTC), None)
        row = (key_id, name, " ".join(sorted(scopes)), requests_per_second, key.created_at.isoformat(), _hash(secret))
        with self._lock:
            self._connection.execute(
                f"INSERT INTO keys ({_COLUMNS}, hash) VALUES (?, ?, ?, ?, ?, NULL, ?)",  # noqa: S608 (constants)
                row,
            )
        return key, f"freshet_{key_id}_{secret}"

    def list(self) -> "list[ApiKey]":
        """Every key ever made, oldest first, the revoked ones too."""
        with self._lock:
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM keys ORDER BY created_at, key_id"  # noqa: S608 (constants)
            ).fetchall()
        return [_key(row) for row in rows]

    def revoke(self, key_id: str) -> bool:
        """Let a key be refused from now on; false when there is no such key that is not revoked yet."""
        statement = "UPDATE keys SET revoked_at = ? WHERE key_id = ? AND revoked_at IS NULL"
        with self._lock:
            return self._connection.execute(statement, (datetime.now(UTC).isoformat(), key_id)).rowcount == 1

    def find(self, text: str) -> ApiKey | None:
        """The key that this is the text of, unless it was revoked. Takes equally long for every wrong secret."""
        parts = _KEY.fullmatch(text)
        if parts is None:
            return None
        with self._lock:
            row = self._connection.execute(
                f"SELECT {_COLUMNS}, hash FROM keys WHERE key_id = ?",  # noqa: S608 (constants)
                (parts[1],),
            ).fetchone()
        is_right = hmac.compare_digest(_hash(parts[2]), row[-1] if row else b"")
        return _key(row[:-1]) if row and is_right and row[-2] is None else None

    def close(self) -> None:
        """Release the connection."""
        with self._lock:
            self._connection.close()


@contextmanager
def passing_key(path: Path, name: str, scopes: Sequence[Scope]) -> Iterator[str]:
    """A key that is revoked at the end, for a command of our own."""
    with closing(SqliteApiKeys(path)) as keys:
        key, text = keys.create(name, scopes)
        try:
            yield text
        finally:
            keys.revoke(key.key_id)


def _hash(secret: str) -> bytes:
    """Of 256 bits of chance, which nobody can guess: a slow hash would add nothing but time to every request."""
    return hashlib.sha256(secret.encode()).digest()


def _key(row: tuple[str, str, str, float, str, str | None]) -> ApiKey:
    key_id, name, scopes, requests_per_second, created_at, revoked_at = row
    return ApiKey(
        key_id,
        name,
        frozenset(scope for scope in SCOPES if scope in scopes.split()),
        requests_per_second,
        datetime.fromisoformat(created_at),
        None if revoked_at is None else datetime.fromisoformat(revoked_at),
    )
