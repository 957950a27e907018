"""RP3beta and iALS from irspack (the extra ``evaluate``): somebody else's code, so that a weak baseline is not ours.

Both are fitted on the users' whole training rows. RP3beta is then read like any item-to-item model; iALS folds the
decayed history in as the row of a new user.
"""

import contextlib
import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from training.baselines import SparseModel, history_matrix
from training.history import HistoryBatch, Recency
from training.item_item import user_rows
from training.snapshot import Events

if TYPE_CHECKING:
    from irspack.recommenders import IALSRecommender

Scores = NDArray[np.float32]
_EPOCHS = 16


class MissingLibraryError(ImportError):
    """irspack is not installed."""


@dataclass(frozen=True)
class FoldedIn:
    """iALS: a history is solved for a user's vector by the same least squares that made the items' vectors."""

    model: "IALSRecommender"
    n_items: int
    recency: Recency

    def score_batch(self, batch: HistoryBatch, tables: Scores, table_of: NDArray[np.int64]) -> Scores:
        """The newest item counts 1, as each did in training; users without history score 0 everywhere."""
        history = history_matrix(batch, self.recency, self.n_items)
        history.data /= self.recency.a
        return np.asarray(self.model.get_score_cold_user(history), dtype=np.float32)


def fit_rp3beta(events: Events, n_items: int, beta: float, neighbours: int, recency: Recency) -> SparseModel:
    """Random walks user → item → user → item, with steps to popular items damped (Paudel et al. 2016)."""
    model = _irspack().RP3betaRecommender(user_rows(events, n_items), alpha=1.0, beta=beta, top_k=neighbours)
    model.learn()
    return SparseModel(model.W.tocsr().astype(np.float32), recency)


def fit_ials(
    events: Events, n_items: int, size: int, unobserved: float, regularization: float, recency: Recency, seed: int
) -> FoldedIn:
    """Implicit alternating least squares with frequency-scaled regularisation (Rendle et al. 2021)."""
    model = _irspack().IALSRecommender(
        user_rows(events, n_items),
        n_components=size,
        alpha0=unobserved,
        reg=regularization,
        train_epochs=_EPOCHS,
        random_seed=seed,
    )
    with contextlib.redirect_stdout(io.StringIO()):  # a bar for every fit, of which a search makes dozens
        model.learn()
    return FoldedIn(model, n_items, recency)


def _irspack() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its pydantic models are of an older style
            from irspack import recommenders
    except ImportError as error:
        raise MissingLibraryError(
            f"{error}: the baselines RP3beta and iALS need irspack, `uv pip install '.[evaluate]'`"
        ) from None
    return recommenders
