"""What a request asks for beside the user: a scenario, a query, a filter, variety. The plain list asks for none of it.

A query is one more head of the model. It is read by the language model that read the items, and its likeness to them is
normalised as every head is; names that hold its words are added, and the user's own score with the scenario's weight.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nearline.session_features import RecentEvent, UserState, to_us
from serving.catalogue_index import Mask, name_of
from serving.diversity import POOL, diversified
from serving.filters import ItemFilter
from serving.placed_rules import PlacedRules
from serving.popular_items import PopularItem
from serving.query_parser import ParsedQuery, parse_query
from serving.scenarios import SCENARIOS, Scenario
from serving.schemas import Understood
from serving.snapshot import ServedModel, Snapshot
from training.backbones import BackboneError
from training.blend import normalise

NAME_WEIGHT: Final = 2.0
"""What a name that holds every word of the query counts; the best likeness in meaning counts about as much."""
WHOLE_NAME: Final = 10.0
"""What the item of exactly that name counts: more than anything else together."""
_IS_NAMED: Final = 0.5
"""The share of a query's words, squared, with which a name alone answers it where there is no model."""

Scores = NDArray[np.float32]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wish:
    """As it was asked for."""

    scenario: Scenario = SCENARIOS["home"]
    query: str | None = None
    item_filter: ItemFilter | None = None
    diversity: float = 0.0
    with_item_ids: tuple[str, ...] = ()
    """Items that the list is to go with."""
    explain: bool = False
    """Say of every line what its score is made of."""

    def on(self, snapshot: Snapshot) -> "Plan":
        """What it means for the items of this snapshot."""
        return Plan(self, snapshot)


PLAIN: Final = Wish()
"""A list for the user alone."""


