"""What a query says plainly becomes a condition, and everything else stays words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.query_parser import ParsedQuery, parse_query

LABELS = frozenset({"horror", "comedy", "coffee beans", "sci-fi", "zombies"})


def parsed(text, has_prices=True):
    return parse_query(text, LABELS, has_prices=has_prices)


@pytest.mark.parametrize(
    ("text", "words", "minimum", "maximum"),
    [
        ("lamps under 20", "lamps", None, 20),
        ("lamps under $20 for a desk", "lamps for a desk", None, 20),
        ("a lamp, at most 19.99 euros", "a lamp", None, 19.99),
        ("over 5 and up to 10", "and", 5, 10),
        ("between $500 and 1,200", "", 500, 1200),
        ("from 10 to 20 dollars", "", 10, 20),
        ("lamps between 20 and 10", "lamps", 10, 20),
        ("films over 2 hours", "films over 2 hours", None, None),
        ("20,000 leagues under the sea", "20,000 leagues under the sea", None, None),
        ("under the volcano", "under the volcano", None, None),
        ("above 50 and below 10", "and", None, 10),
    ],
)
def test_a_price_is_taken_where_it_can_be_nothing_else(text, words, minimum, maximum):
    assert parsed(text) == ParsedQuery(words, minimum, maximum)


def test_without_prices_in_the_catalogue_a_price_is_words():
    assert parsed("lamps under 20", has_prices=False) == ParsedQuery("lamps under 20")


@pytest.mark.parametrize(
    ("text", "words", "labels", "unwanted"),
    [
        ("space, not horror", "space", ("horror",), ()),
        ("no horror or comedies please", "please", ("horror", "comedy"), ()),
        ("drinks without any coffee beans", "drinks", ("coffee beans",), ()),
        ("-horror space", "space", ("horror",), ()),
        ("pirates but not caribbean ones", "pirates ones", (), ("caribbean",)),
        ("not horror movies", "movies", ("horror",), ()),
        ("not too long", "", (), ()),
        ("well-made and long-lasting", "well-made and long-lasting", (), ()),
        ("a zombie comedy", "a zombie comedy", (), ()),
        ("why not", "why", (), ()),
    ],
)
def test_what_is_not_wanted_is_taken_out_of_the_words(text, words, labels, unwanted):
    assert parsed(text) == ParsedQuery(words, excluded_labels=labels, excluded_words=unwanted)


def test_only_a_label_can_be_the_only_one_wanted():
    assert parsed("only comedies") == ParsedQuery("comedies", required_labels=("comedy",))
    assert parsed("only the lonely") == ParsedQuery("only the lonely")


words = st.sampled_from(
    ["not", "no", "only", "under", "20", "$", "between", "and", "horror", "or", "-", ",", "é", "1,2"]
)


@given(st.text(max_size=80) | st.lists(words, max_size=12).map(" ".join))
def test_whatever_is_asked_is_understood_somehow(text):
    found = parsed(text)
    assert set(found.text.split()) <= set(text.split()) | {token for word in text.split() for token in _parts(word)}
    assert set(found.excluded_labels) | set(found.required_labels) <= LABELS
    assert found.min_price is None or found.max_price is None or found.min_price <= found.max_price


def _parts(word):
    return [word[start:end] for start in range(len(word)) for end in range(start + 1, len(word) + 1)]
