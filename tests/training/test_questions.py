from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.questions import NOW, QuestionsError, read_questions

DAY_US = 86_400 * 1_000_000
NOON = datetime(1970, 1, 2, 12, tzinfo=UTC)
NOON_US = DAY_US + DAY_US // 2


def read(tmp_path: Path, **columns):
    pq.write_table(pa.table(columns), tmp_path / "q.parquet")
    return read_questions(tmp_path / "q.parquet")


def test_whole_numbers_are_ids_as_well(tmp_path):
    questions = read(tmp_path, query_id=[7, 3], user_id=[12, -1], as_of=[NOON, None])
    assert questions.query_ids.to_pylist() == [7, 3]
    assert questions.query_ids.type == pa.int64()
    assert questions.user_ids == ["12", "-1"]
    assert questions.as_of.tolist() == [NOON_US, NOW]


@pytest.mark.parametrize(
    "as_of",
    [
        pa.array([NOON], pa.timestamp("s", tz="UTC")),
        pa.array([NOON.replace(tzinfo=None)], pa.timestamp("ns")),
        pa.array([NOON], pa.timestamp("ms", tz="Asia/Tokyo")),
        ["1970-01-02T12:00:00"],
        ["1970-01-02T12:00:00Z"],
        ["1970-01-02 13:00:00+01:00"],
        pa.array(["1970-01-02T12:00:00.000000"]).dictionary_encode(),
    ],
    ids=str,
)
def test_every_way_to_write_a_moment_means_the_same(tmp_path, as_of):
    assert read(tmp_path, query_id=["q"], user_id=["u"], as_of=as_of).as_of.tolist() == [NOON_US]


@pytest.mark.parametrize("as_of", [pa.array([date(1970, 1, 2)], pa.date32()), ["1970-01-02"]], ids=str)
def test_a_day_is_its_first_moment(tmp_path, as_of):
    assert read(tmp_path, query_id=["q"], user_id=["u"], as_of=as_of).as_of.tolist() == [DAY_US]


def test_moments_before_1970_and_microseconds_are_exact(tmp_path):
    moments = ["1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00.000001Z"]
    assert read(tmp_path, query_id=[1, 2], user_id=["u", "u"], as_of=moments).as_of.tolist() == [-1, 1]


def test_a_column_of_nulls_asks_about_now(tmp_path):
    questions = read(tmp_path, query_id=["a", "b"], user_id=["u", "u"], as_of=pa.nulls(2))
    assert questions.as_of.tolist() == [NOW, NOW]


def test_a_file_without_rows_asks_nothing(tmp_path):
    assert len(read(tmp_path, query_id=pa.nulls(0), user_id=pa.nulls(0), as_of=pa.nulls(0))) == 0


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"query_id": [1], "user_id": ["u"]}, "has no column 'as_of': it needs query_id, user_id, as_of"),
        ({"query_id": [1, 1], "user_id": ["u", "v"], "as_of": [NOON] * 2}, "query_id 1 stands there twice"),
        ({"query_id": ["a", None], "user_id": ["u", "v"], "as_of": [NOON] * 2}, "query_id is empty in row 2"),
        ({"query_id": ["a"], "user_id": pa.array([None], pa.string()), "as_of": [NOON]}, "user_id is empty in row 1"),
        ({"query_id": [1.5], "user_id": ["u"], "as_of": [NOON]}, "query_id is double: write ids as text or whole"),
        ({"query_id": [1], "user_id": [["u"]], "as_of": [NOON]}, "user_id is list"),
        ({"query_id": [1], "user_id": ["u"], "as_of": [1_500_000_000]}, "as_of is int64: write timestamps, or text"),
        ({"query_id": [1], "user_id": ["u"], "as_of": ["yesterday"]}, "as_of 'yesterday' is no moment: write it as"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_said_in_one_sentence(tmp_path, columns, said):
    with pytest.raises(QuestionsError) as error:
        read(tmp_path, **columns)
    assert said in str(error.value)
    assert "q.parquet" in str(error.value)


def test_what_is_no_parquet_is_named(tmp_path):
    (tmp_path / "q.csv").write_text("query_id,user_id,as_of\n")
    for name in ("q.csv", "missing.parquet"):
        with pytest.raises(QuestionsError, match=rf"{name} cannot be read as Parquet"):
            read_questions(tmp_path / name)
