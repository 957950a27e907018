"""Four plain commands in a fresh home, on files as strangers have them: no Airflow, no server, no online store."""

import os
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freshet.settings import PROJECT_ROOT

pytestmark = pytest.mark.slow

MAPPING = """
events:
  columns: {user_id: käufer, item_id: sku, occurred_at: day, value: stars}
  constants: {event_type: rating}
  timezone: UTC
items:
  columns: {item_id: sku, title: name, description: text}
"""
TOPICS = ("bread soup kitchen", "planet rocket space", "violin choir music")
FIRST_DAY = datetime(2020, 1, 1, tzinfo=UTC)


def write_world(folder: Path, until: int) -> None:
    """80 people with tastes, 60 things, whole days, and all that is odd: see the tests."""
    dice = random.Random(5)
    things = [(f"ding-{number:02}é", number % 3) for number in range(60)]
    events = []
    for number in range(80):
        liked = [thing for thing, topic in things[:50] if topic == number % 3]
        n_events = 1 if number < 10 else dice.randrange(4, 9)
        days = sorted(dice.choices(range(100), k=n_events))
        events += [
            (f"müller-{number}", thing, day) for thing, day in zip(dice.sample(liked, n_events), days, strict=True)
        ]
    events += [("müller-20", thing, 99) for thing, _ in things[10:14]]
    events = [event for event in events if event[2] <= until]
    columns = {
        "käufer": [user for user, _, _ in events],
        "sku": [thing for _, thing, _ in events],
        "day": [(FIRST_DAY + timedelta(days=day)).date().isoformat() for _, _, day in events],
        "stars": [5.0] * len(events),
    }
    pq.write_table(pa.table(columns), folder / "events.parquet")
    rows = [
        {"sku": thing, "name": f"{TOPICS[topic]} {number}", "text": "" if number % 4 == 0 else TOPICS[topic]}
        for number, (thing, topic) in enumerate(things)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "items.parquet")
    (folder / "mapping.yaml").write_text(MAPPING)


@pytest.fixture(scope="module")
def run(tmp_path_factory, outside_environment):
    folder = tmp_path_factory.mktemp("plain")
    environment = {**outside_environment, "FRESHET_HOME": str(folder / "home"), "FRESHET_TRAIN_EPOCHS": "1"}

    def command(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "commands.main", *words],
            cwd=folder,
            env={**environment, "PYTHONPATH": os.pathsep.join([str(PROJECT_ROOT)])},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    command.folder = folder
    return command


@pytest.fixture(scope="module")
def trained(run):
    write_world(run.folder, until=100)
    run("ingest", "files", "--events", "events.parquet", "--items", "items.parquet", "--mapping", "mapping.yaml")
    run("transform")
    run("train", "--as-of", "2020-03-01")
    return run


def lists_of(run, pairs, n=10) -> list[list[str]]:
    days = [None if day is None else FIRST_DAY + timedelta(days=day) for _, day in pairs]
    table = pa.table(
        {
            "query_id": list(range(len(pairs))),
            "user_id": [user for user, _ in pairs],
            "as_of": pa.array(days, pa.timestamp("us", tz="UTC")),
        }
    )
    pq.write_table(table, run.folder / "q.parquet")
    run("recommend", "--queries", "q.parquet", "--n", str(n), "--out", "recs.parquet")
    lists = [[] for _ in pairs]
    for row in pq.read_table(run.folder / "recs.parquet").to_pylist():
        lists[row["query_id"]].append(row["item_id"])
    return lists


def test_everybody_gets_a_whole_list(trained):
    pairs = [(f"müller-{number}", day) for number in (0, 5, 20, 41) for day in (None, 0, 30, 60, 99)]
    for best in lists_of(trained, [*pairs, ("unknown", None), ("unknown", 10)]):
        assert len(best) == len(set(best)) == 10


def test_people_get_what_fits_their_taste(trained):
    people = range(10, 70)
    lists = lists_of(trained, [(f"müller-{number}", 100) for number in people], n=5)
    fitting = [int(thing[5:7]) % 3 == number % 3 for number, best in zip(people, lists, strict=True) for thing in best]
    assert sum(fitting) / len(fitting) > 0.6


def test_what_came_after_the_training_is_history_and_is_left_out(trained):
    before, after = lists_of(trained, [("müller-20", 99), ("müller-20", 100)], n=60)
    bought_on_the_last_day = {f"ding-{number}é" for number in range(10, 14)}
    assert bought_on_the_last_day & set(before)
    assert not bought_on_the_last_day & set(after)


def test_things_that_nobody_met_can_be_recommended(trained):
    (best,) = lists_of(trained, [("müller-11", None)], n=60)
    assert {f"ding-{number}é" for number in range(50, 60)} <= set(best)
