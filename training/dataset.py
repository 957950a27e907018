"""Marts to arrays: who met what and when, and what was known at a cut in time.

Every stage of training works on a ``Snapshot``: the items known at its cut, their texts as of then, and the events,
each marked as training data or not. Both clocks count: an event is training data only if it had happened *and* was
received. Item indices are a seeded shuffle of the sorted ids, so that no tie-break can become a popularity feature.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.contract import NEGATIVE_TYPES, EventType
from training.as_of import known_by, micros, utc
from training.history import PADDING, SESSION_GAP_US
from training.snapshot import FOREVER, POPULARITY_COLUMNS, Events, Popularity, Snapshot, to_predict
from training.text_tower import item_text

MARTS = ("dim_item_versions", "fct_item_tags", "fct_training_sequences", "fct_item_popularity_daily")
_SORT_KEYS = {
    "dim_item_versions": ["item_id", "valid_from"],
    "fct_item_tags": ["occurred_at", "event_id"],
    "fct_training_sequences": ["user_id"],
    "fct_item_popularity_daily": ["event_timestamp", "item_id"],
}
ALWAYS = np.iinfo(np.int64).min
"""Known since: an item that does not say from when it is available."""


class DatasetError(ValueError):
    """The marts are missing, or too small to train and to test on."""


@dataclass(frozen=True)
class Marts:
    """The exported marts, read once."""

    tables: dict[str, pa.Table]
    content_hash: str

    @cached_property
    def occurred_at(self) -> NDArray[np.int64]:
        """Every interaction's time, for choosing cuts."""
        return micros(pc.list_flatten(self.tables["fct_training_sequences"]["occurred_at"]))

    def cuts(self, validation: float = 0.8, test: float = 0.9) -> tuple[int, int]:
        """The moments after which validation and test begin, as quantiles of the events' times."""
        if len(self.occurred_at) < 20:
            raise DatasetError(
                f"{len(self.occurred_at)} interactions are too few to train on: ingest more, then `freshet transform`"
            )
        moments = np.unique(self.occurred_at)
        if len(moments) < 3:
            raise DatasetError("the interactions have too few different times for a split by time: check occurred_at")
        first, second = np.quantile(self.occurred_at, [validation, test], method="lower")
        # Where a coarse clock gives many events the same time, the quantiles may meet, or lie at the very end.
        second = min(max(second, moments[1]), moments[-2])
        first = min(first, moments[np.searchsorted(moments, second) - 1])
        return int(first), int(second)

    def middle_after(self, moment: int) -> int:
        """The median moment of what happened after another one. Raises DatasetError where that is too little."""
        later = np.sort(self.occurred_at[self.occurred_at > moment])
        if len(later) == 0 or later[0] == later[-1]:
            raise DatasetError(
                "nothing has happened since the version to go on from was trained: ingest, then transform"
            )
        middle = int(later[(len(later) - 1) // 2])
        return middle if middle < later[-1] else int(later[later < middle][-1])

    @property
    def last_moment(self) -> int:
        """When the newest interaction had happened and was known."""
        received = micros(pc.list_flatten(self.tables["fct_training_sequences"]["received_at"]))
        return int(max(self.occurred_at.max(), received.max()))

    def items_as_of(self, moment: int) -> pa.Table:
        """One row per item, as it was described by then."""
        versions = self.tables["dim_item_versions"]
        valid_from = micros(versions["valid_from"])
        has_ended = pc.fill_null(
            pc.less_equal(pc.cast(utc(versions["valid_to"]), pa.int64()), moment), False
        ).to_numpy()
        valid = versions.filter(pa.array((valid_from <= moment) & ~has_ended))
        return valid.drop_columns(["valid_from", "valid_to"]).combine_chunks()

    @cached_property
    def has_clock(self) -> bool:
        """Whether times say more than an order: not where nearly every event takes the next tick of a counter."""
        gaps = np.diff(np.sort(self.occurred_at))
        return len(gaps) == 0 or bool((gaps == np.median(gaps)).mean() < 0.9) or not np.median(gaps)

    def snapshot(self, cut: int, seed: int, until: int = FOREVER) -> Snapshot:
        """What was known at ``cut``, with each user's first meetings from then ``until`` then as targets."""
        items = self.items_as_of(cut)
        all_ids = np.array(items["item_id"].to_pylist(), dtype=object)
        available = pc.fill_null(pc.cast(utc(items["available_from"]), pa.int64()), ALWAYS).to_numpy()
        known = np.flatnonzero(available <= cut)
        known = known[np.random.default_rng(seed).permutation(len(known))]
        index_of = {item_id: index for index, item_id in enumerate(all_ids[known])}
        events = self.events(index_of, cut)
        return Snapshot(
            cut=cut,
            item_ids=list(index_of),
            texts=self.texts(items.take(pa.array(known)), cut),
            user_ids=self.user_ids,
            events=events,
            popularity=self.popularity(index_of),
            is_training=(events.known_at <= cut) & ~events.is_negative,
            is_target=to_predict(events, len(index_of), cut, until),
        )

    @property
    def user_ids(self) -> list[str]:
        """Everybody who ever met an item, in the order in which events count users."""
        ids: list[str] = self.tables["fct_training_sequences"]["user_id"].to_pylist()
        return ids

    def events(self, index_of: dict[str, int], cut: int) -> Events:
        """All interactions with the items of an index, sessions as they looked at the cut."""
        return _events(self.tables["fct_training_sequences"], index_of, cut)

    def ratings(self, item_ids: list[str]) -> NDArray[np.float32]:
        """(N,) what each interaction with one of these items was rated, in the order of ``events``; NaN elsewhere."""
        sequences = self.tables["fct_training_sequences"]
        is_rating = pc.equal(pc.list_flatten(sequences["event_types"]), str(EventType.RATING))
        values = pc.if_else(is_rating, pc.list_flatten(sequences["event_values"]), None)
        is_known = pc.is_in(pc.list_flatten(sequences["item_ids"]), pa.array(item_ids))
        found: NDArray[np.float64] = values.filter(is_known).to_numpy()
        return found.astype(np.float32)

    def popularity(self, index_of: dict[str, int]) -> Popularity:
        """The daily counts of the items of an index."""
        return _popularity(self.tables["fct_item_popularity_daily"], index_of)

    def texts(self, items: pa.Table, cut: int) -> list[str]:
        """Item texts with the users' own tags that were known at the cut, the most frequent first."""
        tags = self.tables["fct_item_tags"]
        known_at = np.maximum(micros(tags["occurred_at"]), micros(tags["received_at"]))
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
        tables = {name: known_by(name, table, as_of) for name, table in tables.items()}
    return Marts(tables, _content_hash(tables))


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
    occurred_at, received_at = (micros(pc.list_flatten(sequences[name])) for name in ("occurred_at", "received_at"))
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
    return Popularity(item[known], micros(table["event_timestamp"])[known], counts[known])


def _attributes(text: str | None) -> dict[str, object]:
    import json

    value = json.loads(text) if text else {}
    return value if isinstance(value, dict) else {}


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
