"""What Feast knew of users at past moments: the service that serving reads online, read here as of then."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freshet.feature_store import RECOMMENDER_SERVICE, open_store


def interactions_as_of(home: Path, user_ids: list[str], moments_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """(M,) each user's ``n_interactions_total`` at each moment, as ``recommender_v1`` would have answered then."""
    import pandas as pd

    store = open_store(home)
    asked = pd.DataFrame(
        {
            "user_id": user_ids,
            "event_timestamp": pd.to_datetime(moments_us, unit="us", utc=True),
            "row": np.arange(len(user_ids)),
        }
    )
    service = store.get_feature_service(RECOMMENDER_SERVICE)
    answered = store.get_historical_features(asked, features=service).to_df()
    totals = answered.set_index("row")["n_interactions_total"].reindex(asked["row"]).fillna(0)
    return np.asarray(totals.to_numpy(), dtype=np.int64)
