import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freshet.settings import Settings, load_settings
from training.lists import best_items, descending
from training.recommend import recommend
from training.registry import RegistryError


def at(moment_us: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(moment_us))


def settings_of(home: Path) -> Settings:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRESHET_HOME", str(home))
        return load_settings()


@pytest.fixture(scope="module")
def cut(world) -> int:
    return world.cuts()[1]


@pytest.fixture(scope="module")
def settings(
    world_home: Path, tracking_uri: str, cut: int, tmp_path_factory: pytest.TempPathFactory, small_config
) -> Settings:
    """A home in which a model was trained as of the cut; no Feast definitions, no online store."""
    from training.train import train

    home = tmp_path_factory.mktemp("home")
    shutil.copytree(world_home / "features", home / "features")
    (home / "mlflow").mkdir()
    shutil.copy(tracking_uri.removeprefix("sqlite:///"), home / "mlflow" / "mlflow.db")
    settings = settings_of(home)
    train(settings, replace(small_config, as_of=cut))
    return settings


@pytest.fixture(scope="module")
def model(settings):
    """The recommender that was trained."""
    from training import registry
    from training.bundle import load_bundle

    version = registry.versions(settings.tracking_uri)[0]
    return load_bundle(registry.download(version, settings.models_dir)).recommender


@pytest.fixture
def ask(settings, tmp_path):
    """Ask about (user, moment in µs or None) pairs; returns one list of (item, score) each, and the summary."""

    def answers(pairs, n=10, home=settings, **options):
        moments = [None if moment is None else at(moment) for _, moment in pairs]
        table = pa.table(
            {
                "query_id": list(range(len(pairs))),
                "user_id": [user for user, _ in pairs],
                "as_of": pa.array(moments, pa.timestamp("us", tz="UTC")),
            }
        )
        pq.write_table(table, tmp_path / "q.parquet")
        summary = recommend(home, tmp_path / "q.parquet", tmp_path / "recs.parquet", n, **options)
        rows = pq.read_table(tmp_path / "recs.parquet").to_pylist()
        lists = [[] for _ in pairs]
        for row in rows:
            lists[row["query_id"]].append((row["item_id"], row["score"]))
            assert row["rank"] == len(lists[row["query_id"]])
        return lists, summary

    return answers


def changed(settings: Settings, folder: Path, **tables) -> Settings:
    """The same home with other marts."""
    shutil.copytree(settings.home, folder)
    for name, change in tables.items():
        path = folder / "features" / f"{name}.parquet"
        pq.write_table(change(pq.read_table(path)), path)
    return settings_of(folder)


def with_items(*rows):
    """Versions of items that come later: (item_id, title, valid_from, more)."""

    def change(versions: pa.Table) -> pa.Table:
        plain = versions.slice(0, 1).to_pylist()[0]
        new = []
        for item_id, title, valid_from, more in rows:
            moment = at(valid_from)
            new.append(
                {
                    **plain,
                    "item_id": item_id,
                    "title": title,
                    "categories": [],
                    "valid_from": moment,
                    "updated_at": moment,
                    **more,
                }
            )
        return pa.concat_tables([versions, pa.Table.from_pylist(new, versions.schema)])

    return change


def with_events(*rows):
    """More events of users, each in its place in time: (user_id, item_id, type, moment)."""

    def change(sequences: pa.Table) -> pa.Table:
        lists = [name for name in sequences.column_names if name not in ("user_id", "n_events")]
        users = {row["user_id"]: row for row in sequences.to_pylist()}
        for user_id, item_id, kind, moment in rows:
            user = users.setdefault(user_id, {"user_id": user_id} | {name: [] for name in lists})
            place = sum(earlier <= at(moment) for earlier in user["occurred_at"])
            event = {"item_ids": item_id, "event_types": kind, "occurred_at": at(moment), "received_at": at(moment)}
            for name in lists:
                user[name].insert(place, event.get(name))
            user["n_events"] = len(user["item_ids"])
        return pa.Table.from_pylist(list(users.values()), sequences.schema)

    return change


def test_lists_agree_with_the_evaluation(ask, model, world, cut, small_config):
    from training.evaluate import Each, evaluate

    snapshot = world.snapshot(cut, small_config.seed)
    assert snapshot.item_ids == model.item_ids
    targets = snapshot.targets()
    judged = evaluate(Each({"it": model}), snapshot, targets, seed=0).ranks["it"]
    asked = [(snapshot.user_ids[user], now) for user, now in zip(targets.user, targets.now, strict=True)]
    lists, summary = ask(asked, n=model.n_items)
    listed = [
        [item_id for item_id, _ in best].index(snapshot.item_ids[item])
        for best, item in zip(lists, targets.item, strict=True)
    ]
    assert len(listed) > 80
    assert np.array_equal(listed, judged)
    assert summary.n_strangers == 0


