"""Marts to arrays: who met what and when, and what was known at a cut in time.

Every stage of training works on a ``Snapshot``: the items known at its cut, their texts as of then, and the events,
each marked as training data or not. Both clocks count: an event is training data only if it had happened *and* was
received. Item indices are a seeded shuffle of the sorted ids, so that no tie-break can become a popularity feature.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.contract import MAX_RECENT_EVENTS, NEGATIVE_TYPES, EventType
from training.history import PADDING, SESSION_GAP_US, HistoryBatch
from training.text_tower import item_text

MARTS = ("dim_item_versions", "fct_item_tags", "fct_training_sequences", "fct_item_popularity_daily")
_SORT_KEYS = {
    "dim_item_versions": ["item_id", "valid_from"],
    "fct_item_tags": ["occurred_at", "event_id"],
    "fct_training_sequences": ["user_id"],
    "fct_item_popularity_daily": ["event_timestamp", "item_id"],
}
POPULARITY_COLUMNS = ("n_interactions_1d", "n_interactions_7d", "n_interactions_30d", "n_interactions_total")
ALWAYS = np.iinfo(np.int64).min
"""Known since: an item that does not say from when it is available."""


class DatasetError(ValueError):
    """The marts are missing, or too small to train and to test on."""


@dataclass(frozen=True)
class Events:
    """Interactions sorted by user and, within a user, by (occurred_at, event_id): the one order."""

    user: NDArray[np.int32]  # (N,)
    item: NDArray[np.int32]  # (N,)
    occurred_at: NDArray[np.int64]  # (N,) microseconds
    received_at: NDArray[np.int64]
    is_negative: NDArray[np.bool_]
    session: NDArray[np.int32]  # number within a user, as the sessions looked at the cut; 0 for what came later

    def __len__(self) -> int:
        return len(self.user)

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> "Events":
        """The chosen events, order kept."""
        return Events(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    @cached_property
    def first_of_user(self) -> NDArray[np.int64]:
        """(N,) the row at which each event's user begins."""
        is_first = np.r_[True, self.user[1:] != self.user[:-1]] if len(self) else np.empty(0, dtype=bool)
        return np.maximum.accumulate(np.where(is_first, np.arange(len(self)), 0))

    @cached_property
    def known_at(self) -> NDArray[np.int64]:
        """(N,) when an event had both happened and been received."""
        return np.maximum(self.occurred_at, self.received_at)


