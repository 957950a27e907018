"""JSON from strangers: no NaN, no broken UTF-8, no lone surrogates, no bottomless nesting, no endless numbers."""

import math
from typing import Any, Final

from pydantic_core import from_json

from serving.problems import ProblemError

MAX_DEPTH: Final = 20
"""Levels of nesting that the whole platform can hold, from SQLite to DuckDB."""
_MAX_INTEGER: Final = 2**63 - 1


def parse_json(body: bytes) -> Any:
    """The value in ``body``. Raises a 400 problem that says where it stops being JSON."""
    if not body.strip():
        raise ProblemError(400, "the body is empty: send JSON")
    try:
        body.decode()
        return from_json(body, allow_inf_nan=False)
    except UnicodeDecodeError as error:
        raise ProblemError(400, f"the body is not UTF-8: byte {error.start} is wrong") from None
    except ValueError as error:
        raise ProblemError(400, f"malformed JSON: {error}") from None


def json_fault(value: Any) -> str | None:
    """Why a parsed value cannot be stored, or None: too deep, or a number that JSON readers do not agree on."""
    pending = [(value, 1)]
    while pending:
        found, depth = pending.pop()
        if depth > MAX_DEPTH:
            return f"nested deeper than {MAX_DEPTH} levels"
        if isinstance(found, float) and not math.isfinite(found):
            return "holds a number that is not finite"
        if isinstance(found, int) and abs(found) > _MAX_INTEGER:
            return "holds an integer beyond 64 bits: send it as text"
        if isinstance(found, dict):
            pending.extend((child, depth + 1) for child in found.values())
        elif isinstance(found, list):
            pending.extend((child, depth + 1) for child in found)
    return None
