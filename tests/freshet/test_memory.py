"""The peak of a step is its own."""

import numpy as np
import pytest

from freshet.memory import forget_peak, peak_bytes

MEGABYTE = 2**20


def test_a_peak_is_remembered_until_it_is_forgotten():
    forget_peak()
    before = peak_bytes()
    big = np.ones(64 * MEGABYTE, dtype=np.uint8)
    with_big = peak_bytes()
    assert with_big >= before + 60 * MEGABYTE
    del big
    assert peak_bytes() == pytest.approx(with_big, rel=0.05)
    forget_peak()
    if peak_bytes() >= with_big:
        pytest.skip("this system does not let a process begin its peak anew")
    assert peak_bytes() <= with_big - 50 * MEGABYTE