def test_lists_are_whole_distinct_unseen_and_descending(ask, world, cut):
    sequences = world.tables["fct_training_sequences"].to_pylist()
    lists, _ = ask([(row["user_id"], cut) for row in sequences], n=20)
    for row, best in zip(sequences, lists, strict=True):
        met = {i for i, at in zip(row["item_ids"], row["occurred_at"], strict=True) if at.timestamp() * 1e6 < cut}
        ids, scores = [item_id for item_id, _ in best], [score for _, score in best]
        assert len(set(ids)) == 20
        assert not met & set(ids)
        assert all(before > after for before, after in pairwise(scores))


def test_what_comes_at_the_moment_itself_or_later_changes_nothing(ask, settings, cut, tmp_path):
    from_now_on = [("u00", "i003", "view", cut), ("u00", "i004", "view", cut + 1), ("nobody", "i005", "view", cut)]
    future = changed(
        settings,
        tmp_path / "future",
        fct_training_sequences=with_events(*from_now_on),
        dim_item_versions=with_items(
            ("i900", "rocket planet space 900", cut, {}),
            ("i000", "another name", cut + 5, {}),
        ),
    )
    asked = [("u00", cut), ("nobody", cut), ("u01", cut - 10**9)]
    assert ask(asked)[0] == ask(asked, home=future)[0]
    (later, stranger, _), summary = ask([("u00", cut + 2), ("nobody", cut + 1), ("x", cut)], n=200, home=future)
    assert {"i003", "i004"}.isdisjoint(item_id for item_id, _ in later)
    assert "i005" not in dict(stranger)
    assert "i900" in dict(later)
    assert summary.n_strangers == 1


def test_the_questions_beside_it_change_nothing_in_a_list(ask, cut):
    alone = ask([("u07", cut)])[0][0]
    among = ask([("u01", None), ("u07", cut), ("u02", cut + 10**13), ("u07", cut - 10**12)])[0][1]
    assert [item_id for item_id, _ in among] == [item_id for item_id, _ in alone]
    assert np.allclose([score for _, score in among], [score for _, score in alone], atol=1e-5)


def test_what_was_received_late_was_not_known(ask, settings, cut, tmp_path):
    def late(sequences: pa.Table) -> pa.Table:
        after = pa.scalar(at(cut + 60_000_000), pa.timestamp("us", tz="UTC"))
        received = [[after.as_py()] * len(moments) for moments in sequences["received_at"].to_pylist()]
        place = sequences.column_names.index("received_at")
        return sequences.set_column(
            place, sequences.schema.field(place), pa.array(received, sequences["received_at"].type)
        )

    home = changed(settings, tmp_path / "late", fct_training_sequences=late)
    _, before = ask([("u00", cut + 60_000_000)], home=home)
    _, after = ask([("u00", cut + 60_000_001)], home=home)
    assert (before.n_strangers, after.n_strangers) == (1, 0)


def test_a_stranger_gets_what_is_popular_then(ask, world, cut):
    lists, summary = ask([("nobody", cut), ("nobody else", cut), ("nobody", cut - 20 * 86_400 * 10**6)])
    assert summary.n_strangers == 3
    assert [item_id for item_id, _ in lists[0]] == [item_id for item_id, _ in lists[1]]
    assert lists[0] != lists[2]


def test_without_a_moment_everything_has_happened(ask, world):
    row = world.tables["fct_training_sequences"].to_pylist()[5]
    lists, _ = ask([(row["user_id"], None), (row["user_id"], world.last_moment + 1)], n=120)
    assert not set(row["item_ids"]) & set(dict(lists[0]))
    assert set(dict(lists[0])) == set(dict(lists[1]))


def test_seen_items_come_back_only_when_asked_for(ask, world, cut, model):
    user = world.tables["fct_training_sequences"].to_pylist()[0]
    met = {i for i, at in zip(user["item_ids"], user["occurred_at"], strict=True) if at.timestamp() * 1e6 < cut}
    (without,), short = ask([(user["user_id"], cut)], n=model.n_items)
    (with_repeats,), whole = ask([(user["user_id"], cut)], n=model.n_items, repeats=True)
    assert set(dict(with_repeats)) - set(dict(without)) == met
    assert (short.n_short, short.shortest) == (1, model.n_items - len(met))
    assert whole.n_short == 0


def test_seen_means_in_any_way_and_however_long_ago(ask, settings, cut, tmp_path):
    many = [("max", f"i{number:03}", "hide" if number == 0 else "view", cut - 10_000 + number) for number in range(110)]
    home = changed(settings, tmp_path / "many", fct_training_sequences=with_events(*many))
    (best,), _ = ask([("max", cut)], n=50, home=home)
    assert {item_id for item_id, _ in best} == {f"i{number:03}" for number in range(110, 120)}


def test_what_was_turned_down_does_not_count_as_liked(ask, settings, cut, tmp_path):
    hidden = [("moritz", "i040", "hide", cut - 5), ("moritz", "i041", "dislike", cut - 4)]
    home = changed(settings, tmp_path / "hidden", fct_training_sequences=with_events(*hidden))
    (best, nobody), summary = ask([("moritz", cut), ("nobody", cut)], n=120, home=home)
    assert summary.n_strangers == 1
    others = [(item_id, score) for item_id, score in nobody if item_id not in ("i040", "i041")]
    assert dict(best) == pytest.approx(dict(others))
    assert [item_id for item_id, _ in best] == [item_id for item_id, _ in others]


