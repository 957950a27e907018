"""Which items a filter allows, on five things with every kind of gap."""

import pytest

from serving.catalogue import Catalogue, CatalogueItem
from serving.filters import ItemFilter


def item(item_id, categories=(), tags=(), price=None, attributes="{}"):
    return CatalogueItem(item_id, item_id, categories, None, True, tags, price, attributes)


CATALOGUE = Catalogue(
    {
        each.item_id: each
        for each in (
            item("lamp", ("Home", "Light"), ("new",), 20.0, '{"colour": "Red", "watts": 40, "is_smart": true}'),
            item("rug", ("Home",), (), 100.0, '{"colour": ["Red", "blue"]}'),
            item("torch", ("Light", "Garden"), ("new", "sale"), 5.0, '{"watts": 40.0}'),
            item("gift card", (), ("sale",), None, '{"watts": "40"}'),
            item("mystery"),
        )
    }
)


def allowed(**parts):
    index = CATALOGUE.index
    return [item_id for item_id, is_in in zip(index.item_ids, ItemFilter(**parts).mask(index), strict=True) if is_in]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({}, ["lamp", "rug", "torch", "gift card", "mystery"]),
        ({"categories": {"any_of": ["light"]}}, ["lamp", "torch"]),
        ({"categories": {"all_of": ["Home", "LIGHT"]}}, ["lamp"]),
        ({"categories": {"none_of": ["Home"]}}, ["torch", "gift card", "mystery"]),
        ({"categories": {"any_of": ["Home", "Garden"], "none_of": ["Light"]}}, ["rug"]),
        ({"categories": {"any_of": ["unheard of"]}}, []),
        ({"tags": {"all_of": ["new", "sale"]}}, ["torch"]),
        ({"price": {"min": 5, "max": 20}}, ["lamp", "torch"]),
        ({"price": {"max": 4.99}}, []),
        ({"attributes": {"colour": "red"}}, ["lamp", "rug"]),
        ({"attributes": {"watts": 40}}, ["lamp", "torch"]),
        ({"attributes": {"is_smart": True}}, ["lamp"]),
        ({"attributes": {"is_smart": 1}}, []),
        ({"attributes": {"colour": "red", "watts": 40}}, ["lamp"]),
        ({"tags": {"any_of": ["sale"]}, "price": {"max": 50}}, ["torch"]),
    ],
)
def test_every_part_of_a_filter_must_hold(parts, expected):
    assert allowed(**parts) == expected


def test_a_name_is_found_by_its_rare_words():
    index = Catalogue({n: item(n) for n in ("The red lamp (1999)", "The red rug", "The lamp shop", "The")}).index
    assert index.names_like("the RED lamp").tolist()[0] == 2  # the whole name
    assert index.names_like("a lamp that is red").tolist()[0] == 1  # every word that says something
    assert 0 < index.names_like("red lamp").tolist()[1] < 1
    assert not index.names_like("the").tolist()[1]
    assert not index.names_like("").any()