@dataclass(frozen=True)
class Plan:
    """One request's wish over one snapshot."""

    wish: Wish
    snapshot: Snapshot
    turn: int = 0
    """1: what the rules put last."""

    @cached_property
    def query(self) -> ParsedQuery | None:
        """The query without the conditions in it; a name that reads like a condition is none."""
        if self.wish.query is None:
            return None
        index, text = self.snapshot.catalogue.index, self.wish.query
        whole = ParsedQuery(text)
        if name_of(text) in index.titles:
            return whole
        parsed = parse_query(text, index.labels, has_prices=index.has_prices)
        is_beginning = parsed.excluded_words and any(name.startswith(name_of(text)) for name in index.titles)
        return whole if is_beginning else parsed

    @cached_property
    def allowed(self) -> Mask | None:
        """(C,) what filter and query allow of the catalogue; None: everything."""
        if self.wish.item_filter is None and self.wish.query is None:
            return None
        index, query = self.snapshot.catalogue.index, self.query
        allowed = (self.wish.item_filter or ItemFilter()).mask(index)
        if query is None:
            return allowed
        if query.min_price is not None:
            allowed &= index.price >= query.min_price
        if query.max_price is not None:
            allowed &= index.price <= query.max_price
        for label in query.excluded_labels:
            allowed &= ~index.with_label(label)
        for word in query.excluded_words:
            allowed &= ~index.with_word(word)
        for label in query.required_labels:
            allowed &= index.with_label(label)
        return allowed

    @cached_property
    def names(self) -> Scores:
        """(C,) how much of the query stands in each name."""
        return self.snapshot.catalogue.index.names_like(self.query.text if self.query else "")

    @cached_property
    def meaning(self) -> NDArray[np.float32] | None:
        """(E,) the query in the space of the items; None where it has no words or cannot be read."""
        tower = self.snapshot.model.tower if self.snapshot.model else None
        if self.query is None or not self.query.text or tower is None:
            return None
        try:
            return tower.query(self.query.text)
        except (BackboneError, OSError) as error:
            logger.warning("a query cannot be read", extra={"error": str(error)})
            return None

    @cached_property
    def rules(self) -> PlacedRules | None:
        """The scenario's rules over these items; None where it has none."""
        rules = self.wish.scenario.rules
        return self.snapshot.placed(rules) if rules else None

    def turns(self) -> Iterator["Plan"]:
        """This plan, and then, where rules put some items last, the plan for those."""
        yield self
        if self.rules is not None and len(self.rules.turns) > 1:
            yield replace(self, turn=1)

    def can_be_pinned(self, item_id: str, now: datetime) -> bool:
        """Whether the request allows an item that a rule puts onto the list, and there is such a thing to be had."""
        catalogue, model = self.snapshot.catalogue, self.snapshot.model
        item, row = catalogue.get(item_id), catalogue.index.row_of.get(item_id)
        is_known = row is not None or (model is not None and item_id in model.item_index)
        if not is_known or item.is_deleted or (self.rules is not None and self.rules.forbid(item_id)):
            return False
        item_filter = self.wish.item_filter
        is_any = item_filter is not None and item_filter.availability == "any"
        is_allowed = self.allowed is None or (row is not None and bool(self.allowed[row]))
        return is_allowed and (is_any or item.can_be_shown(now))

    @property
    def missing(self) -> set[str]:
        """What this answer has to do without."""
        return {"query"} if self.query is not None and self.query.text and self.meaning is None else set()

    @property
    def has_query(self) -> bool:
        """There are words to go by, so that a list can be made for a user of whom nothing is known."""
        return self.query is not None and bool(self.query.text)

    @property
    def understood(self) -> Understood | None:
        """For the person who asked."""
        query = self.query
        if query is None:
            return None
        return Understood(
            text=query.text,
            min_price=query.min_price,
            max_price=query.max_price,
            without=[*query.excluded_labels, *query.excluded_words],
            only=list(query.required_labels),
        )

    def state(self, state: UserState, now: datetime) -> UserState:
        """The user, doing right now what the list is to go with."""
        events = tuple(
            RecentEvent(f"~{place}", item_id, "view", None, to_us(now))
            for place, item_id in enumerate(self.wish.with_item_ids)
        )
        return replace(state, recent=(*state.recent, *events)) if events else state

    def hidden(self, state: UserState) -> frozenset[str]:
        """What this user is not to see: all they have met, or only what they turned down."""
        if self.wish.scenario.hides_seen:
            seen: Iterable[str] = state.seen
        else:
            seen = (event.item_id for event in state.recent if event.is_negative)
        return frozenset(self.wish.with_item_ids).union(seen)

    def parts(self, model: ServedModel, personal: Mapping[str, Scores]) -> Mapping[str, Scores]:
        """(V,) each: what the user's heads add to the scores, and the query beside them."""
        if not self.has_query:
            return personal
        parts = {head: part * np.float32(self.wish.scenario.personal_weight) for head, part in personal.items()}
        if self.meaning is not None:
            parts["query_meaning"] = normalise(model.recommender.item_vectors @ self.meaning)
        names: Scores = self.snapshot.of_model(self.names, 0)
        parts["query_name"] = np.where(names > 1, np.float32(WHOLE_NAME), np.float32(NAME_WEIGHT) * names)
        return parts

    def may_be_shown(self, model: ServedModel) -> Mask:
        """(V,) what there is and what is allowed, for this caller to change."""
        item_filter = self.wish.item_filter
        if item_filter is not None and item_filter.availability != "now":
            shown = np.ones(len(model.item_index), dtype=bool)
            for item_id, item in self.snapshot.catalogue.changes.items():
                if item.is_deleted and item_id in model.item_index:
                    shown[model.item_index[item_id]] = False
        elif self.snapshot.is_available is None:
            shown = np.ones(len(model.item_index), dtype=bool)
        else:
            shown = self.snapshot.is_available.copy()
        if self.allowed is not None:
            shown &= self.snapshot.of_model(self.allowed, 0)
        if self.rules is not None:
            shown &= self.rules.turns[self.turn]
        return shown

    def pool(self, n: int) -> int:
        """How many of the best lines to choose n from."""
        return n * POOL if self.wish.diversity else n

    def order(self, model: ServedModel, scores: Scores, items: NDArray[np.int64], n: int) -> NDArray[np.int64]:
        """Places of the n best of these lines, best first, as different from one another as was asked for."""
        if not self.wish.diversity:
            return np.arange(len(items))[:n]
        return diversified(scores, model.recommender.item_vectors[items], n, self.wish.diversity)

    def reason(self, item_id: str, otherwise: str) -> str:
        """Why an item is on the list, if a query put it there."""
        if not self.has_query or self.query is None:
            return otherwise
        row = self.snapshot.catalogue.index.row_of.get(item_id)
        is_named = row is not None and self.names[row] >= _IS_NAMED
        return f"Its name has “{self.query.text}”." if is_named else f"Close to “{self.query.text}” in meaning."

    def popular(self) -> Iterator[PopularItem]:
        """What everybody likes, of what is allowed; of a query, what is called so."""
        item_ids: Iterable[str] = self.snapshot.popular.ids()
        rules = self.rules
        if rules is not None:
            item_ids = (item_id for item_id in item_ids if rules.is_turn_of(item_id, self.turn))
        if self.allowed is None:
            yield from map(self.snapshot.popular.line, item_ids)
            return
        row_of = self.snapshot.catalogue.index.row_of
        for item_id in item_ids:
            row = row_of.get(item_id)
            if row is None or not self.allowed[row]:
                continue
            if self.has_query and self.names[row] < _IS_NAMED:
                continue
            item = self.snapshot.popular.line(item_id)
            yield replace(item, reason=self.reason(item_id, item.reason))

    def named_beside_the_model(self) -> Iterator[PopularItem]:
        """What the query names in full and the model cannot rank, such as what came after its training."""
        if not self.has_query:
            return
        ranked = self.snapshot.model.item_index if self.snapshot.model else {}
        item_ids = self.snapshot.catalogue.index.item_ids
        # Not by the difference of sets, which would look at everything that is ranked.
        rows = np.flatnonzero(self.names >= 1).tolist()
        named = {item_id for row in rows if (item_id := item_ids[row]) not in ranked}
        if named:
            yield from (item for item in self.popular() if item.item_id in named)
