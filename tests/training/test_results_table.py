import numpy as np
import pytest

from training.results_table import ListFigures, per_user_of, rows_of


def figures(user: list[int], ours: list[float], theirs: list[float]) -> ListFigures:
    def all_metrics(values: list[float]) -> dict[str, np.ndarray]:
        return {metric: np.array(values) for metric in ("ndcg", "recall", "mrr")}

    return ListFigures(np.array(user, dtype=np.int32), {"ours": all_metrics(ours), "theirs": all_metrics(theirs)})


def test_seeds_are_averaged_list_by_list():
    found = ListFigures.averaged([figures([0, 1], [1.0, 0.0], [0.5, 0.5]), figures([0, 1], [0.5, 0.5], [0.5, 0.0])])
    assert found.values("ndcg").tolist() == [[0.75, 0.5], [0.25, 0.25]]


def test_splits_are_put_together_and_users_stay_themselves():
    found = ListFigures.joined([figures([0, 1], [1.0, 0.0], [0.5, 0.5]), figures([1], [0.5], [0.0])])
    assert found.user.tolist() == [0, 1, 1]
    table = per_user_of({"all": found}, ["ann", "bob"]).to_pylist()
    assert table[1] == {"model": "ours", "slice": "all", "user_id": "bob", "n_events": 2, "ndcg_at_10": 0.25}


def test_rows_test_what_they_are_asked_to_on_the_whole():
    generator = np.random.default_rng(0)
    theirs = generator.uniform(0, 0.5, 100)
    whole = figures(list(range(100)), (theirs + 0.1).tolist(), theirs.tolist())
    rows = {(row.part, row.model): row for row in rows_of({"all": whole, "some": whole}, "ours", 0, None, ["theirs"])}
    assert rows["all", "theirs"].difference == pytest.approx(0.1)
    assert rows["all", "theirs"].p_value == pytest.approx(2 / 2_001)
    assert rows["all", "ours"].p_value is None
    assert rows["some", "theirs"].p_value is None
