"""The simulated world before anything happens in it: who people are, what things are, and who would like what.

The true preference of a user for an item is one number, the product of two vectors, and is known exactly. It has a part
that text can tell (topic and style), a part that only behaviour can tell (scenes: circles of people who pass things on
to each other, across all topics), and the quality of the item, which everybody sees.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
from numpy.typing import NDArray

from ingestion.simulator_taxonomy import STYLES, Topic, topics

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FIRST_DAY = date(2025, 1, 6)
"""A Monday in the past: a world does not depend on the day on which it is made."""

ITEMS_PER_SCENE = 50
SHARE_OF_LATE_ITEMS = 0.3
SHARE_OF_LATE_USERS = 0.25


@dataclass(frozen=True)
class WorldConfig:
    """The size and the seed of a simulated world; the same config is the same world."""

    seed: int = 0
    n_users: int = 2_000
    n_items: int = 3_000
    n_days: int = 60
    n_events: int = 150_000
    """Approximate: what people do is drawn, not counted out."""

    def __str__(self) -> str:
        return (
            f"the demo world of seed {self.seed} ({self.n_users} users, {self.n_items} items, {self.n_days} days, "
            f"{self.n_events} events)"
        )

    @property
    def start(self) -> datetime:
        """Midnight before the first day."""
        return datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC)


@dataclass(frozen=True)
class Users:
    """People. Axes: U users, topics, styles, scenes."""

    topic_taste: Floats  # (U, topics)
    style_taste: Floats  # (U, styles)
    scene_taste: Floats  # (U, scenes)
    activity: Floats  # (U,) sessions, relative to the average person
    first_day: Ints  # (U,) day of signing up, 0 for those who were there before
    tells_interests: NDArray[np.bool_]  # (U,) has declared what they like


@dataclass(frozen=True)
class Items:
    """Things. Axis: V items."""

    topic: Ints
    style: Ints
    scene: Ints
    product: Ints  # position in the topic's list of products
    quality: Floats
    popularity: Floats  # how much a thing is seen, relative to the average one
    first_day: Ints
    successors: Ints  # (V, 3) what people tend to want after this


@dataclass(frozen=True)
class World:
    """Everything there is, and the truth about it."""

    config: WorldConfig
    topics: tuple[Topic, ...]
    users: Users
    items: Items
    n_scenes: int

    def user_factors(self) -> Floats:
        """(U, F): the taste vector of each user; its product with an item's vector is the true preference."""
        users = self.users
        constant = np.ones((self.config.n_users, 1))
        return np.hstack([users.topic_taste, users.style_taste, users.scene_taste, constant])

    def item_factors(self) -> Floats:
        """(V, F): topic, style, scene and quality of each item."""
        items = self.items
        one_hot = [
            np.eye(width)[kind]
            for kind, width in (
                (items.topic, len(self.topics)),
                (items.style, len(STYLES)),
                (items.scene, self.n_scenes),
            )
        ]
        return np.hstack([*one_hot, items.quality[:, None]])

    def preference(self, users: Ints, items: Ints) -> Floats:
        """The true preference, for arrays of users and items that broadcast."""
        tastes, things = self.users, self.items
        return np.asarray(
            tastes.topic_taste[users, things.topic[items]]
            + tastes.style_taste[users, things.style[items]]
            + tastes.scene_taste[users, things.scene[items]]
            + things.quality[items]
        )


