"""What people come across in the simulated shop: some things are seen more than others, and that changes by the day."""

import numpy as np

from ingestion.simulator_world import Floats, Ints, World

NEWNESS_BOOST = 4.0
NEWNESS_DAYS = 5.0
VIRAL_BOOST = 10.0
VIRAL_DAYS = 4
SCENE_CHOICE = np.array([0.55, 0.85, 1.0])
"""Cumulative chance of the first, second and third scene of a person."""


class Exposure:
    """Draws things by how much they are seen: by topic, by scene, or from the whole shop."""

    def __init__(self, world: World, rng: np.random.Generator) -> None:
        """Seasons, fashions and the things that will go viral are fixed here, for every day of the world."""
        config, items = world.config, world.items
        n_topics = len(world.topics)
        self._items, self._scenes = items, np.argsort(-world.users.scene_taste, axis=1)[:, :3]
        phase, strength = rng.uniform(0, 2 * np.pi, n_topics), rng.gamma(2.0, 0.25, n_topics)
        days = np.arange(config.n_days)
        self._fashion = strength * np.cos(2 * np.pi * days[:, None] / 365.25 + phase)
        for start in range(0, config.n_days, 5):  # every few days something is the talk of the town
            self._fashion[start : start + 4, rng.integers(n_topics)] += 1.5
        n_viral = max(1, config.n_items // 1_000)
        self._viral = rng.integers(0, config.n_items, (config.n_days, n_viral))
        self._shelves = {
            "topic": _Shelves(items.topic, n_topics),
            "scene": _Shelves(items.scene, world.n_scenes),
            "all": _Shelves(np.zeros_like(items.topic), 1),
        }

    def open_day(self, day: int) -> None:
        """New things get a place in the window, and yesterday's sensation still has one."""
        age = day - self._items.first_day
        seen = self._items.popularity * (1 + NEWNESS_BOOST * np.exp(-age / NEWNESS_DAYS) * (self._items.first_day > 0))
        seen = np.where(age >= 0, seen, 0)
        seen[self._viral[max(0, day - VIRAL_DAYS + 1) : day + 1].ravel()] *= VIRAL_BOOST
        for shelves in self._shelves.values():
            shelves.fill(seen)

    def fashion(self, day: int) -> Floats:
        """(topics,): how much each topic is in season."""
        return np.asarray(self._fashion[day])

    def scenes_of(self, users: Ints, rng: np.random.Generator) -> Ints:
        """The scene that each of these people listens to just now."""
        return np.asarray(self._scenes[users, np.searchsorted(SCENE_CHOICE, rng.random(len(users)))])

    def of_topics(self, topics: Ints, n: int, rng: np.random.Generator) -> Ints:
        """(len(topics), n) things of these topics."""
        return self._shelves["topic"].draw(topics, n, rng)

    def of_scenes(self, scenes: Ints, n: int, rng: np.random.Generator) -> Ints:
        """(len(scenes), n) things of these scenes."""
        return self._shelves["scene"].draw(scenes, n, rng)

    def of_all(self, n_people: int, n: int, rng: np.random.Generator) -> Ints:
        """(n_people, n) things from anywhere."""
        return self._shelves["all"].draw(np.zeros(n_people, dtype=np.int64), n, rng)


class _Shelves:
    """Weighted draws from many groups at once: one cumulative table in which group g lies between g and g + 1."""

    def __init__(self, group: Ints, n_groups: int) -> None:
        self._order = np.argsort(group, kind="stable")
        self._group = group[self._order]
        self._starts = np.searchsorted(self._group, np.arange(n_groups))

    def fill(self, weights: Floats) -> None:
        sums = np.cumsum(weights[self._order])
        before = np.concatenate([[0.0], sums])[self._starts]
        total = np.append(before[1:], sums[-1]) - before
        # A group of nothing available keeps its first thing; whoever draws checks what is available.
        share = (sums - before[self._group]) / np.where(total > 0, total, 1.0)[self._group]
        self._table = np.where(total[self._group] > 0, share, 1.0) + self._group

    def draw(self, groups: Ints, n: int, rng: np.random.Generator) -> Ints:
        position = np.searchsorted(
            self._table, groups[:, None] + rng.random((len(groups), n)) * (1 - 1e-9), side="right"
        )
        return np.asarray(self._order[np.minimum(position, len(self._order) - 1)])
