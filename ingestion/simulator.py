"""What people do in the simulated world: sessions that follow tastes, moods, habits and fashions, day after day.

All sessions of a day take their steps together, as numpy arrays, and a day is forgotten before the next one is drawn:
memory depends on a day's events, not on all of them. Nobody chooses from the whole catalogue. At each step people meet
a few things (what comes after the last one, of the topic on their mind, from their scenes, what everybody sees) and
take the one that pleases most, with some chance in it.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ingestion.simulator_events import (
    ADD_TO_CART,
    CLICK,
    HIDE,
    IMPRESSION,
    LIKE,
    PURCHASE,
    RATING,
    SEARCH,
    VIEW,
    Rows,
    joined,
    rows,
)
from ingestion.simulator_exposure import Exposure
from ingestion.simulator_world import Floats, Ints, World

DAY_US = 86_400_000_000
EVENTS_PER_SESSION = 8.4
"""Measured over default worlds, impressions and searches included: turns wished events into sessions."""

MAX_SESSIONS_A_DAY = 3
MAX_STEPS = 20
MEMORY = 64
"""Things that a person remembers having met lately, and rarely looks at again."""

FOLLOWING = 0.35
"""How often one thing leads to the next that belongs to it."""

FOLLOW_UP_PULL = np.array([2.2, 1.4, 0.8])
TASTE, MOOD = 1.4, 0.8
LIST_LENGTH = 8
POSITION_BIAS = 0.55
"""How fast attention falls along a list: place r is looked at with probability r ** -0.55."""

_WEEKDAY = np.array([0.95, 0.9, 0.9, 0.95, 1.0, 1.15, 1.15])
_HOUR = np.array([1, 0.5, 0.3, 0.2, 0.2, 0.4, 1, 2, 3, 3, 3, 3.2, 3.8, 3.4, 3, 3, 3.2, 4, 5, 6, 7, 6.5, 4.5, 2.4])


def attention(n: int) -> Floats:
    """The chance that somebody looks at each place of a list of n."""
    return np.asarray(np.arange(1, n + 1) ** -POSITION_BIAS)


class Simulator:
    """The people of a world, living through its days in order."""

    def __init__(self, world: World) -> None:
        """Everybody starts with an empty memory and nothing on their mind."""
        config = world.config
        self._world, self._rng = world, np.random.default_rng([config.seed, 4])
        self._exposure = Exposure(world, np.random.default_rng([config.seed, 5]))
        self._mood = np.full(config.n_users, -1)
        self._last = np.full(config.n_users, -1)
        self._memory = np.full((config.n_users, MEMORY), -1)
        self._n_met = np.zeros(config.n_users, dtype=np.int64)
        self._n_sessions = self._n_lists = 0
        self._reviews: list[Rows] = []

    def days(self) -> Iterator[Rows]:
        """Each day's events in the order of time, reviews of earlier purchases among them."""
        for day in range(self._world.config.n_days):
            self._exposure.open_day(day)
            lived = [part for users, now in self._sessions(day) for part in self._live(day, users, now)]
            yield self._collected(day, lived)

    def _sessions(self, day: int) -> Iterator[tuple[Ints, Ints]]:
        """(users, start times) in rounds: a person's second session of a day follows the first."""
        users, config = self._world.users, self._world.config
        activity = users.activity * (users.first_day <= day)
        expected = config.n_events / EVENTS_PER_SESSION / config.n_days * _WEEKDAY[day % 7]
        counts = np.minimum(self._rng.poisson(activity / activity.sum() * expected), MAX_SESSIONS_A_DAY)
        hours = self._rng.choice(24, (config.n_users, MAX_SESSIONS_A_DAY), p=_HOUR / _HOUR.sum())
        of_day = np.sort((hours + self._rng.random(hours.shape)) * (DAY_US / 24), axis=1).astype(np.int64)
        for turn in range(MAX_SESSIONS_A_DAY):
            visitors = np.flatnonzero(counts > turn)
            if len(visitors):
                yield visitors, day * DAY_US + of_day[visitors, turn]

    def _live(self, day: int, users: Ints, now: Ints) -> Iterator[Rows]:
        """One session of each of these users: a mood, perhaps a search or a shown list, then step after step."""
        session = self._n_sessions + np.arange(len(users))
        self._n_sessions += len(users)
        self._change_mood(day, users, self._rng.random(len(users)) > 0.55)
        self._last[users[self._rng.random(len(users)) > 0.6]] = -1  # the thread of the last visit is often lost
        yield self._search(users, session, now)
        now = now + self._pause(len(users))
        yield from self._look_at_list(users, session, now)
        n_steps = np.minimum(1 + self._rng.geometric(0.22, len(users)), MAX_STEPS)
        for step in range(MAX_STEPS):
            going = np.flatnonzero(n_steps > step)
            now[going] += self._pause(len(going))
            self._change_mood(day, users[going], self._rng.random(len(going)) < 0.1)
            items = self._choose(day, users[going])
            yield from self._react(rows(VIEW, users[going], items, now[going], session[going]))

    def _change_mood(self, day: int, users: Ints, is_changing: NDArray[np.bool_]) -> None:
        """A mood is a topic on the mind: it lasts a few visits, and follows taste, season and fashion."""
        changing = users[is_changing | (self._mood[users] < 0)]
        wish = TASTE * self._world.users.topic_taste[changing] + self._exposure.fashion(day)
        self._mood[changing] = np.argmax(wish + self._rng.gumbel(size=wish.shape), axis=1)

    def _choose(self, day: int, users: Ints) -> Ints:
        """The most pleasing of a few things at hand."""
        last, items = self._last[users][:, None], self._world.items
        is_followed = (last >= 0) & (self._rng.random(last.shape) < FOLLOWING)
        follow_ups = np.where(is_followed, items.successors[last[:, 0]], -1)
        of_topic = self._exposure.of_topics(self._mood[users], 10, self._rng)
        of_scene = self._exposure.of_scenes(self._exposure.scenes_of(users, self._rng), 8, self._rng)
        at_hand = np.hstack([follow_ups, of_topic, of_scene, self._exposure.of_all(len(users), 8, self._rng)])
        appeal = TASTE * self._world.preference(users[:, None], at_hand)
        appeal += MOOD * (items.topic[at_hand] == self._mood[users][:, None])
        appeal[:, : len(FOLLOW_UP_PULL)] += FOLLOW_UP_PULL
        appeal[(at_hand[:, :, None] == self._memory[users][:, None, :]).any(axis=2)] -= 6
        appeal[(at_hand < 0) | (items.first_day[at_hand] > day)] = -np.inf
        choice = np.argmax(appeal + self._rng.gumbel(size=appeal.shape), axis=1)
        return np.asarray(at_hand[np.arange(len(users)), choice])

    def _react(self, looks: Rows) -> Iterator[Rows]:
        """Look at a thing; liking it may lead to the cart, to buying it, and days later to a review."""
        users, items, session, n = looks.user, looks.item, looks.session, len(looks)
        yield looks
        self._memory[users, self._n_met[users] % MEMORY] = items
        self._n_met[users] += 1
        self._last[users] = items
        pleasure = self._world.preference(users, items) + self._rng.normal(0, 0.8, n)
        chance, soon = self._rng.random(n), looks.at_us + self._rng.integers(2_000_000, 20_000_000, n)
        yield rows(HIDE, users, items, soon, session).take((pleasure < -0.8) & (chance < 0.15))
        yield rows(LIKE, users, items, soon, session).take((pleasure > 1.5) & (chance < 0.06))
        wants = (pleasure > 1.0) & (chance > 0.85)
        yield rows(ADD_TO_CART, users, items, soon, session).take(wants)
        buys = np.flatnonzero(wants & (self._rng.random(n) < 0.5))
        yield rows(PURCHASE, users, items, soon + 5_000_000, session, value=np.ones(n)).take(buys)
        self._reviews.append(self._review(users[buys], items[buys], soon[buys], pleasure[buys]))

    def _review(self, users: Ints, items: Ints, bought_at: Ints, pleasure: Floats) -> Rows:
        """Some buyers say some days later what they think."""
        n = len(users)
        stars = np.clip(np.round(2.6 + 0.8 * pleasure + self._rng.normal(0, 0.7, n)), 1, 5)
        written_at = bought_at + (self._rng.lognormal(1.0, 0.6, n) * DAY_US).astype(np.int64)
        written = rows(RATING, users, items, written_at, np.full(n, -1), value=stars)
        return written.take(self._rng.random(n) < 0.45)

    def _search(self, users: Ints, session: Ints, now: Ints) -> Rows:
        """A query asks for a thing of the mood."""
        wanted = self._exposure.of_topics(self._mood[users], 1, self._rng)[:, 0]
        return rows(SEARCH, users, wanted, now, session).take(self._rng.random(len(users)) < 0.3)

    def _look_at_list(self, users: Ints, session: Ints, now: Ints) -> Iterator[Rows]:
        """Some visits begin with a list by a simple shop: half bestsellers, half of the topic, in any order."""
        viewers = np.flatnonzero(self._rng.random(len(users)) < 0.13)
        users, session, now = users[viewers], session[viewers], now[viewers]
        of_topic = self._exposure.of_topics(self._mood[users], LIST_LENGTH // 2, self._rng)
        of_all = self._exposure.of_all(len(users), LIST_LENGTH - LIST_LENGTH // 2, self._rng)
        items = self._rng.permuted(np.hstack([of_topic, of_all]), axis=1)
        is_new = _first_in_row(items)
        lists = self._n_lists + np.arange(len(users))
        self._n_lists += len(users)
        pleasure = TASTE * self._world.preference(users[:, None], items) + self._rng.logistic(size=items.shape)
        clicked = is_new & (self._rng.random(items.shape) < attention(LIST_LENGTH)) & (pleasure > 1.2)
        for place in range(LIST_LENGTH):
            here, later, rank = items[:, place], now + (place + 1) * 3_000_000, place + 1
            shown = rows(IMPRESSION, users, here, now + place, session, recommendation=lists, rank=rank)
            yield shown.take(is_new[:, place])
            answers = rows(CLICK, users, here, later, session, recommendation=lists, rank=rank)
            yield from self._react(answers.take(clicked[:, place]))

    def _pause(self, n: int) -> Ints:
        """Between two looks: most often half a minute, never as long as a session's end."""
        return np.asarray((np.minimum(self._rng.lognormal(3.4, 0.9, n), 1_200) * 1e6).astype(np.int64))

    def _collected(self, day: int, lived: list[Rows]) -> Rows:
        """The day's events and the reviews due by its end, in the order of time."""
        reviews = joined(self._reviews)
        is_due = reviews.at_us < (day + 1) * DAY_US
        self._reviews = [reviews.take(~is_due)]
        events = joined([*lived, reviews.take(is_due)])
        return events.take(np.argsort(events.at_us, kind="stable"))


def _first_in_row(items: Ints) -> NDArray[np.bool_]:
    """Where a thing stands for the first time in its list."""
    is_same_before = np.tril(items[:, :, None] == items[:, None, :], k=-1)
    return np.asarray(~is_same_before.any(axis=2))
