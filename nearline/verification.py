"""Is what is served what the warehouse says? Online rows against the marts, feature by feature; wrong ones are mended.

Equality is exact, also for users who are active meanwhile: their row must be the mart's with every live event since
folded in, up to where the worker has come. Rows that the marts have changed since the last fill are left to the next.
"""

import logging
import math
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from freshet.feature_store import (
    MARTS,
    USER_RECENT_EVENTS,
    FeatureStoreError,
    Mart,
    data_end,
    entities_outside,
    filled_rows,
    open_store,
)
from freshet.settings import Settings
from ingestion.event_log import SqliteEventLog
from ingestion.lake import Lake
from nearline.feast_rows import response_rows
from nearline.live_events import LiveEvents, sequence_in_marts
from nearline.offsets import SqliteOffsets
from nearline.session_features import UserState, from_feature_row, to_feature_row
from nearline.user_states import FeastUserStates
from nearline.worker import CONSUMER

logger = logging.getLogger(__name__)

Row = dict[str, Any]


@dataclass(frozen=True)
class Mismatch:
    """An online row that is not what it must be."""

    entity_id: str
    features: tuple[str, ...]
    """In which features it differs."""
    expected: Row
    mart_row: Row


@dataclass(frozen=True)
class ViewReport:
    """What was found of one view."""

    mart: Mart
    n_checked: int
    n_behind: int
    """Rows that the mart has changed since the last fill: the next one brings them."""
    mismatches: tuple[Mismatch, ...] = ()
    n_repaired: int = 0

    @property
    def by_feature(self) -> dict[str, int]:
        """How many rows are wrong in each feature, the worst first."""
        return dict(Counter(feature for mismatch in self.mismatches for feature in mismatch.features).most_common())

    @property
    def mismatch_share(self) -> float:
        """Wrong rows among those checked."""
        return len(self.mismatches) / self.n_checked if self.n_checked else 0.0

    def __str__(self) -> str:
        counts = ", ".join(f"{feature} {n}" for feature, n in self.by_feature.items())
        names = ", ".join(repr(mismatch.entity_id) for mismatch in self.mismatches[:3])
        return (
            f"{self.mart.view}: {len(self.mismatches)} of {self.n_checked} online rows differ from {self.mart.name}"
            f" ({counts}), such as {self.mart.join_key} {names}; {self.n_repaired} repaired"
        )


def verify_features(settings: Settings, sample_size: int | None = None, is_repairing: bool = True) -> list[ViewReport]:
    """Compare online rows with the marts: all of them, or a sample of each mart.

    Wrong rows are replaced by what they must be. Raises FeatureStoreError when more are wrong than the settings allow,
    repaired or not: whatever made them wrong is still there.
    """
    data_end(settings.home)  # there is something to compare with
    horizon = sequence_in_marts(Lake(settings.lake_dir), settings.features_dir)
    with (
        closing(SqliteEventLog(settings.log_path)) as log,
        closing(SqliteOffsets(settings.offsets_path)) as offsets,
    ):
        verifier = _Verifier(open_store(settings.home), LiveEvents(log, horizon), offsets)
        reports = [verifier.verify(settings, mart, sample_size, is_repairing) for mart in MARTS]
    wrong = [report for report in reports if report.mismatches]
    for report in wrong:
        logger.warning("online rows differ from their mart", extra={"view": report.mart.view, "report": str(report)})
    if any(report.mismatch_share > settings.verify_max_mismatch_share for report in wrong):
        raise FeatureStoreError(
            f"{'; '.join(map(str, wrong))}. This is more than FRESHET_VERIFY_MAX_MISMATCH_SHARE allows: "
            "docs/features.md says what may cause it; `freshet features verify --all --repair` mends what is left"
        )
    return reports


