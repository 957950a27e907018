"""Business rules: what stands in a list for reasons of the shop, as data that is checked before anything starts.

    - {pin: "318", at: 1}
    - {boost: 0.5, where: {tags: {any_of: [sale]}}, because: Summer sale}
    - {bury: last, where: {categories: {any_of: [Clearance]}}}

What a request forbids (seen, excluded, filtered, not to be had) no rule brings back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from freshet.contract import Identifier
from serving.filters import ItemFilter

MAX_LIST_LENGTH: Final = 100
"""Lines that a request may ask for, and so the last place that a pin may have."""
MAX_RULES: Final = 50
MAX_BOOST: Final = 10.0
"""A score adds up few heads of about 1 to 3 each, so this is first or last, whatever the model says."""


class Rule(BaseModel):
    """One of pin, boost and bury, and what it is about."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    pin: Identifier | None = Field(default=None, description="This item stands at the place `at`")
    at: Annotated[int, Field(ge=1, le=MAX_LIST_LENGTH)] | None = Field(default=None, description="1 is the top")
    boost: Annotated[float, Field(ge=-MAX_BOOST, le=MAX_BOOST, allow_inf_nan=False)] | None = Field(
        default=None, description="Added to the score of items that match; below zero, it holds them back"
    )
    bury: Literal["last", "never"] | None = Field(
        default=None, description="Items that match stand behind all others, or nowhere"
    )
    where: ItemFilter | None = Field(default=None, description="Which items match, as in a request's filter")
    because: Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)] | None = Field(
        default=None, description="What the reason of a line says of it"
    )

    @model_validator(mode="after")
    def _is_one_rule(self) -> Self:
        kinds = [kind for kind in ("pin", "boost", "bury") if getattr(self, kind) is not None]
        if len(kinds) != 1:
            has = " and ".join(kinds) or "none of them"
            raise ValueError(f"a rule is one of pin, boost and bury, and this has {has}: write one rule for each")
        if self.pin is not None:
            self._check_pin()
        else:
            self._check_where(kinds[0])
        return self

    def _check_pin(self) -> None:
        if self.at is None:
            raise ValueError(f"the pin of {self.pin!r} has no place: add `at: 1`, or another one")
        if self.where is not None:
            raise ValueError(f"the pin of {self.pin!r} is about this one item: leave `where` out, or use boost")

    def _check_where(self, kind: str) -> None:
        if self.at is not None:
            raise ValueError(f"only a pin has a place, and this is a {kind}: leave `at` out")
        if self.where is None or self.where == ItemFilter():
            raise ValueError(f"the {kind} matches every item: name categories, tags, price or attributes in `where`")
        if self.where.availability != "now":
            raise ValueError("no rule shows what cannot be had: leave `availability` out of `where`")
        if self.boost == 0:
            raise ValueError("a boost of 0 changes nothing: give another number, or leave the rule out")

    @property
    def words(self) -> str:
        """What a line that it concerns says of it."""
        if self.pin is not None:
            words = f"Stands at place {self.at} by a rule"
        elif self.boost is not None:
            words = "Moved up by a rule" if self.boost > 0 else "Held back by a rule"
        else:
            words = "Put last by a rule"
        return f"{words}: {self.because}." if self.because else f"{words}."


@dataclass(frozen=True, eq=False)
class Rules:
    """The rules of one scenario, in the order of the file."""

    pins: tuple[Rule, ...] = ()  # by place
    matching: tuple[Rule, ...] = ()

    @classmethod
    def of(cls, rules: Sequence[Rule]) -> Self:
        """Raises ValueError where two pins exclude each other."""
        pins = sorted((rule for rule in rules if rule.at is not None), key=lambda rule: rule.at or 0)
        for name, values in (("place", [str(rule.at) for rule in pins]), ("item", [str(rule.pin) for rule in pins])):
            if twice := [value for value in values if values.count(value) > 1]:
                raise ValueError(f"two pins are about {name} {twice[0]}: leave one of them out")
        return cls(tuple(pins), tuple(rule for rule in rules if rule.at is None))

    def __bool__(self) -> bool:
        return bool(self.pins or self.matching)


NO_RULES: Final = Rules()
