"""The figures of a soak, worked by hand."""

import pytest

from benchmarks.soak import Minute, figures, slope_per_hour


@pytest.mark.parametrize(
    ("memory", "slope"),
    [
        ([700, 701, 702], 60),  # a megabyte a minute
        ([700, 700, 700, 700], 0),
        ([704, 702, 700], -120),
        ([700, 703, 700, 703], 36),  # up and down: .6 a minute on the whole
        ([700, 705], 300),
    ],
)
def test_the_slope_is_that_of_the_nearest_line(memory, slope):
    assert slope_per_hour(memory) == pytest.approx(slope, abs=1e-6)


def test_the_second_half_forgets_what_filled_at_first():
    minutes = [Minute(memory, 10, 2.0, 20, None) for memory in (740, 750, 750, 750)]
    found = {figure.name: figure.value for figure in figures(700, [*minutes, Minute(750, 0, None, 0, "503")])}
    assert (found["rss_mb_start"], found["rss_mb_minute_1"], found["rss_mb_end"]) == (700, 740, 750)
    assert (found["events"], found["answers"], found["failed_minutes"]) == (40, 80, 1)
    assert found["slope_mb_per_hour"] > 300
    assert found["slope_mb_per_hour_second_half"] == pytest.approx(0, abs=1e-6)
