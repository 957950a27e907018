"""Which items a request allows: a small grammar in JSON, every part of which must hold. Nothing in it is evaluated."""

from typing import Annotated, Final, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from serving.catalogue_index import CatalogueIndex, Mask, RowsBy, attribute_key

MAX_LABELS: Final = 100
MAX_ATTRIBUTES: Final = 20

Label = Annotated[str, StringConstraints(min_length=1, max_length=256, strip_whitespace=True)]
Labels = Annotated[list[Label], Field(max_length=MAX_LABELS)]
Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]
AttributeValue = (
    Annotated[str, StringConstraints(max_length=256)] | bool | int | Annotated[float, Field(allow_inf_nan=False)]
)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LabelFilter(_Part):
    """Labels in any case; an empty list asks for nothing."""

    any_of: Labels = Field(default_factory=list, description="At least one of these")
    all_of: Labels = Field(default_factory=list, description="Every one of these")
    none_of: Labels = Field(default_factory=list, description="Not one of these")

    def mask(self, index: CatalogueIndex, rows_by_label: RowsBy[str]) -> Mask:
        """(C,) items whose labels are so."""

        def having(label: str) -> Mask:
            return index.mask(rows_by_label.get(label.casefold()))

        allowed = np.ones(len(index), dtype=bool)
        if self.any_of:
            allowed &= np.any([having(label) for label in self.any_of], axis=0)
        for label in self.all_of:
            allowed &= having(label)
        for label in self.none_of:
            allowed &= ~having(label)
        return allowed


class PriceFilter(_Part):
    """A range, its ends included. An item without a price is in no range."""

    min: Price | None = None
    max: Price | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is larger than max {self.max:g}: exchange them")
        return self

    def mask(self, index: CatalogueIndex) -> Mask:
        """(C,) items in the range."""
        allowed = np.ones(len(index), dtype=bool)
        if self.min is not None:
            allowed &= index.price >= self.min
        if self.max is not None:
            allowed &= index.price <= self.max
        return allowed


class ItemFilter(_Part):
    """All parts must hold. What is not named is not looked at."""

    categories: LabelFilter = Field(default_factory=LabelFilter)
    tags: LabelFilter = Field(default_factory=LabelFilter)
    price: PriceFilter = Field(default_factory=PriceFilter)
    attributes: dict[Label, AttributeValue] = Field(
        default_factory=dict,
        max_length=MAX_ATTRIBUTES,
        description="Each must be equal, words in any case; of a list, one value must be",
    )
    availability: Literal["now", "any"] = Field(
        default="now", description="any: also what cannot be had now, or not yet; what was deleted is never shown"
    )

    def mask(self, index: CatalogueIndex) -> Mask:
        """(C,) items of the catalogue that are allowed, whether or not they are available."""
        allowed = self.categories.mask(index, index.categories) & self.tags.mask(index, index.tags)
        allowed &= self.price.mask(index)
        for name, value in self.attributes.items():
            allowed &= index.mask(index.attributes.get(attribute_key(name, value)))
        return allowed
