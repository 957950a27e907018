"""What Feast knew of users at past moments, joined as of then."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freshet.feature_store import USER_HISTORY_SERVICE, open_store
from training.dataset import DatasetError

_DAY_US = 86_400 * 1_000_000


def interactions_as_of(home: Path, user_ids: list[str], moments_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """(M,) each user's ``n_interactions_total`` at each moment, as Feast would have answered then.

    The counts change at midnight, so each user is asked for once a day. Raises DatasetError if Feast knows no service.
    """
    import pandas as pd
    from feast.errors import FeatureServiceNotFoundException

    days = [int(moment) // _DAY_US for moment in moments_us]
    asked = {pair: row for row, pair in enumerate(dict.fromkeys(zip(user_ids, days, strict=True)))}
    rows = pd.DataFrame(
        {
            "user_id": [user_id for user_id, _ in asked],
            "event_timestamp": pd.to_datetime([day * _DAY_US for _, day in asked], unit="us", utc=True),
            "row": range(len(asked)),
        }
    )
    store = open_store(home)
    try:
        service = store.get_feature_service(USER_HISTORY_SERVICE)
    except FeatureServiceNotFoundException:
        raise DatasetError(f"Feast on {home} does not know {USER_HISTORY_SERVICE}: run `freshet features`") from None
    answered = store.get_historical_features(rows, features=service).to_df()
    totals = answered.set_index("row")["n_interactions_total"].reindex(range(len(asked))).fillna(0).to_numpy()
    return np.array([totals[asked[pair]] for pair in zip(user_ids, days, strict=True)], dtype=np.int64)
