import sqlite3

import pytest

from commands.growth import database_size, slope, slopes


def test_a_figure_that_rises_by_two_a_day_has_that_slope_and_no_doubt():
    line = slope([10, 12, 14, 16, 18])
    assert (line.per_day, line.low, line.high) == (2, 2, 2)
    assert line.total == pytest.approx(8 / 14)
    assert line.has_grown


def test_a_figure_that_swings_around_the_same_value_has_not_grown():
    line = slope([100, 104, 96, 101, 99, 103, 97, 100])
    assert line.low < 0 < line.high
    assert not line.has_grown


def test_a_rise_of_less_than_a_tenth_is_tolerated():
    assert not slope([100, 101, 102, 103, 104]).has_grown


def test_a_figure_that_falls_has_not_grown():
    assert not slope([18, 16, 14, 12]).has_grown


def test_three_days_are_too_few():
    assert slope([1, 2, 3]) is None


def test_the_first_days_are_warming_up():
    days = [{"rows": rows, "files": 5} for rows in (0, 50, 100, 101, 99, 100)]
    assert slopes(days, warm_up=0)["rows"].has_grown
    assert not slopes(days, warm_up=2)["rows"].has_grown
    assert slopes(days, warm_up=6) == {}


def test_rows_of_a_database_are_counted_and_freed_pages_are_not_its_size(tmp_path):
    path = tmp_path / "some.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE a (x TEXT)")
        database.executemany("INSERT INTO a VALUES (?)", [("x" * 1_000,) for _ in range(1_000)])
    full, n_rows = database_size(path)
    assert n_rows == 1_000
    assert full > 1_000_000
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM a")
    emptied, n_rows = database_size(path)
    assert n_rows == 0
    assert emptied < 100_000 < path.stat().st_size
    database.close()
