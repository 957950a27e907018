"""How large a fitted model is: the numbers it holds."""

import dataclasses
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix


def numbers_in(model: Any) -> int:
    """Numbers in arrays, sparse matrices and networks, however deep; iALS answers for its factors."""
    if isinstance(model, np.ndarray):
        return model.size
    if isinstance(model, csr_matrix):
        return int(model.nnz)
    if hasattr(model, "parameters"):  # a torch module
        return sum(each.numel() for each in model.parameters())
    if hasattr(model, "get_item_embedding"):  # irspack's iALS
        return int(model.get_item_embedding().size + model.get_user_embedding().size)
    if dataclasses.is_dataclass(model):
        return sum(numbers_in(getattr(model, each.name)) for each in dataclasses.fields(model))
    return 0
