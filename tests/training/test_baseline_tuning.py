import numpy as np
import pytest

from training.baseline_families import EVERY_RUN, FAMILIES, Material, baselines_for
from training.baseline_tuning import BaselineChoices, Budget, choose_baselines, fit_baselines, search
from training.evaluate import Each, evaluate
from training.protocols import splits_of

SMALL = Budget(trials=4, trainings=1, epochs=2)


@pytest.fixture(scope="module")
def split(world):
    return splits_of("successive", world, 0)[1][0]


@pytest.fixture(scope="module")
def material(split, word_vectors, tmp_path_factory) -> Material:
    snapshot = split.validation
    return Material(snapshot, word_vectors(snapshot.texts), tmp_path_factory.mktemp("baselines"), 0)


@pytest.fixture(scope="module")
def choices(split, material) -> BaselineChoices:
    return choose_baselines(material, split.validation.targets(), baselines_for(split.validation), SMALL)


def test_a_search_goes_round_until_nothing_changes():
    # Only from b = 2 on is a = 3 better than a = 1, so the first round leaves a where it is.
    grid = {"a": (1, 2, 3), "b": (1, 2)}
    worth = {(1, 1): 5, (2, 1): 3, (3, 1): 4, (1, 2): 6, (2, 2): 3, (3, 2): 7}
    tried = []

    def judge(settings):
        tried.append((settings["a"], settings["b"]))
        return worth[tried[-1]]

    assert search(grid, judge, trials=10) == ({"a": 3, "b": 2}, 7, 6)
    assert len(tried) == len(set(tried))  # nothing is tried twice


def test_a_search_stops_when_its_trials_are_used_up():
    found, worth, used = search({"a": (1, 2, 3, 4)}, lambda settings: settings["a"], trials=3)
    assert (found, worth, used) == ({"a": 3}, 3, 3)


def test_no_baseline_gets_more_trials_than_another(choices):
    assert max(choices.trials.values()) <= SMALL.trials
    assert choices.trials["sasrec"] == SMALL.trainings


def test_every_baseline_is_tuned_fitted_and_better_than_chance(split, material, choices, word_vectors, tmp_path):
    assert set(choices.settings) == set(FAMILIES) - {"own_history"}
    test = split.test
    models = fit_baselines(Material(test, word_vectors(test.texts), tmp_path, 0), choices)
    evaluation = evaluate(Each(models), test, test.targets(), 0)
    chance = sum(1 / np.log2(place + 2) for place in range(10)) / (test.n_items - 12)
    quality = {name: evaluation.ndcg(name).mean() for name in models}
    learned = set(quality) - {"popularity", "popularity_7d", "sasrec"}  # two epochs teach SASRec nothing
    assert min(quality[name] for name in learned) > 2 * chance
    assert min(quality["ease"], quality["item_knn"]) > 1.5 * quality["popularity"]


def test_the_best_linear_model_is_what_gets_a_trend(choices):
    settings = choices.settings["linear_and_trend"]
    values = {name: choices.ndcg_at_10[name] for name in ("item_knn", "rp3beta", "ease", "ials")}
    assert settings["base"] == max(values, key=values.get)
    assert settings["decay"] == choices.settings[settings["base"]]["decay"]


def test_what_is_tuned_is_not_tuned_again(split, material, tmp_path):
    path, targets = tmp_path / "baselines.json", split.validation.targets()
    first = choose_baselines(material, targets, EVERY_RUN[:3], SMALL, path)
    done = first.settings["item_knn"] | {"decay": 0.123}
    BaselineChoices(first.settings | {"item_knn": done}, first.ndcg_at_10, first.trials).save(path)
    again = choose_baselines(material, targets, EVERY_RUN, SMALL, path)
    assert again.settings["item_knn"]["decay"] == 0.123
    assert set(BaselineChoices.load(path).settings) == set(EVERY_RUN)


def test_own_history_is_asked_where_repeats_count(world):
    repeats = splits_of("global-repeats", world, 0)[1][0].test
    assert "own_history" in baselines_for(repeats)
