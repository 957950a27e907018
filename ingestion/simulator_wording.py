"""Simulated people and events in the contract's terms: ids, clocks and the words that people use."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np

from ingestion.simulator_catalogue import Catalogue
from ingestion.simulator_events import IMPRESSION, KINDS, RATING, SEARCH, Rows
from ingestion.simulator_world import Ints, World

_COUNTRIES = ("AT", "DE", "DK", "ES", "FR", "GB", "IE", "IT", "NL", "PL", "PT", "SE")


class Wording:
    """Turns columns of numbers into records."""

    def __init__(self, world: World) -> None:
        """Words are drawn from streams of their own, so that they never change what happens."""
        self._world, self._catalogue = world, Catalogue(world)
        self._width = max(4, len(str(world.config.n_users)))
        # Written once: events name each of them many times.
        self._user_ids = [self.user_id(user) for user in range(world.config.n_users)]
        self._item_ids = [self._catalogue.item_id(item) for item in range(world.config.n_items)]

    def user_id(self, user: int) -> str:
        """Tells nothing about the person."""
        return f"user-{user:0{self._width}d}"

    def users(self) -> Iterator[dict[str, object]]:
        """All people; some have said which domains they are interested in."""
        people, topics = self._world.users, self._world.topics
        rng = np.random.default_rng([self._world.config.seed, 7])
        for user in range(self._world.config.n_users):
            attributes: dict[str, object] = {"country": _COUNTRIES[rng.integers(len(_COUNTRIES))]}
            if people.tells_interests[user]:
                best = np.argsort(-people.topic_taste[user])[:3]
                attributes["interests"] = sorted({topics[topic].domain for topic in best})
            created_at = self._world.config.start + timedelta(days=int(people.first_day[user]))
            yield {"user_id": self.user_id(user), "attributes": attributes, "created_at": created_at}

    def events(self, day: int, rows: Rows, received_us: Ints, event_ids: list[str]) -> Iterator[dict[str, object]]:
        """The rows of one day as events."""
        rng = np.random.default_rng([self._world.config.seed, 8, day])
        start, columns = self._world.config.start, (rows.kind, rows.user, rows.item, rows.at_us, received_us)
        numbers = (rows.session, rows.recommendation, rows.rank)
        user_ids, item_ids = self._user_ids, self._item_ids
        listed = zip(event_ids, *(column.tolist() for column in (*columns, *numbers, rows.value)), strict=True)
        for event_id, kind, user, item, at_us, arrival_us, session, recommendation, rank, value in listed:
            occurred_at = _moment(start, at_us)
            event: dict[str, object] = {
                "event_id": event_id,
                "event_type": KINDS[kind],
                "user_id": user_ids[user],
                "occurred_at": occurred_at,
                "received_at": occurred_at if arrival_us == at_us else _moment(start, arrival_us),
            }
            if kind == SEARCH:
                event["text"] = self._catalogue.search(item, rng)
            else:
                event["item_id"] = item_ids[item]
            if kind == RATING:
                event["text"] = self._catalogue.review(item, value, rng)
            if value == value:  # not NaN, which stands for none
                event["value"] = value
            if session >= 0:
                event["session_id"] = f"session-{session}"
            if recommendation >= 0:
                event["recommendation_id"] = f"list-{recommendation}"
            if kind == IMPRESSION:
                event["properties"] = {"rank": rank}
            yield event


def _moment(start: datetime, microseconds: int) -> datetime:
    return start + timedelta(microseconds=microseconds)
