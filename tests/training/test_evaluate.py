import numpy as np
import pytest

from training.comparison import PerUser, lift
from training.evaluate import Each, Evaluation, evaluate, quality
from training.results_table import markdown_table, per_user, results_table
from training.slices import slices_of
from training.snapshot import Snapshot


@pytest.fixture(scope="module")
def snapshot(world) -> Snapshot:
    return world.snapshot(world.cuts()[1], 0)


class Chance:
    def score_batch(self, batch, tables, table_of):
        return np.zeros((len(batch), tables.shape[1]), dtype=np.float32)


class Oracle:
    """Knows each moment's target."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.targets = snapshot.targets()

    def score_batch(self, batch, tables, table_of):
        scores = np.zeros((len(batch), tables.shape[1]), dtype=np.float32)
        for row, (now, last) in enumerate(zip(batch.now, batch.times[:, -1], strict=True)):
            scores[row, self.targets.item[self.targets.now == now]] = 1
            assert last < now  # nobody is told the future
        return scores


class Repeater:
    """Puts first what the user has just met."""

    def score_batch(self, batch, tables, table_of):
        scores = np.zeros((len(batch), tables.shape[1]), dtype=np.float32)
        scores[np.arange(len(batch)), np.maximum(batch.items[:, -1], 0)] = 1
        return scores


@pytest.fixture(scope="module")
def evaluation(snapshot: Snapshot) -> Evaluation:
    models = {"oracle": Oracle(snapshot), "chance": Chance(), "repeater": Repeater()}
    return evaluate(Each(models), snapshot, snapshot.targets(), seed=0, coverage_events=50)


def test_who_knows_the_future_is_always_right(evaluation):
    assert evaluation.ndcg("oracle").mean() == 1


def test_chance_finds_as_much_as_chance_does(snapshot):
    targets = snapshot.targets()
    n_unseen = np.array([snapshot.n_items - len(set(snapshot.seen(row, 10**18))) for row in targets.rows.tolist()])
    found = [quality(Chance(), snapshot, targets, seed) for seed in range(100)]
    assert np.mean(found) == pytest.approx(sum(1 / np.log2(p + 2) for p in range(10)) * (1 / n_unseen).mean(), rel=0.1)


def test_what_the_user_has_met_is_never_shown(evaluation):
    assert np.array_equal(evaluation.ranks["repeater"], evaluation.ranks["chance"])


def test_equal_scores_fall_alike_for_all_models_and_seeds_decide(snapshot):
    targets = snapshot.targets()
    runs = [evaluate(Each({"a": Chance(), "b": Chance()}), snapshot, targets, seed) for seed in (0, 0, 1)]
    assert np.array_equal(runs[0].ranks["a"], runs[0].ranks["b"])
    assert np.array_equal(runs[0].ranks["a"], runs[1].ranks["a"])
    assert not np.array_equal(runs[0].ranks["a"], runs[2].ranks["a"])


def test_quality_is_the_mean_of_the_evaluation(snapshot, evaluation):
    assert quality(Chance(), snapshot, evaluation.targets, 0) == pytest.approx(evaluation.ndcg("chance").mean())


def test_quality_without_events_is_nothing(snapshot):
    assert quality(Chance(), snapshot, snapshot.targets().where(slice(0, 0)), 0) == 0


def test_the_table_names_differences_to_the_reference(evaluation, snapshot):
    rows = results_table(evaluation, "oracle", {}, seed=0)
    by_model = {row.model: row for row in rows}
    assert by_model["oracle"].difference == by_model["oracle"].difference_low == 0
    chance = by_model["chance"]
    assert chance.low < chance.ndcg_at_10 < chance.high
    assert chance.difference_low > 0
    assert chance.difference == pytest.approx(1 - chance.ndcg_at_10)
    assert chance.n_events == len(evaluation.targets)
    assert markdown_table(rows).count("\n") == 4


def test_slices_cover_the_events_they_name(evaluation, snapshot):
    targets = evaluation.targets
    slices = slices_of(snapshot, targets, np.arange(len(targets)))
    assert (slices["first_of_session"] ^ slices["inside_session"]).all()
    counts = sum(slices[name].astype(int) for name in slices if name.startswith("item_seen"))
    assert (counts == 1).all()
    assert slices["first_event_of_user"].sum() == slices["last_event_of_user"].sum() == len(np.unique(targets.user))
    assert slices["user_known_4_to_10"].sum() == 7
    assert all(mask.any() for mask in slices.values())


def test_per_user_results_give_the_same_figure_as_the_events(evaluation, snapshot):
    slices = {"inside_session": slices_of(snapshot, evaluation.targets, None)["inside_session"]}
    results = PerUser.from_table(per_user(evaluation, slices, snapshot.user_ids))
    paired = results.pair("oracle", results, "chance")
    assert paired.n_events.sum() == len(evaluation.targets)
    assert (paired.theirs * paired.n_events).sum() / paired.n_events.sum() == pytest.approx(
        evaluation.ndcg("chance").mean()
    )
    assert lift(paired).low > 0
    inside = results.pair("oracle", results, "chance", "inside_session")
    assert inside.n_events.sum() == slices["inside_session"].sum()