@dataclass(frozen=True)
class Popularity:
    """Counts per item as a step function of time: a row for every change, with the moment it was known."""

    item: NDArray[np.int32]
    known_at: NDArray[np.int64]  # ascending
    counts: NDArray[np.float32]  # (rows, 4): 1 d, 7 d, 30 d, all time

    def steps(self, moments: NDArray[np.int64], n_items: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Distinct tables (S, V, 4) as of ascending moments, and for each moment the number of its table."""
        if np.any(np.diff(moments) < 0):
            raise ValueError("moments must ascend")
        ends = np.searchsorted(self.known_at, moments, side="right")
        distinct, number = np.unique(ends, return_inverse=True)
        tables = np.empty((len(distinct), n_items, len(POPULARITY_COLUMNS)), dtype=np.float32)
        current = np.zeros((n_items, len(POPULARITY_COLUMNS)), dtype=np.float32)
        start = 0
        for step, end in enumerate(distinct):
            current[self.item[start:end]] = self.counts[start:end]  # rows ascend, so the last one per item stays
            tables[step] = current
            start = end
        return tables, number

    def as_of(self, moment: int, n_items: int) -> NDArray[np.float32]:
        """The table (V, 4) as of one moment."""
        return np.asarray(self.steps(np.array([moment], dtype=np.int64), n_items)[0][0], dtype=np.float32)


@dataclass(frozen=True)
class Targets:
    """Events to predict, in order of time: each is a row of a snapshot's events."""

    rows: NDArray[np.int64]  # (M,)
    user: NDArray[np.int32]
    item: NDArray[np.int32]
    now: NDArray[np.int64]
    n_left_out: int = 0
    """Interactions of the period that are no targets: repeats, negatives, and items unknown at the cut."""

    def __len__(self) -> int:
        return len(self.rows)

    def sample(self, size: int, seed: int) -> "Targets":
        """At most ``size`` of them, at random by seed, still in order of time."""
        if len(self) <= size:
            return self
        chosen = np.sort(np.random.default_rng(seed).choice(len(self), size, replace=False))
        return Targets(self.rows[chosen], self.user[chosen], self.item[chosen], self.now[chosen], self.n_left_out)


@dataclass(frozen=True)
class Snapshot:
    """The world as known at ``cut``; later events are there only to be predicted and to update histories."""

    cut: int
    item_ids: list[str]
    texts: list[str]
    user_ids: list[str]
    events: Events
    popularity: Popularity

    @property
    def n_items(self) -> int:
        """V."""
        return len(self.item_ids)

    @cached_property
    def training(self) -> Events:
        """Positive interactions that had happened and were known at the cut."""
        return self.events.where((self.events.known_at <= self.cut) & ~self.events.is_negative)

    @cached_property
    def item_counts(self) -> NDArray[np.int64]:
        """(V,) training interactions per item."""
        return np.bincount(self.training.item, minlength=self.n_items)

    @property
    def latest_popularity(self) -> NDArray[np.float32]:
        """(V, 4) as of the cut, or as of the end of the last day of training data if the cut lies after it."""
        day = 86_400 * 1_000_000
        end = (int(self.training.known_at.max(initial=0)) // day + 1) * day
        return self.popularity.as_of(min(self.cut, end), self.n_items)

    def targets(self, after: int, until: int | None = None) -> Targets:
        """Each user's first meetings with items, positive ones, in the period: what a list without repeats can hit."""
        events = self.events
        in_period = (events.occurred_at > after) & (events.occurred_at <= (until or np.iinfo(np.int64).max))
        meetings = events.user.astype(np.int64) * self.n_items + events.item
        is_first = np.zeros(len(events), dtype=bool)
        is_first[np.unique(meetings, return_index=True)[1]] = True
        rows = np.flatnonzero(in_period & is_first & ~events.is_negative)
        rows = rows[np.argsort(events.occurred_at[rows], kind="stable")]
        left_out = int(in_period.sum()) - len(rows)
        return Targets(rows, events.user[rows], events.item[rows], events.occurred_at[rows], left_out)

    def histories(self, targets: Targets, limit: int = MAX_RECENT_EVENTS) -> HistoryBatch:
        """What was known of each target's user just before: the newest ``limit`` interactions, the positive of them."""
        events = self.events
        index = targets.rows[:, None] + np.arange(-limit, 0)[None, :]  # (M, T)
        is_own = index >= events.first_of_user[targets.rows][:, None]
        index = np.maximum(index, 0)
        keep = is_own & ~events.is_negative[index] & (events.received_at[index] <= targets.now[:, None])
        order = np.argsort(keep, axis=1, kind="stable")  # what is kept moves right, its order unchanged
        keep, index = np.take_along_axis(keep, order, axis=1), np.take_along_axis(index, order, axis=1)
        items = np.where(keep, events.item[index], PADDING).astype(np.int32)
        return HistoryBatch(items, np.where(keep, events.occurred_at[index], 0), targets.now)

    def restricted(self, items: NDArray[np.int64]) -> "Snapshot":
        """The same world with some of its items only, for choices that need not see all of them."""
        place = np.full(self.n_items, PADDING, dtype=np.int32)
        place[items] = np.arange(len(items), dtype=np.int32)
        events = replace(self.events, item=place[self.events.item])
        popularity = self.popularity
        kept = place[popularity.item] != PADDING
        return replace(
            self,
            item_ids=[self.item_ids[item] for item in items],
            texts=[self.texts[item] for item in items],
            events=events.where(events.item != PADDING),
            popularity=Popularity(place[popularity.item][kept], popularity.known_at[kept], popularity.counts[kept]),
        )

    def seen(self, row: int, now: int) -> NDArray[np.int32]:
        """Items the user had met, in any way, before the event in ``row``."""
        before = slice(int(self.events.first_of_user[row]), row)
        return self.events.item[before][self.events.received_at[before] <= now]


@dataclass(frozen=True)
class Marts:
    """The exported marts, read once."""

    tables: dict[str, pa.Table]
    content_hash: str

    @cached_property
    def occurred_at(self) -> NDArray[np.int64]:
        """Every interaction's time, for choosing cuts."""
        return _micros(pc.list_flatten(self.tables["fct_training_sequences"]["occurred_at"]))

    def cuts(self, validation: float = 0.8, test: float = 0.9) -> tuple[int, int]:
        """The moments after which validation and test begin, as quantiles of the events' times."""
        if len(self.occurred_at) < 20:
            raise DatasetError(
                f"{len(self.occurred_at)} interactions are too few to train on: ingest more, then `freshet transform`"
            )
        first, second = np.quantile(self.occurred_at, [validation, test], method="lower")
        if not self.occurred_at.min() < first < second < self.occurred_at.max():
            raise DatasetError("the interactions have too few different times for a split by time: check occurred_at")
        return int(first), int(second)

    @property
    def last_moment(self) -> int:
        """When the newest interaction had happened and was known."""
        received = _micros(pc.list_flatten(self.tables["fct_training_sequences"]["received_at"]))
        return int(max(self.occurred_at.max(), received.max()))

    def items_as_of(self, moment: int) -> pa.Table:
        """One row per item, as it was described by then."""
        versions = self.tables["dim_item_versions"]
        valid_from = _micros(versions["valid_from"])
        has_ended = pc.fill_null(
            pc.less_equal(pc.cast(_utc(versions["valid_to"]), pa.int64()), moment), False
        ).to_numpy()
        valid = versions.filter(pa.array((valid_from <= moment) & ~has_ended))
        return valid.drop_columns(["valid_from", "valid_to"]).combine_chunks()

    def snapshot(self, cut: int, seed: int) -> Snapshot:
        """What was known at ``cut``."""
        items = self.items_as_of(cut)
        all_ids = np.array(items["item_id"].to_pylist(), dtype=object)
        available = pc.fill_null(pc.cast(_utc(items["available_from"]), pa.int64()), ALWAYS).to_numpy()
        known = np.flatnonzero(available <= cut)
        known = known[np.random.default_rng(seed).permutation(len(known))]
        index_of = {item_id: index for index, item_id in enumerate(all_ids[known])}
        return Snapshot(
            cut=cut,
            item_ids=list(index_of),
            texts=self.texts(items.take(pa.array(known)), cut),
            user_ids=self.user_ids,
            events=self.events(index_of, cut),
            popularity=self.popularity(index_of),
        )

    @property
    def user_ids(self) -> list[str]:
        """Everybody who ever met an item, in the order in which events count users."""
        ids: list[str] = self.tables["fct_training_sequences"]["user_id"].to_pylist()
        return ids

    def events(self, index_of: dict[str, int], cut: int) -> Events:
        """All interactions with the items of an index, sessions as they looked at the cut."""
        return _events(self.tables["fct_training_sequences"], index_of, cut)

    def popularity(self, index_of: dict[str, int]) -> Popularity:
        """The daily counts of the items of an index."""
        return _popularity(self.tables["fct_item_popularity_daily"], index_of)

    def texts(self, items: pa.Table, cut: int) -> list[str]:
        """Item texts with the users' own tags that were known at the cut, the most frequent first."""
        tags = self.tables["fct_item_tags"]
        known_at = np.maximum(_micros(tags["occurred_at"]), _micros(tags["received_at"]))
        counts: dict[str, Counter[str]] = {}
        for item_id, tag, moment in zip(tags["item_id"].to_pylist(), tags["tag"].to_pylist(), known_at, strict=True):
            if moment <= cut:
                counts.setdefault(item_id, Counter())[tag.strip().lower()] += 1
        texts = []
        for item in items.to_pylist():
            words = sorted(counts.get(item["item_id"], Counter()).items(), key=lambda pair: (-pair[1], pair[0]))
            texts.append(
                item_text(
                    item["title"],
                    item["categories"] or [],
                    [*(item["tags"] or []), *(word for word, _ in words)],
                    _attributes(item["attributes"]),
                    item["description"],
                )
            )
        return texts


def read_marts(features_dir: Path, as_of: int | None = None) -> Marts:
    """Read the marts that training needs; with ``as_of`` (microseconds) nothing that was not known by then."""
    tables = {}
    for name in MARTS:
        path = features_dir / f"{name}.parquet"
        if not path.exists():
            raise DatasetError(f"the mart {path} is missing: run `freshet ingest`, then `freshet transform`")
        table = pq.read_table(path)
        tables[name] = table.sort_by([(key, "ascending") for key in _SORT_KEYS[name]]).combine_chunks()
    if as_of is not None:
        tables = {name: _known_by(name, table, as_of) for name, table in tables.items()}
    return Marts(tables, _content_hash(tables))


def _known_by(name: str, table: pa.Table, as_of: int) -> pa.Table:
    if name == "dim_item_versions":
        return _versions_known_by(table, as_of)
    if name == "fct_item_popularity_daily":
        return table.filter(pa.array(_micros(table["event_timestamp"]) <= as_of))
    if name == "fct_item_tags":
        known = np.maximum(_micros(table["occurred_at"]), _micros(table["received_at"]))
        return table.filter(pa.array(known <= as_of))
    return _sequences_known_by(table, as_of)


def _versions_known_by(table: pa.Table, as_of: int) -> pa.Table:
    """What was not yet known to end by then had no end."""
    known = table.filter(pa.array(_micros(table["valid_from"]) <= as_of))
    is_over = pc.less_equal(_utc(known["valid_to"]), pa.scalar(as_of, pa.timestamp("us", tz="UTC")))
    ends = pc.if_else(is_over, known["valid_to"], pa.scalar(None, known["valid_to"].type))
    return known.set_column(known.column_names.index("valid_to"), known.schema.field("valid_to"), ends)


def _sequences_known_by(table: pa.Table, as_of: int) -> pa.Table:
    """Shorter lists, and fewer users."""
    lengths = pc.list_value_length(table["item_ids"]).to_numpy()
    owner = np.repeat(np.arange(len(table)), lengths)
    occurred, received = (_micros(pc.list_flatten(table[name])) for name in ("occurred_at", "received_at"))
    is_known = np.maximum(occurred, received) <= as_of
    n_known = np.bincount(owner[is_known], minlength=len(table))
    offsets = pa.array(np.r_[0, np.cumsum(n_known)], pa.int32())
    for index, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            values = pc.list_flatten(table[field.name]).combine_chunks().filter(pa.array(is_known))
            table = table.set_column(index, field, pa.ListArray.from_arrays(offsets, values, type=field.type))
        elif field.name == "n_events":
            table = table.set_column(index, field, pa.array(n_known, field.type))
    return table.filter(pa.array(n_known > 0)).combine_chunks()


def _is_negative(types: pa.ChunkedArray, values: pa.ChunkedArray) -> NDArray[np.bool_]:
    """The contract's rule, a column at a time."""
    never = pc.is_in(types, pa.array(sorted(NEGATIVE_TYPES)))
    returned = pc.and_(pc.equal(types, str(EventType.PURCHASE)), pc.fill_null(pc.less(values, 0), False))
    found: NDArray[np.bool_] = pc.or_(never, returned).to_numpy()
    return found


def _events(sequences: pa.Table, index_of: dict[str, int], cut: int) -> Events:
    """Flatten the sequences; interactions with items that are not in the index are dropped, as serving drops them."""
    lengths = pc.list_value_length(sequences["item_ids"]).to_numpy()
    user = np.repeat(np.arange(len(sequences), dtype=np.int32), lengths)
    item = np.array(
        [index_of.get(i, PADDING) for i in pc.list_flatten(sequences["item_ids"]).to_pylist()], dtype=np.int32
    )
    types = pc.list_flatten(sequences["event_types"])
    occurred_at, received_at = (_micros(pc.list_flatten(sequences[name])) for name in ("occurred_at", "received_at"))
    events = Events(
        user=user,
        item=item,
        occurred_at=occurred_at,
        received_at=received_at,
        is_negative=_is_negative(types, pc.list_flatten(sequences["event_values"])),
        session=_sessions(user, occurred_at, np.maximum(occurred_at, received_at) <= cut),
    )
    return events.where(item != PADDING)


def _sessions(
    user: NDArray[np.int32], occurred_at: NDArray[np.int64], is_known: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """(N,) the user's session of each known event, counted from 1 as in ``fct_interactions``; 0 for the others."""
    user, occurred_at = user[is_known], occurred_at[is_known]
    is_new_user = np.diff(user, prepend=-1) != 0
    starts = np.cumsum(is_new_user | (np.diff(occurred_at, prepend=0) > SESSION_GAP_US))
    before_user = np.maximum.accumulate(np.where(is_new_user, starts - 1, 0))
    sessions = np.zeros(len(is_known), dtype=np.int32)
    sessions[is_known] = starts - before_user
    return sessions


def _popularity(table: pa.Table, index_of: dict[str, int]) -> Popularity:
    item = np.array([index_of.get(i, PADDING) for i in table["item_id"].to_pylist()], dtype=np.int32)
    known = item != PADDING
    counts = np.stack([table[name].to_numpy() for name in POPULARITY_COLUMNS], axis=1).astype(np.float32)
    return Popularity(item[known], _micros(table["event_timestamp"])[known], counts[known])


def _attributes(text: str | None) -> dict[str, object]:
    import json

    value = json.loads(text) if text else {}
    return value if isinstance(value, dict) else {}


def _utc(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(column, pa.timestamp("us", tz="UTC"))


def _micros(column: pa.ChunkedArray) -> NDArray[np.int64]:
    micros: NDArray[np.int64] = pc.cast(_utc(column), pa.int64()).to_numpy()
    return micros


def _content_hash(tables: dict[str, pa.Table]) -> str:
    """The same rows give the same hash, whatever file and order they came in."""
    digest = hashlib.sha256()
    for name in sorted(tables):
        digest.update(name.encode())
        for column in tables[name].column_names:
            digest.update(column.encode())
            for part in _parts(tables[name][column].combine_chunks()):
                sink = pa.BufferOutputStream()
                with pa.ipc.new_stream(sink, pa.schema([("", part.type)])) as writer:
                    writer.write_batch(pa.record_batch([part], names=[""]))
                digest.update(sink.getvalue())
    return digest.hexdigest()


def _parts(array: pa.Array) -> Iterator[pa.Array]:
    """What the array says and nothing else: the bytes in the place of a null are anything."""
    yield array.is_null()
    if pa.types.is_list(array.type):
        yield pc.fill_null(pc.list_value_length(array), 0)
        yield from _parts(pc.list_flatten(array))
    else:
        yield array.drop_null()