@dataclass(frozen=True)
class _Verifier:
    """What is online, and what is known of the events that the marts do not know yet."""

    store: Any
    live: LiveEvents
    offsets: SqliteOffsets

    def verify(self, settings: Settings, mart: Mart, sample_size: int | None, is_repairing: bool) -> ViewReport:
        report = ViewReport(mart, n_checked=0, n_behind=0)
        for part in filled_rows(settings.home, mart, sample_size):
            report = self._checked(report, [row for row, is_filled in part if is_filled], is_repairing)
            report = replace(report, n_behind=report.n_behind + sum(not is_filled for _, is_filled in part))
        if mart.view == USER_RECENT_EVENTS:
            self.live.read_on()
            only_live = entities_outside(settings.home, mart, self.live.user_ids)
            report = self._checked(report, [{"user_id": user_id} for user_id in only_live], is_repairing)
        return report

    def _checked(self, report: ViewReport, rows: list[Row], is_repairing: bool) -> ViewReport:
        wrong = self._mismatches(report.mart, rows)
        n_repaired = self._repair(report.mart, wrong) if wrong and is_repairing else 0
        return replace(
            report,
            n_checked=report.n_checked + len(rows),
            mismatches=(*report.mismatches, *wrong),
            n_repaired=report.n_repaired + n_repaired,
        )

    def _mismatches(self, mart: Mart, rows: list[Row]) -> list[Mismatch]:
        """Rows of the mart whose online row is none of those that it may be."""
        if not rows:
            return []
        position = self.offsets.load(CONSUMER)  # before the rows are read: what it covers is in them
        online = self._online_rows(mart, [row[mart.join_key] for row in rows])
        self.live.read_on()
        found = []
        for row, online_row in zip(rows, online, strict=True):
            allowed = self._allowed(mart, row, position)
            differences = [_differences(online_row, each) for each in allowed]
            if all(differences):
                found.append(Mismatch(row[mart.join_key], differences[0], allowed[-1], row))
        return found

    def _allowed(self, mart: Mart, row: Row, position: int) -> list[Row]:
        """What the online row may be: just one row, unless the worker is folding this user's events right now."""
        if mart.view != USER_RECENT_EVENTS:
            return [{}, row] if row[mart.join_key] in self.live.erased else [row]
        states = self.live.states(from_feature_row(row["user_id"], row), position)
        return [{} if state.known_at is None else to_feature_row(state) for state in states]

    def _online_rows(self, mart: Mart, entity_ids: list[str]) -> list[Row]:
        features = [field.name for field in self.store.get_feature_view(mart.view).features]
        response = self.store.get_online_features(
            features=[f"{mart.view}:{feature}" for feature in features],
            entity_rows=[{mart.join_key: entity_id} for entity_id in entity_ids],
        )
        return response_rows(response, tuple(features))

    def _repair(self, mart: Mart, mismatches: Sequence[Mismatch]) -> int:
        """Replace the rows, and return how many are right now."""
        from nearline.online_store import replace_rows

        right = {wrong.entity_id: wrong.expected for wrong in mismatches if wrong.expected}
        replace_rows(self.store, mart.view, mart.join_key, right)
        if mart.join_key == "user_id":
            users = {wrong.entity_id for wrong in mismatches} & self.live.erased.keys()
            FeastUserStates(lambda: self.store).forget({user_id: self.live.erased[user_id] for user_id in users})
        if mart.view == USER_RECENT_EVENTS:
            # What the worker pushed between the comparison and the replacement is folded once more.
            self.live.read_on()
            newest = [self._newest_state(wrong.mart_row) for wrong in mismatches]
            FeastUserStates(lambda: self.store).save([state for state in newest if state.known_at])
        return len(mismatches) - len(self._mismatches(mart, [wrong.mart_row for wrong in mismatches]))

    def _newest_state(self, row: Row) -> UserState:
        *_, newest = self.live.states(from_feature_row(row["user_id"], row), position=0)
        return newest


def _differences(online: Row, expected: Row) -> tuple[str, ...]:
    """The features in which two rows differ, the moment of the row among them."""
    return tuple(name for name, value in online.items() if not _is_equal(value, expected.get(name)))


def _is_equal(value: Any, other: Any) -> bool:
    return bool(value == other) or bool(_comparable(value) == _comparable(other))


def _comparable(value: Any) -> Any:
    """One spelling of what the mart and Feast spell differently: missing numbers, and moments."""
    if isinstance(value, list):
        return [_comparable(each) for each in value]
    if isinstance(value, datetime):
        return value.timestamp()
    return None if isinstance(value, float) and math.isnan(value) else value
