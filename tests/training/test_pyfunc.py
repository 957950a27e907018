import json
from datetime import UTC, datetime

import mlflow
import numpy as np
import pandas as pd
import pytest

from training import registry
from training.bundle import load_bundle
from training.history import History
from training.pyfunc import recommend
from training.tracking import log_bundle, training_run


@pytest.fixture(scope="module")
def champion_model(tracking_uri, small_bundle):
    with training_run(tracking_uri, "training") as run:
        log_bundle(tracking_uri, run.info.run_id, small_bundle)
    registry.make_champion(tracking_uri, registry.register_run(tracking_uri, run.info.run_id), "the first champion")
    mlflow.set_tracking_uri(tracking_uri)
    return mlflow.pyfunc.load_model(f"models:/{registry.MODEL_NAME}@champion")


@pytest.fixture(scope="module")
def bundle(small_bundle):
    return load_bundle(small_bundle)


def test_the_champion_by_alias_answers_as_its_bundle_does(champion_model, bundle):
    moments = [1_700_000_000, 1_700_000_060]
    request = {
        "user_id": "somebody",
        "item_ids": ["item-3", "item-7"],
        "occurred_at": [datetime.fromtimestamp(moment, UTC).isoformat() for moment in moments],
        "n": 5,
    }
    answer = champion_model.predict(pd.DataFrame([request]))
    history = History(np.array([3, 7], dtype=np.int32), np.array(moments, dtype=np.int64) * 1_000_000)
    scores = bundle.recommender.score(history, moments[-1] * 1_000_000, None)
    scores[[3, 7]] = -np.inf
    best = np.argsort(-scores)[:5]
    assert answer.loc[0, "item_ids"] == [f"item-{index}" for index in best]
    assert answer.loc[0, "scores"] == pytest.approx(scores[best].tolist())


def test_a_model_server_reads_plain_json(champion_model):
    body = json.dumps({"dataframe_records": [{"item_ids": ["item-3"], "n": 3}, {"item_ids": [], "n": 2}]})
    frame = pd.DataFrame(json.loads(body)["dataframe_records"])
    answer = champion_model.predict(frame)
    assert [len(items) for items in answer["item_ids"]] == [3, 2]
    assert len(champion_model.predict(pd.DataFrame([{"item_ids": ["item-3"]}])).loc[0, "item_ids"]) == 10


def test_nothing_met_is_recommended_again(bundle):
    known = bundle.recommender.item_ids
    ranked = recommend(bundle, known[:35], n=10)
    assert {item_id for item_id, _ in ranked} == set(known[35:])
    scores = [score for _, score in ranked]
    assert scores == sorted(scores, reverse=True)


def test_unknown_items_and_their_order_do_not_matter(bundle):
    plain = recommend(bundle, ["item-1", "item-2"], [1_000_000, 2_000_000], n=5)
    assert recommend(bundle, ["item-2", "gone", "item-1"], [2_000_000, 1_500_000, 1_000_000], n=5) == plain


@pytest.mark.parametrize("n", [0, -1, 1_001])
def test_an_impossible_length_is_refused(bundle, n):
    with pytest.raises(ValueError, match=f"n is {n}: ask for 1 to 1000"):
        recommend(bundle, [], n=n)


def test_times_that_do_not_match_the_items_are_refused(bundle):
    with pytest.raises(ValueError, match="occurred_at has 1 moments for 2 item_ids"):
        recommend(bundle, ["item-1", "item-2"], [1], n=5)