def test_new_items_are_recommended_by_their_words(ask, settings, model, cut, tmp_path):
    new = [("i900", "rocket planet space", cut + 10, {}), ("i901", "violin choir music", cut + 10, {})]
    home = changed(settings, tmp_path / "new", dim_item_versions=with_items(*new))
    fans = [f"u{number:02}" for number in range(1, 60, 4)]  # of space
    lists, summary = ask([(fan, cut + 1_000_000) for fan in fans], n=200, home=home)
    assert summary.n_new_items == 2
    places = np.array([[list(dict(best)).index(item_id) for item_id in ("i900", "i901")] for best in lists])
    of_space, of_music = places.mean(axis=0)
    assert of_space < 30
    assert of_space < of_music
    before, _ = ask([(fan, cut + 10) for fan in fans], n=200, home=home)
    assert not any({"i900", "i901"} & set(dict(best)) for best in before)


def test_a_new_item_is_read_as_it_was_described_then(ask, settings, cut, tmp_path):
    day = 86_400 * 10**6
    versions = [
        (
            "i900",
            "rocket planet space",
            cut + 10,
            {"valid_to": at(cut + day)},
        ),
        ("i900", "violin choir music", cut + day, {}),
    ]
    home = changed(settings, tmp_path / "edited", dim_item_versions=with_items(*versions))
    (before, after), summary = ask([("u01", cut + day), ("u01", cut + day + 1)], n=200, home=home)
    assert summary.n_new_items == 1
    places = [list(dict(best)).index("i900") for best in (before, after)]
    assert places[0] < places[1]
    assert all(len(dict(best)) == len(best) for best in (before, after))


@pytest.mark.parametrize("gone", ["is_available", "available_from"])
def test_what_cannot_be_had_is_not_recommended(ask, settings, cut, tmp_path, gone):
    def change(versions: pa.Table) -> pa.Table:
        rows = versions.to_pylist()
        for row in rows[:5]:
            row[gone] = False if gone == "is_available" else at(cut)
        return pa.Table.from_pylist(rows, versions.schema)

    home = changed(settings, tmp_path / "gone", dim_item_versions=change)
    then, later = ask([("nobody", cut), ("nobody", cut + 1)], n=200, home=home)[0]
    assert len(then) == 115
    assert len(later) == (115 if gone == "is_available" else 120)


def test_before_the_catalogue_begins_there_is_what_it_begins_with(ask):
    (best,), summary = ask([("u00", 0)], n=10)
    assert len(best) == 10
    assert summary.n_strangers == 1


def test_query_ids_keep_their_type_and_order(settings, tmp_path, cut):
    table = pa.table({"query_id": ["ö", "a", "m"], "user_id": [1, 2, 3], "as_of": pa.nulls(3)})
    pq.write_table(table, tmp_path / "q.parquet")
    recommend(settings, tmp_path / "q.parquet", tmp_path / "deep" / "recs.parquet", 2)
    made = pq.read_table(tmp_path / "deep" / "recs.parquet")
    assert made.column_names == ["query_id", "item_id", "rank", "score"]
    assert made["query_id"].to_pylist() == ["ö", "ö", "a", "a", "m", "m"]
    assert made["rank"].to_pylist() == [1, 2] * 3
    assert made.schema.field("score").type == pa.float64()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["recs.parquet"]


def test_no_questions_give_no_rows(settings, tmp_path):
    pq.write_table(
        pa.table({name: pa.array([], pa.string()) for name in ("query_id", "user_id", "as_of")}), tmp_path / "q.parquet"
    )
    assert recommend(settings, tmp_path / "q.parquet", tmp_path / "recs.parquet", 5).n_rows == 0
    assert pq.read_table(tmp_path / "recs.parquet").num_rows == 0


def test_the_version_can_be_chosen(ask, settings, cut):
    assert ask([("u00", cut)], version=1)[1].version.version == 1
    with pytest.raises(RegistryError, match="no version 9"):
        ask([("u00", cut)], version=9)


def test_a_home_without_a_model_says_what_to_run(ask, tmp_path, cut):
    with pytest.raises(RegistryError, match="run `freshet train` first"):
        ask([("u00", cut)], home=settings_of(tmp_path / "empty"))


def test_equal_scores_are_ordered_by_lot():
    scores = np.array([[1, 2, 1, 1, -np.inf]], dtype=np.float32)
    lot = np.array([3, 0, 1, 2, 0])
    assert [best.tolist() for best, _ in best_items(scores, lot, 3)] == [[1, 2, 3]]
    assert [best.tolist() for best, _ in best_items(scores, lot, 9)] == [[1, 2, 3, 0]]


def test_equal_scores_are_written_in_their_order():
    written = descending(np.array([[2, 2, 2, 1, 1, -3]], dtype=np.float32))
    assert np.all(np.diff(written) < 0)
    assert np.array_equal(written.astype(np.float32), [[2, 2, 2, 1, 1, -3]])
