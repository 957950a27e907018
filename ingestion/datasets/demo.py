"""The simulated world as a dataset: the default, made on the spot from a seed, with the truth about it beside the home.

Delivery is as imperfect as in life: some events arrive hours late, and some are sent twice.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from ingestion.datasets.adapter import DatasetContext, hash_of
from ingestion.day_files import write_table
from ingestion.lake_schema import RecordType
from ingestion.landing import RawBatch, RawRow, in_batches
from ingestion.simulator import DAY_US, Simulator
from ingestion.simulator_catalogue import Catalogue
from ingestion.simulator_events import Rows
from ingestion.simulator_wording import Wording
from ingestion.simulator_world import World, WorldConfig, build_world

ADAPTER_VERSION = "1"
NAME = "demo"
SHARE_LATE = 0.015
SHARE_SENT_TWICE = 0.002
MEAN_DELAY_US = 3 * 3_600_000_000


def open_dataset(context: DatasetContext) -> "Demo":
    """A simulated shop, made on the spot: FRESHET_SEED and FRESHET_DEMO_* say which.

    The truth about it (who would like what) is written beside the home, so that a recommender can be judged by it.
    """
    return Demo(context)


class Demo:
    """The adapter of the simulated world."""

    name = NAME
    licence = "simulated, free for any use"

    def __init__(self, context: DatasetContext) -> None:
        """Nothing is simulated before ``read``."""
        self._config, self._truth_dir = context.simulation, context.truth_dir
        self._n_days = self._config.n_days - context.simulation_live_days
        self.world = str(self._config)
        self.origin = f"simulated {self.world}"

    def fingerprint(self) -> str:
        """The config is all there is to a simulated world."""
        days = "" if self._n_days == self._config.n_days else f" the first {self._n_days} days"
        return hash_of(iter([f"{ADAPTER_VERSION} {self._config!r}{days}".encode()]))

    def read(self) -> Iterator[RawBatch]:
        """The catalogue, the people, then day after day; exports the truth first."""
        for part in demo_batches(self._config, self._truth_dir, self._n_days):
            yield from part


def demo_batches(config: WorldConfig, truth_dir: Path, n_days: int | None = None) -> Iterator[Iterator[RawBatch]]:
    """A world's batches, part by part: the catalogue and the people, then its first days; exports the truth first.

    A part is read to its end before the next one is asked for.
    """
    world = build_world(config)
    catalogue, wording = Catalogue(world), Wording(world)
    export_truth(world, truth_dir)
    items = in_batches(RecordType.ITEM, "catalogue", _numbered(catalogue.items()))
    yield chain(items, in_batches(RecordType.USER, "people", _numbered(wording.users())))
    n_days = config.n_days if n_days is None else n_days
    for day, happened in enumerate(islice(Simulator(world).days(), n_days)):
        delivered = _delivered(world, day, happened, n_days)
        yield in_batches(RecordType.EVENT, f"day-{day:04d}", _numbered(wording.events(day, *delivered)))


def export_truth(world: World, folder: Path) -> None:
    """Write what only a simulation knows: preference(user, item) is the product of their ``factors``."""
    catalogue, wording = Catalogue(world), Wording(world)
    for name, ids, factors in (
        ("users", [wording.user_id(user) for user in range(world.config.n_users)], world.user_factors()),
        ("items", [catalogue.item_id(item) for item in range(world.config.n_items)], world.item_factors()),
    ):
        flat = pa.array(factors.astype(np.float32).ravel())
        column = pa.FixedSizeListArray.from_arrays(flat, factors.shape[1])
        write_table(pa.table({f"{name[:-1]}_id": ids, "factors": column}), folder / f"{name}.parquet")


def live_days(config: WorldConfig, n_live_days: int) -> Iterator[list[dict[str, object]]]:
    """What arrives on each of a world's newest days, in the order of arrival; all before that is the dataset's."""
    world, first = build_world(config), config.n_days - n_live_days
    wording, late = Wording(world), list[dict[str, object]]()
    for day, happened in enumerate(Simulator(world).days()):
        if day >= first:
            sent = [*late, *wording.events(day, *_delivered(world, day, happened, config.n_days))]
            midnight = config.start + timedelta(days=day + 1)
            late = [event for event in sent if _received_at(event) >= midnight]
            yield sorted((event for event in sent if _received_at(event) < midnight), key=_received_at)


def _received_at(event: dict[str, object]) -> datetime:
    received_at = event["received_at"]
    assert isinstance(received_at, datetime)
    return received_at


def _delivered(world: World, day: int, happened: Rows, n_days: int) -> tuple[Rows, np.ndarray, list[str]]:
    """The day's events as they were sent: with the time of arrival within ``n_days``, an id, and some of them twice."""
    rng, n = np.random.default_rng([world.config.seed, 6, day]), len(happened)
    delay = np.where(rng.random(n) < SHARE_LATE, rng.exponential(MEAN_DELAY_US, n), 0).astype(np.int64)
    end = n_days * DAY_US - 1
    received_us = np.maximum(happened.at_us, np.minimum(happened.at_us + delay, end))
    letters = rng.bytes(16 * n).hex()
    ids = [letters[32 * number : 32 * number + 32] for number in range(n)]
    again = np.flatnonzero(rng.random(n) < SHARE_SENT_TWICE)
    sent = np.concatenate([np.arange(n), again])
    return happened.take(sent), received_us[sent], [ids[number] for number in sent]


def _numbered(records: Iterator[dict[str, object]]) -> Iterator[RawRow]:
    return (RawRow(line, record) for line, record in enumerate(records, start=1))
