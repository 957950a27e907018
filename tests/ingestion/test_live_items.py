"""Items that the API was given: kept in their order, and moved into the lake exactly once."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

from freshet.contract import Item
from ingestion.ingest import LivePosition, ingest_live_events, ingest_live_intervals, live_position
from ingestion.lake import Lake
from ingestion.live_items import SqliteLiveItems

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)


def lamp(minute: int, title: str = "A lamp") -> Item:
    return Item(item_id="lamp", title=title, price=9.5, updated_at=NOON + timedelta(minutes=minute))


def change(settings) -> None:
    """A lamp is put at noon, called otherwise ten minutes later, and deleted after an hour."""
    with closing(SqliteLiveItems(settings.live_items_path)) as store:
        store.put(lamp(0))
        store.put(lamp(10, "A green lamp"))
        store.delete(lamp(60))


def test_every_change_is_kept_in_its_order(settings):
    change(settings)
    with closing(SqliteLiveItems(settings.live_items_path)) as store:
        found = [(each.sequence, each.item.title, each.item.is_available, each.is_deleted) for each in store.read(1, 9)]
    assert found == [(2, "A green lamp", True, False), (3, "A lamp", False, True)]


def test_closed_changes_move_exactly_once_and_a_deleted_item_is_not_available(settings, ask):
    change(settings)
    later = NOON + timedelta(hours=1)
    assert [ingest_live_events(settings, until=later).n_new for _ in range(2)] == [2, 0]
    assert live_position(Lake(settings.lake_dir)) == LivePosition(events=0, rejects=0, repeats=0, items=2)
    assert ingest_live_events(settings, until=later + timedelta(minutes=1)).n_new == 1
    rows = ask(settings.lake_dir, "items", "title, is_available, source, source_line", "ORDER BY source_line")
    assert rows == [("A lamp", True, "live", 1), ("A green lamp", True, "live", 2), ("A lamp", False, "live", 3)]


def test_items_are_cut_at_the_ticks_as_events_are(settings):
    change(settings)
    reports = ingest_live_intervals(settings, until=NOON + timedelta(hours=2))
    assert [report.n_new for report in reports] == [2, 1]
