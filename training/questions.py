"""The questions of a batch, ``query_id, user_id, as_of``, read from Parquet and checked before all else."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

COLUMNS = ("query_id", "user_id", "as_of")
NOW = int(np.iinfo(np.int64).max)
"""The moment of a question without one: after everything that is known."""


class QuestionsError(ValueError):
    """The file of questions is not what it must be; the message names column, value and remedy."""


@dataclass(frozen=True)
class Questions:
    """Who is to get a list, and as of when."""

    query_ids: pa.Array
    """(Q,) unique, text or whole numbers as in the file."""
    user_ids: list[str]
    as_of: NDArray[np.int64]
    """(Q,) microseconds: only what was known *before* counts; NOW where the file has none."""

    def __len__(self) -> int:
        return len(self.user_ids)


def read_questions(path: Path) -> Questions:
    """Read and check a Parquet file with the columns ``query_id``, ``user_id`` and ``as_of``. Raises QuestionsError."""
    try:
        present = pq.read_schema(path).names
        missing = [name for name in COLUMNS if name not in present]
        if missing:
            raise QuestionsError(
                f"{path} has no column {missing[0]!r}: it needs {', '.join(COLUMNS)}, and has {present}"
            )
        table = pq.read_table(path, columns=list(COLUMNS))
    except (OSError, pa.ArrowException) as error:
        raise QuestionsError(f"{path} cannot be read as Parquet: {' '.join(str(error).split())}") from None
    query_ids, user_ids, as_of = (_plain(table[name]) for name in COLUMNS)
    for name, column in (("query_id", query_ids), ("user_id", user_ids)):
        _check_ids(path, name, column)
    counts = pc.value_counts(query_ids)
    repeated = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(repeated):
        raise QuestionsError(f"{path}: query_id {repeated[0]['values'].as_py()!r} stands there twice: make it unique")
    users: list[str] = pc.cast(user_ids, pa.string()).to_pylist()
    return Questions(query_ids, users, _moments(path, as_of))


def _plain(column: pa.ChunkedArray) -> pa.Array:
    """One array, without a dictionary."""
    array = column.combine_chunks()
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _check_ids(path: Path, name: str, column: pa.Array) -> None:
    if not _is_text(column.type) and not pa.types.is_integer(column.type) and len(column):
        raise QuestionsError(f"{path}: {name} is {column.type}: write ids as text or whole numbers")
    if column.null_count:
        row = column.is_null().index(True).as_py()
        raise QuestionsError(f"{path}: {name} is empty in row {row + 1}: every question needs one")


def _moments(path: Path, column: pa.Array) -> NDArray[np.int64]:
    kind = column.type
    if _is_text(kind):
        moments = pa.array([_moment(path, text) for text in column.to_pylist()], pa.int64())
    elif pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_null(kind):
        moments = pc.cast(pc.cast(column, pa.timestamp("us"), safe=False), pa.int64())  # without a zone it is UTC
    else:
        raise QuestionsError(f"{path}: as_of is {kind}: write timestamps, or text such as 2018-09-01T12:00:00+00:00")
    return np.asarray(pc.fill_null(moments, NOW).to_numpy(zero_copy_only=False), dtype=np.int64)


def _moment(path: Path, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise QuestionsError(
            f"{path}: as_of {text!r} is no moment: write it as 2018-09-01 or 2018-09-01T12:00:00+00:00"
        ) from None
    since_1970 = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since_1970.days * 86_400 + since_1970.seconds) * 1_000_000 + since_1970.microseconds
