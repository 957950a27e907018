"""What a user's online row must be by now: the batch's state, and every live event since, folded by the one fold.

The log is read once from where the marts end. Folding a little that the marts already know changes nothing.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import duckdb

from freshet.contract import Event, is_erased
from ingestion.event_log import EventLog
from ingestion.ingest import LIVE, LivePosition
from ingestion.lake import Lake
from ingestion.lake_schema import RecordType
from nearline.session_features import UserState, fold, is_folded

READ_AT_ONCE = 10_000


class LiveEvents:
    """The interactions of the log's end, by user."""

    def __init__(self, log: EventLog, after: int) -> None:
        """Nothing is read yet; ``after`` is the last sequence that every mart knows."""
        self._log, self._end = log, after
        self.erased: dict[str, datetime] = {}
        """When users were erased: what the marts still know of them from before is to be nowhere online."""
        self._by_user: dict[str, list[tuple[int, Event]]] = defaultdict(list)

    def read_on(self) -> None:
        """Take in what was appended since."""
        self.erased = self._log.erasures()
        while part := self._log.read(self._end, READ_AT_ONCE):
            for sequence, event in part:
                if is_folded(event):
                    self._by_user[event.user_id].append((sequence, event))
            self._end = part[-1][0]

    @property
    def user_ids(self) -> Sequence[str]:
        """Whoever did something."""
        return list(self._by_user)

    def states(self, state: UserState, position: int) -> Iterator[UserState]:
        """What may be online while the worker stands at ``position``: the state there, and after each later event."""
        erased_at = self.erased.get(state.user_id)
        if erased_at and state.known_at and state.known_at <= erased_at:
            state = UserState(state.user_id)
        for sequence, event in self._by_user.get(state.user_id, []):
            if is_erased(event, erased_at):
                continue
            if sequence > position:
                yield state
            state = fold(state, event)
        yield state


def sequence_in_marts(lake: Lake, features_dir: Path) -> int:
    """A sequence of the live log up to which every event is in the marts, short by the last ingestion they know.

    Short, because two exports of one build may have been written on either side of an ingestion's end.
    """
    n_known = _n_landed(features_dir / "fct_ingestion_counts.parquet")
    ends, n_landed = [0, 0], 0
    for entry in lake.ledger():
        reached = LivePosition.of(entry.ingestion_id)
        if reached is None:
            continue
        n_landed += sum(counts.n_landed for counts in entry.counts if counts.record_type is RecordType.EVENT)
        if n_landed <= n_known:
            ends.append(reached.events)
    return ends[-2]


def _n_landed(counts: Path) -> int:
    if not counts.exists():
        return 0
    statement = "SELECT coalesce(sum(n_landed), 0) FROM read_parquet(?) WHERE source = ? AND record_type = ?"
    with duckdb.connect() as connection:
        return int(connection.execute(statement, [str(counts), LIVE, str(RecordType.EVENT)]).fetchall()[0][0])
