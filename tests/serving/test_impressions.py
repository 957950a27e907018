"""What was shown is written while answers go on, and the log's pace is that of the answers."""

from datetime import UTC, datetime

from serving import impressions
from serving.impressions import ImpressionLogger
from serving.metrics import Metrics
from serving.schemas import Recommendations, RecommendedItem

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)


class Log:
    """Takes everything."""

    def __init__(self):
        self.appended = []

    def append(self, events):
        self.appended.append(len(events))


def answer(number):
    line = RecommendedItem(
        item_id="i1", rank=1, score=1.0, source="model", reason="", propensity=1.0, title="One", categories=[]
    )
    return Recommendations(
        recommendation_id=str(number),
        user_id="u1",
        items=[line],
        model=None,
        features_as_of=NOW,
        degraded=[],
        understood=None,
        took_ms=1.0,
    )


def test_a_whole_transaction_does_not_wait_for_more(monkeypatch, eventually):
    monkeypatch.setattr(impressions, "_LINGER_SECONDS", 3_600.0)
    log = Log()
    logger = ImpressionLogger(log, Metrics())
    for number in range(350):
        logger.record(answer(number), NOW)
    logger.start()
    assert eventually(lambda: log.appended == [100, 100, 100])  # the rest lingers
