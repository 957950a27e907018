"""What Feast knew of users at past moments, joined as of then."""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freshet.feature_store import USER_HISTORY_SERVICE, apply, open_store
from training.snapshot import DAY_US

logger = logging.getLogger(__name__)


def interactions_as_of(home: Path, user_ids: list[str], moments_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """(M,) each user's ``n_interactions_total`` at each moment, as Feast would have answered then.

    The counts change at midnight, so each user is asked for once a day. Where Feast has not been told of its features
    yet, it is told now: asking about the past needs the marts and the definitions, and no online store.
    Raises FeatureStoreError without marts.
    """
    import pandas as pd
    from feast.errors import FeatureServiceNotFoundException

    days = [int(moment) // DAY_US for moment in moments_us]
    asked = {pair: row for row, pair in enumerate(dict.fromkeys(zip(user_ids, days, strict=True)))}
    rows = pd.DataFrame(
        {
            "user_id": [user_id for user_id, _ in asked],
            "event_timestamp": pd.to_datetime([day * DAY_US for _, day in asked], unit="us", utc=True),
            "row": range(len(asked)),
        }
    )
    store = open_store(home)
    try:
        service = store.get_feature_service(USER_HISTORY_SERVICE)
    except FeatureServiceNotFoundException:
        logger.info("Feast does not know its features yet: applying their definitions", extra={"home": str(home)})
        apply(home)
        store = open_store(home)
        service = store.get_feature_service(USER_HISTORY_SERVICE)
    answered = store.get_historical_features(rows, features=service).to_df()
    totals = answered.set_index("row")["n_interactions_total"].reindex(range(len(asked))).fillna(0).to_numpy()
    return np.array([totals[asked[pair]] for pair in zip(user_ids, days, strict=True)], dtype=np.int64)
