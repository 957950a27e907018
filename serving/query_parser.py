"""What a query says plainly beside its words: prices and what is not, or only, wanted. Everything else is meaning.

"scary films under 20, not zombies" is "scary films", at most 20, without zombies. What is not certain is left to the
language model: a number is a price only with a currency, or where nothing follows that it could count.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

_NUMBER: Final = r"(\d{1,3}(?:,\d{3})+(?:\.\d{1,2})?|\d{1,9}(?:[.,]\d{1,2})?)"
_CURRENCY: Final = r"\s*(?:[$€£]|(?:usd|eur|gbp|dollars?|euros?|pounds?|bucks)\b)"
_NOTHING_COUNTED: Final = (
    r"(?=\s*(?:$|[,.;:!?)]|(?:and|but|or|not|no|without|with|for|in|about|that|which|please|only|except)\b))"
)
_AMOUNT: Final = rf"(?:[$€£]\s*{_NUMBER}|{_NUMBER}{_CURRENCY}|{_NUMBER}{_NOTHING_COUNTED})"
_AT_MOST: Final = r"(?:under|below|less than|cheaper than|up to|at most|no more than|not more than|max(?:imum)?)"
_AT_LEAST: Final = r"(?:over|above|more than|at least|no less than|not less than|min(?:imum)?)"
_BETWEEN: Final = re.compile(
    rf"\b(?:between|from)\s+[$€£]?\s*{_NUMBER}(?:{_CURRENCY})?\s+(?:and|to)\s+{_AMOUNT}", re.IGNORECASE
)
_MAXIMUM: Final = re.compile(rf"\b{_AT_MOST}\s+{_AMOUNT}", re.IGNORECASE)
_MINIMUM: Final = re.compile(rf"\b{_AT_LEAST}\s+{_AMOUNT}", re.IGNORECASE)

_TOKEN: Final = re.compile(r"[^\s,.;:!?()]+|[,.;:!?()]")
_NOT: Final = frozenset({"not", "no", "without", "except", "excluding"})
_ARTICLES: Final = frozenset({"a", "an", "the", "any", "for", "about", "with"})
_DEGREES: Final = frozenset({"too", "so", "very", "that"})
_MAX_LABEL_WORDS: Final = 4


@dataclass(frozen=True)
class ParsedQuery:
    """A query's meaning and its conditions."""

    text: str
    """What is left for the language model."""
    min_price: float | None = None
    max_price: float | None = None
    excluded_labels: tuple[str, ...] = ()
    """Categories or tags that are not wanted …"""
    excluded_words: tuple[str, ...] = ()
    """… and words that are none: no wanted name has them."""
    required_labels: tuple[str, ...] = ()


def parse_query(text: str, labels: Collection[str], *, has_prices: bool) -> ParsedQuery:
    """Take the conditions out of a query; ``labels`` are the catalogue's categories and tags, casefolded.

    Where nothing has a price, prices are words like others.
    """
    minimum = maximum = None
    if has_prices:
        text, minimum, maximum = _prices(text)
    tokens: list[str] = _TOKEN.findall(text)
    kept: list[str] = []
    excluded_labels: list[str] = []
    excluded_words: list[str] = []
    required: list[str] = []
    at = 0
    while at < len(tokens):
        word = tokens[at].casefold()
        if word in _NOT or _is_minus(tokens[at]):
            at = _take_unwanted(tokens, at, labels, excluded_labels, excluded_words)
            if kept and kept[-1].casefold() == "but":
                kept.pop()
        elif word == "only" and (found := _label_at(tokens, at + 1, labels)):
            required.append(found[0])
            kept += tokens[at + 1 : found[1]]
            at = found[1]
        else:
            kept.append(tokens[at])
            at += 1
    is_untouched = kept == tokens
    words = (text if is_untouched else " ".join(kept)).strip(" ,.;:!?()")
    return ParsedQuery(
        words, minimum, maximum, *(tuple(dict.fromkeys(found)) for found in (excluded_labels, excluded_words, required))
    )


def _prices(text: str) -> tuple[str, float | None, float | None]:
    if found := _BETWEEN.search(text):
        ends = sorted(_value(group) for group in found.groups() if group)
        return _without(text, found), ends[0], ends[-1]
    minimum = maximum = None
    if found := _MAXIMUM.search(text):
        maximum, text = _value(next(filter(None, found.groups()))), _without(text, found)
    if found := _MINIMUM.search(text):
        minimum, text = _value(next(filter(None, found.groups()))), _without(text, found)
    if minimum is not None and maximum is not None and minimum > maximum:
        minimum = None  # they contradict each other: believe the first kind, which is asked for more often
    return text, minimum, maximum


def _value(number: str) -> float:
    is_thousands = re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d{1,2})?", number) is not None
    return float(number.replace(",", "" if is_thousands else "."))


def _without(text: str, found: re.Match[str]) -> str:
    return f"{text[: found.start()].rstrip()} {text[found.end() :].lstrip()}".strip()


def _take_unwanted(
    tokens: list[str], at: int, labels: Collection[str], excluded_labels: list[str], excluded_words: list[str]
) -> int:
    """Note what the negation at this token turns down; returns where the text goes on."""
    if _is_minus(tokens[at]):
        tokens = [*tokens[:at], tokens[at][1:], *tokens[at + 1 :]]
    else:
        at += 1
        while at < len(tokens) and tokens[at].casefold() in _ARTICLES:
            at += 1
    while found := _label_at(tokens, at, labels):
        excluded_labels.append(found[0])
        at = found[1]
        if at + 1 >= len(tokens) or tokens[at].casefold() not in ("or", "nor") or not _label_at(tokens, at + 1, labels):
            return at
        at += 1
    if at < len(tokens) and tokens[at].casefold() in _DEGREES:
        return at + 2  # "not too long" wants something else, and names nothing
    if at < len(tokens) and tokens[at][0].isalnum():
        excluded_words.append(tokens[at].casefold())
        return at + 1
    return at


def _is_minus(token: str) -> bool:
    return len(token) > 2 and token[0] == "-" and token[1].isalpha()


def _label_at(tokens: list[str], at: int, labels: Collection[str]) -> tuple[str, int] | None:
    """The longest label that begins at this token, in any number, and the token after it."""
    for length in range(min(_MAX_LABEL_WORDS, len(tokens) - at), 0, -1):
        words = " ".join(tokens[at : at + length]).casefold()
        singular = re.sub(r"ies$", "y", words), words.removesuffix("es"), words.removesuffix("s")
        for spelling in (words, *singular, words + "s", re.sub(r"y$", "ies", words)):
            if spelling in labels:
                return spelling, at + length
    return None
