"""The simulated shop's catalogue and the words of its visitors: text that says what a thing is and what it is for."""

from collections.abc import Iterator
from datetime import timedelta

import numpy as np

from ingestion.simulator_taxonomy import BRANDS, COLOURS, STYLES, Style, Topic
from ingestion.simulator_world import World

_BASE_PRICE = 38.0


class Catalogue:
    """Ids and texts of a world's items."""

    def __init__(self, world: World) -> None:
        """Nothing is drawn here: the text of an item depends on the seed and on its own number alone."""
        self._world = world
        self._width = max(4, len(str(world.config.n_items)))

    def item_id(self, item: int) -> str:
        """Tells nothing about the item."""
        return f"item-{item:0{self._width}d}"

    def item_number(self, item_id: str) -> int | None:
        """The item of that id; None for ids of another world."""
        number = item_id.removeprefix("item-")
        is_ours = (
            number.isdecimal() and int(number) < self._world.config.n_items and self.item_id(int(number)) == item_id
        )
        return int(number) if is_ours else None

    def items(self) -> Iterator[dict[str, object]]:
        """All items in the contract's terms, in the order of their numbers."""
        for item in range(self._world.config.n_items):
            yield self._item(item)

    def search(self, item: int, rng: np.random.Generator) -> str:
        """What somebody types who is looking for such a thing."""
        topic, style, product = self._kind(item)
        return str(
            rng.choice(
                [
                    product,
                    f"{rng.choice(style.adjectives)} {product}",
                    f"{product} for {rng.choice(topic.uses)}",
                    f"{product} with {rng.choice(topic.features)}",
                    f"{topic.name.lower()} {rng.choice(topic.uses)}",
                ]
            )
        )

    def review(self, item: int, stars: float, rng: np.random.Generator) -> str:
        """What somebody writes who gives so many stars."""
        topic, style, product = self._kind(item)
        use, feature, promise = rng.choice(topic.uses), rng.choice(topic.features), rng.choice(style.promises)
        if stars >= 4:
            praise = rng.choice(["Love it", "Exactly right", "Better than I hoped", "Would buy again", "A joy to use"])
            return f"{praise}: perfect for {use}, and very happy about {feature}. Really {promise}."
        if stars >= 3:
            return f"Decent {product}. Fine for {use}, though I had hoped for more from {feature}."
        complaint = rng.choice(["Disappointed", "Not for me", "Sent it back", "Expected more"])
        return f"{complaint}: {product}, no good for {use}, let down by {feature}."

    def _kind(self, item: int) -> tuple[Topic, Style, str]:
        items = self._world.items
        topic = self._world.topics[items.topic[item]]
        return topic, STYLES[items.style[item]], topic.products[items.product[item]]

    def _item(self, item: int) -> dict[str, object]:
        topic, style, product = self._kind(item)
        rng = np.random.default_rng([self._world.config.seed, 3, item])
        brand, colour = BRANDS[rng.integers(len(BRANDS))], COLOURS[rng.integers(len(COLOURS))]
        adjective = style.adjectives[rng.integers(len(style.adjectives))]
        since = self._world.config.start + timedelta(days=int(self._world.items.first_day[item]))
        return {
            "item_id": self.item_id(item),
            "title": _title(brand, adjective, product, topic, rng),
            "description": _description(adjective, product, topic, style, colour, rng),
            "categories": [topic.domain, topic.name],
            "tags": sorted({style.name, product}),
            "price": round(_BASE_PRICE * style.price_factor * float(rng.lognormal(0, 0.4)), 2),
            "attributes": {"brand": brand, "colour": colour, "style": style.name},
            "available_from": since,
            "updated_at": since,
        }


def _title(brand: str, adjective: str, product: str, topic: Topic, rng: np.random.Generator) -> str:
    use = topic.uses[rng.integers(len(topic.uses))]
    forms = (
        f"{brand} {adjective} {product}",
        f"{adjective} {product} by {brand}",
        f"{brand} {product}, {adjective}",
        f"{adjective} {product} for {use}",
    )
    title = forms[rng.integers(len(forms))]
    return title[0].upper() + title[1:]


def _description(
    adjective: str, product: str, topic: Topic, style: Style, colour: str, rng: np.random.Generator
) -> str:
    use, other_use = (topic.uses[index] for index in rng.permutation(len(topic.uses))[:2])
    feature, other_feature = (topic.features[index] for index in rng.permutation(len(topic.features))[:2])
    promise = style.promises[rng.integers(len(style.promises))]
    opening = (
        f"{adjective[0].upper()}{adjective[1:]} {product} for {use}.",
        f"Made for {use}: {adjective} {product}.",
        f"For {use} and {other_use}: {adjective} {product}.",
    )[rng.integers(3)]
    middle = (
        f"It comes with {feature} and {other_feature}.",
        f"Look out for {feature}, and for {other_feature}.",
        f"With {feature}, in {colour}.",
    )[rng.integers(3)]
    return f"{opening} {middle} {promise[0].upper()}{promise[1:]}."
