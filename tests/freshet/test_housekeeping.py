import os
from datetime import UTC, datetime, timedelta

import pytest

from freshet.housekeeping import HousekeepingError, clean_metadata, remove_files
from freshet.settings import Settings

NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)


def write(path, moment):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a log")
    for touched in (path, path.parent):
        os.utime(touched, (moment.timestamp(), moment.timestamp()))


def test_files_that_were_written_before_go_and_their_empty_folders_with_them(tmp_path):
    old, new = NOON - timedelta(days=1), NOON + timedelta(days=1)
    write(tmp_path / "run_id=old" / "task.log", old)
    write(tmp_path / "run_id=new" / "task.log", new)
    write(tmp_path / "mixed" / "old.log", old)
    write(tmp_path / "mixed" / "new.log", new)
    assert remove_files(tmp_path, NOON) == 2
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.log"))
    assert left == ["mixed/new.log", "run_id=new/task.log"]


def test_a_second_time_there_is_nothing_to_remove(tmp_path):
    write(tmp_path / "run_id=old" / "task.log", NOON - timedelta(days=1))
    assert [remove_files(tmp_path, NOON) for _ in range(2)] == [1, 0]


def test_a_folder_without_logs_is_no_error(tmp_path):
    assert remove_files(tmp_path / "nowhere", NOON) == 0


def test_a_database_that_cannot_be_cleaned_is_said_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    (tmp_path / "airflow.cfg").write_text(
        f"[database]\nsql_alchemy_conn = sqlite:///{tmp_path}/no/such/folder/airflow.db\n"
    )
    with pytest.raises(HousekeepingError, match="`airflow db clean` ended with"):
        clean_metadata(Settings(home=tmp_path), NOON)
