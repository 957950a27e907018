"""Items put over HTTP are recommendable within a moment, long before a training; deleted ones are gone at once.

The catalogue takes a change before it is acknowledged. The model then grows in the background by the items that it was
not trained with, from their text (``training/new_items.py``); so does every model that is loaded later.
"""

import logging
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from freshet.contract import Item
from ingestion.live_items import ItemChange, SqliteLiveItems
from serving.current_snapshot import CurrentSnapshot
from serving.snapshot import ServedModel
from training.backbones import BackboneError
from training.llm_recommender import LLMRecommender
from training.new_items import extended, first_items
from training.text_tower import item_text

PUT_WAIT_SECONDS: Final = 1.0
"""How long an item that was put waits for the model to take it; then it is acknowledged all the same."""
_POLL_SECONDS: Final = 0.25
"""How soon changes that another process made are noticed."""
_RETRY_SECONDS: Final = 5.0
_READ_AT_ONCE: Final = 1_000

logger = logging.getLogger(__name__)


class LiveItems:
    """Changes of items, what they do to the catalogue, and the model grown by the new ones among them."""

    def __init__(self, store: SqliteLiveItems, current: CurrentSnapshot) -> None:
        """``store`` is the caller's, who closes it after ``stop``; the changes in it hold from the first answer on."""
        self._store, self._current = store, current
        self._changes: dict[str, ItemChange] = {}  # the newest of each item, in the order of their sequences
        self._position = 0
        self._reading, self._growing = threading.Lock(), threading.Lock()
        self._trained: ServedModel | None = None  # the champion as it was trained
        self._served: ServedModel | None = None  # the same, grown
        self._grown_by: Mapping[str, str] = {}  # items and their texts
        self._grown_to = 0
        self._advanced = threading.Condition()
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="live-items", daemon=True)
        self.fault: str | None = None
        self._take_in()

    def start(self) -> None:
        """Begin to follow the changes."""
        self._thread.start()

    def stop(self) -> None:
        """End after the growth at hand."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    @property
    def is_running(self) -> bool:
        """Changes are being followed."""
        return self._thread.is_alive()

    def get(self, item_id: str) -> ItemChange | None:
        """The newest change of an item."""
        return self._changes.get(item_id)

    def put(self, item: Item) -> bool:
        """Store an item, durably and for all to see; true when the served model ranks it too by now."""
        sequence = self._store.put(item)
        self._take_in()
        self._wake.set()
        with self._advanced:
            self._advanced.wait_for(lambda: self._grown_to >= sequence, PUT_WAIT_SECONDS)
        model = self._current.snapshot.model
        return model is not None and item.item_id in model.item_index

    def delete(self, item_id: str) -> datetime:
        """Hide an item everywhere from now on; the moment of it."""
        item = Item(item_id=item_id, title=item_id, updated_at=datetime.now(UTC))
        self._store.delete(item)
        self._take_in()
        return item.updated_at

    def serve(self, model: ServedModel) -> None:
        """Let this model answer, grown by what was put meanwhile; until it is ready, the one before it answers on."""
        with self._growing:
            self._trained, self._served, self._grown_by = model, model, {}
            self._grow()

    def _take_in(self) -> None:
        with self._reading:
            taken: list[ItemChange] = []
            while changes := self._store.read(self._position, _READ_AT_ONCE):
                for change in changes:
                    self._changes.pop(change.item.item_id, None)
                    self._changes[change.item.item_id] = change
                taken += changes
                self._position = changes[-1].sequence
            if taken:
                self._current.change_items(taken)

    def _grow(self) -> None:
        """Put the model into the snapshot, grown by every item that it was not trained with."""
        position = self._position
        if self._trained is not None:
            try:
                self._served, self._grown_by = self._grown(self._trained, self._served or self._trained)
                self.fault = None
            except (BackboneError, OSError, sqlite3.Error) as error:
                logger.warning("the model cannot read new items", extra={"error": str(error)})
                self.fault = f"new items cannot be read: {error}"
            self._current.set_model(self._served or self._trained)
        with self._advanced:
            self._grown_to = position
            self._advanced.notify_all()

    def _grown(self, trained: ServedModel, served: ServedModel) -> tuple[ServedModel, Mapping[str, str]]:
        with self._reading:
            changes = list(self._changes.values())
        if trained.tower is None:
            return trained, {}
        new = [change for change in changes if change.item.item_id not in trained.item_index]
        # What was deleted keeps its row, which is hidden, until the next model.
        texts = {change.item.item_id: text_of(change.item) for change in new if not change.is_deleted}
        if any(texts.get(item_id, text) != text for item_id, text in self._grown_by.items()):
            served, already = trained, {}  # an item reads differently now, and rows are never rewritten
        else:
            already = dict(self._grown_by)
        added = {item_id: text for item_id, text in texts.items() if item_id not in already}
        if not added:
            return served, already
        vectors = trained.tower.items(list(added.values()))
        recommender = extended(served.recommender, list(added), vectors)
        first = len(served.item_index)
        index = served.item_index | {item_id: first + place for place, item_id in enumerate(added)}
        quick = served.quick.grown(recommender) if served.quick else None
        self._trained = _read_from(trained, recommender)
        return replace(served, recommender=recommender, item_index=index, quick=quick), already | added

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._follow()
            if self.fault:
                self._stopping.wait(_RETRY_SECONDS)
            self._wake.wait(_POLL_SECONDS)
            self._wake.clear()

    def _follow(self) -> None:
        try:
            self._take_in()
        except sqlite3.Error as error:
            self.fault = f"changes of items cannot be read: {error}"
            return
        if self._position > self._grown_to or self.fault:
            with self._growing:
                self._grow()


def _read_from(trained: ServedModel, grown: LLMRecommender) -> ServedModel:
    """The model as it was trained, as the first rows of the grown one: its own arrays are not kept beside those."""
    recommender = first_items(grown, trained.n_trained)
    quick = trained.quick.read_from(recommender) if trained.quick else None
    return replace(trained, recommender=recommender, quick=quick)


def text_of(item: Item) -> str:
    """What the language model reads of an item; its users' words come with the next training."""
    return item_text(item.title, item.categories, item.tags, item.attributes, item.description)