def build_world(config: WorldConfig) -> World:
    """Draw a world from its seed."""
    shelves = topics()[: max(5, min(len(topics()), config.n_items // 10))]
    n_scenes = max(4, config.n_items // ITEMS_PER_SCENE)
    items = _draw_items(config, shelves, n_scenes, np.random.default_rng([config.seed, 1]))
    users = _draw_users(config, shelves, n_scenes, np.random.default_rng([config.seed, 2]))
    return World(config, shelves, users, items, n_scenes)


def _draw_users(config: WorldConfig, shelves: tuple[Topic, ...], n_scenes: int, rng: np.random.Generator) -> Users:
    n_users = config.n_users
    activity = rng.lognormal(0, 0.8, n_users)
    is_late = rng.random(n_users) < SHARE_OF_LATE_USERS
    return Users(
        topic_taste=_topic_tastes(n_users, shelves, rng),
        style_taste=rng.normal(0, 0.7, (n_users, len(STYLES))),
        scene_taste=_favourites(n_users, n_scenes, (1, 3), 2.2, rng) + rng.normal(0, 0.2, (n_users, n_scenes)),
        activity=activity / activity.mean(),
        first_day=np.where(is_late, rng.integers(0, config.n_days, n_users), 0),
        tells_interests=rng.random(n_users) < 0.4,
    )


def _topic_tastes(n_users: int, shelves: tuple[Topic, ...], rng: np.random.Generator) -> Floats:
    """People have two or three domains, and within them topics they love and topics they only know."""
    names = sorted({topic.domain for topic in shelves})
    domain = np.array([names.index(topic.domain) for topic in shelves])
    likes_domain = _favourites(n_users, len(names), (1, 3), 1.0, rng)[:, domain]
    depth = rng.normal(1.2, 0.8, (n_users, len(shelves)))
    return np.asarray(rng.normal(-1.0, 0.3, (n_users, len(shelves))) + likes_domain * (1.0 + depth))


def _favourites(n_users: int, n_kinds: int, few: tuple[int, int], strength: float, rng: np.random.Generator) -> Floats:
    """(U, kinds): a few kinds each, some kinds being commoner favourites than others."""
    how_many = rng.integers(few[0], few[1] + 1, n_users)
    commonness = np.log(1 / (1 + np.arange(n_kinds))) * 0.35
    order = np.argsort(-(commonness[rng.permutation(n_kinds)] + rng.gumbel(size=(n_users, n_kinds))), axis=1)
    rank = np.argsort(order, axis=1)
    return np.asarray(np.where(rank < how_many[:, None], strength, 0.0))


def _draw_items(config: WorldConfig, shelves: tuple[Topic, ...], n_scenes: int, rng: np.random.Generator) -> Items:
    n_items = config.n_items
    topic = _shared_out(n_items, len(shelves), rng)
    is_late = rng.random(n_items) < SHARE_OF_LATE_ITEMS
    first_day = np.where(is_late, rng.integers(1, config.n_days, n_items), 0)
    scene = _shared_out(n_items, n_scenes, rng)
    for kind in (topic, scene):
        first_day[np.unique(kind, return_index=True)[1]] = 0  # no shelf and no circle begins empty
    product = rng.integers(0, len(shelves[0].products), n_items)
    return Items(
        topic=topic,
        style=rng.integers(0, len(STYLES), n_items),
        scene=scene,
        product=product,
        quality=rng.normal(0, 0.6, n_items),
        popularity=rng.lognormal(0, 1.3, n_items),
        first_day=first_day,
        successors=_successors(topic, product, shelves, rng),
    )


def _shared_out(n_items: int, n_kinds: int, rng: np.random.Generator) -> Ints:
    """A kind for each item, in equal shares."""
    return np.asarray(rng.permutation(np.arange(n_items) % n_kinds))


def _successors(topic: Ints, product: Ints, shelves: tuple[Topic, ...], rng: np.random.Generator) -> Ints:
    """After a tent comes a mat: three things of the next kinds of product in the same topic, always the same ones."""
    successors = np.empty((len(topic), 3), dtype=np.int64)
    for shelf in range(len(shelves)):
        here = np.flatnonzero(topic == shelf)
        step = (product[here][None, :] - product[here][:, None]) % len(shelves[0].products)
        distance = np.where(step == 0, 9, step) + rng.random((len(here), len(here)))
        nearest = np.argsort(distance, axis=1)[:, :3]
        successors[here] = here[nearest[:, np.arange(3) % nearest.shape[1]]]
    return successors
