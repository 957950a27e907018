"""One item over HTTP: told to us, asked for, or told to be forgotten."""

import json
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import ValidationError

from freshet.contract import Item
from serving.catalogue import CatalogueFile
from serving.current_snapshot import CurrentSnapshot
from serving.live_items import LiveItems
from serving.problems import ProblemError, field_problems, shown, summary
from serving.schemas import ItemDeleted, ItemDetails, ItemStored
from serving.strict_json import json_fault, parse_json
from serving.unwritable import unwritable

MAX_ITEM_BYTES: Final = 128 * 1024
_SERVER_FIELDS: Final = ("item_id", "updated_at")
"""What the address and the server's clock say, and not the body."""


@dataclass(frozen=True)
class Items:
    """What is known of items, and the way in for single ones; whole catalogues come as files."""

    live: LiveItems
    file: CatalogueFile
    current: CurrentSnapshot

    def put(self, item_id: str, body: bytes) -> ItemStored:
        """Store an item durably, in place of whatever was known of it. Raises ProblemError."""
        item = _parse(item_id, body)
        try:
            is_recommendable = self.live.put(item)
        except sqlite3.Error as error:
            raise unwritable("the items", error, "the same request") from error
        return ItemStored(**item.model_dump(), is_recommendable=is_recommendable)

    def get(self, item_id: str) -> ItemDetails:
        """All that is known of an item. Raises ProblemError: 404 for an unknown one, 410 for a deleted one."""
        snapshot = self.current.snapshot
        self.check_is_known(item_id)
        known, change = snapshot.catalogue.get(item_id), self.live.get(item_id)
        if change is not None and change.item.updated_at == known.updated_at:
            return ItemDetails(**change.item.model_dump())
        row: dict[str, Any] = self.file.row(item_id) or {"title": known.title, "categories": known.categories}
        row["attributes"] = json.loads(row.get("attributes") or known.attributes)
        lists = {name: row.get(name) or () for name in ("categories", "tags")}
        return ItemDetails(**row | lists | {"item_id": item_id, "is_available": known.is_available})

    def delete(self, item_id: str) -> ItemDeleted:
        """Hide an item everywhere, durably. Raises ProblemError: 404 for an unknown one, 410 for a deleted one."""
        self.check_is_known(item_id)
        try:
            return ItemDeleted(item_id=item_id, deleted_at=self.live.delete(item_id))
        except sqlite3.Error as error:
            raise unwritable("the items", error, "the same request") from error

    def check_is_there(self, item_id: str) -> None:
        """Raise a 410 ProblemError if the item was deleted."""
        if self.current.snapshot.catalogue.get(item_id).is_deleted:
            raise ProblemError(410, f"item {item_id!r} was deleted: PUT it again if it is back")

    def check_is_known(self, item_id: str) -> None:
        """Raise a ProblemError that says why there is no such item, if there is none."""
        self.check_is_there(item_id)
        snapshot = self.current.snapshot
        is_in_model = snapshot.model is not None and item_id in snapshot.model.item_index
        if item_id not in snapshot.catalogue and not is_in_model:
            raise ProblemError(404, f"nothing is known of item {item_id!r}: check the id, or PUT the item")


def _parse(item_id: str, body: bytes) -> Item:
    if len(body) > MAX_ITEM_BYTES:
        raise ProblemError(413, f"the item has {len(body):,} bytes, and the limit is {MAX_ITEM_BYTES:,}")
    raw = parse_json(body)
    if not isinstance(raw, dict):
        raise ProblemError(422, f"an item is a JSON object, and this is {shown(raw)}")
    if fault := json_fault(raw):
        raise ProblemError(422, f"the item {fault}")
    if present := [name for name in _SERVER_FIELDS if name in raw]:
        raise ProblemError(422, f"body.{present[0]}: the path names the item and our clock the moment, so leave it out")
    try:
        return Item.model_validate({**raw, "item_id": item_id, "updated_at": datetime.now(UTC)})
    except ValidationError as error:
        problems = field_problems(error.errors(), ["body"])
        raise ProblemError(422, summary(problems), problems) from None
