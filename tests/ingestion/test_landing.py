"""What is wrong with a row, in general: the same words for all rows that are wrong in the same way."""

import pytest

from ingestion.landing import Reject


@pytest.mark.parametrize(
    ("reason", "in_general"),
    [
        ("user_id: Field required", "user_id: Field required"),
        ("stars: not a number (got 'five')", "stars: not a number"),
        ("value: not a number (got 'y (z)'); user_id: Field required", "value: not a number; user_id: Field required"),
        ("text: too long (got 'a; b'); item.title: empty (got '')", "text: too long; item.title: empty"),
        ("received_at: before 2025-01-02T10:00:00.5Z", "received_at: before …"),
        ("not JSON: Expecting value: line 1 column 7 (char 6)", "not JSON: Expecting value"),
    ],
)
def test_a_general_reason_leaves_out_what_only_one_row_has(reason, in_general):
    assert Reject(1, None, reason, "{}").general_reason == in_general
