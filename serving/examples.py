"""What the OpenAPI page shows: requests that work and answers as they come."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi.openapi.models import Example

from freshet.contract import MAX_EVENTS_PER_REQUEST, Event, Item
from serving.event_forms import CLOUD_EVENT, CLOUD_EVENT_BATCH


def answered_with(example: Mapping[str, Any], status: int = 200) -> dict[int | str, dict[str, Any]]:
    """For a route's ``responses``."""
    return {status: {"content": {"application/json": {"example": example}}}}


RECOMMENDATION_REQUESTS: Final[dict[str, Example]] = {
    "plain": Example(summary="Ten items for a user", value={"user_id": "42"}),
    "fresh": Example(
        summary="After an event, without what is on the page",
        value={"user_id": "42", "n": 5, "exclude_item_ids": ["296", "593"], "min_freshness_token": "1"},
    ),
    "explained": Example(summary="Saying what each score is made of", value={"user_id": "42", "explain": True}),
    "visitor": Example(summary="For a visitor without a user_id", value={"session_id": "b3c1-77"}),
    "words": Example(summary="Towards some words", value={"user_id": "42", "query": "something light, not romance"}),
    "basket": Example(
        summary="What goes with a basket, varied",
        value={"user_id": "42", "scenario": "basket", "context": {"item_ids": ["318", "527"]}, "diversity": 0.3},
    ),
    "filter": Example(
        summary="Of some items only",
        value={
            "user_id": "42",
            "filter": {
                "categories": {"any_of": ["Drama", "War"], "none_of": ["Horror"]},
                "tags": {"all_of": ["classic"]},
                "price": {"min": 5, "max": 20},
                "attributes": {"language": "English"},
                "availability": "now",
            },
        },
    ),
}

SEARCH_REQUESTS: Final[dict[str, Example]] = {
    "plain": Example(summary="By meaning", value={"query": "a slow film about friendship in a prison"}),
    "conditions": Example(
        summary="With conditions, for a user",
        value={"query": "space adventures under 20, not horror", "n": 5, "user_id": "42"},
    ),
}

_MODEL: Final = {"name": "freshet-recommender", "version": "3", "alias": "champion"}

_SHOWN_ITEM: Final = {
    "item_id": "527",
    "rank": 1,
    "score": 4.218337,
    "source": "model",
    "reason": "Goes with “Schindler's Ark”, which you chose recently.",
    "propensity": 1.0,
    "title": "Schindler's List (1993)",
}

_EXPLANATION: Final = {
    "moment": "inside",
    "gate": 0.7,
    "contributions": [
        {
            "part": "item_item",
            "contribution": 3.918337,
            "raw_score": 0.731,
            "items": [
                {"item_id": "318", "title": "The Shawshank Redemption (1994)", "term": 0.452},
                {"item_id": "858", "title": "The Godfather (1972)", "term": 0.279},
            ],
        },
        {"part": "trend_30d", "contribution": 0.3, "raw_score": None, "items": []},
    ],
}

RECOMMENDATIONS: Final = {
    "recommendation_id": "0198f3c2-7d2b-7c41-9f0e-5a3d8f0b6c11",
    "user_id": "42",
    "items": [
        {**_SHOWN_ITEM, "categories": ["Drama", "War"], "explanation": _EXPLANATION},
    ],
    "model": _MODEL,
    "features_as_of": "2025-06-01T12:00:00.125000Z",
    "degraded": [],
    "understood": None,
    "took_ms": 2.41,
}

SHOWN_RECOMMENDATIONS: Final = {
    "recommendation_id": "0198f3c2-7d2b-7c41-9f0e-5a3d8f0b6c11",
    "user_id": "42",
    "shown_at": "2025-06-01T12:00:00.240000Z",
    "model_version": "3",
    "items": [
        _SHOWN_ITEM,
    ],
}

SEARCH_RESULTS: Final = {
    "recommendation_id": "0198f3c2-7d2b-7c41-9f0e-5a3d8f0b6c12",
    "user_id": "42",
    "items": [
        {
            "item_id": "7",
            "rank": 1,
            "score": 3.105112,
            "source": "model",
            "reason": "Close to “space adventures” in meaning.",
            "propensity": 1.0,
            "title": "The Last Starship (1984)",
            "categories": ["Adventure", "Sci-Fi"],
        }
    ],
    "understood": {"text": "space adventures", "min_price": None, "max_price": 20.0, "without": ["horror"], "only": []},
    "model": {"name": "freshet-recommender", "version": "3", "alias": "champion"},
    "degraded": [],
    "took_ms": 4.2,
}

SIMILAR_ITEMS: Final = {
    "item_id": "318",
    "items": [
        {
            "item_id": "527",
            "rank": 1,
            "score": 0.817,
            "title": "Schindler's List (1993)",
            "categories": ["Drama", "War"],
        }
    ],
    "model": _MODEL,
    "took_ms": 0.38,
}

PROFILE: Final = {
    "user_id": "42",
    "is_known": True,
    "n_seen_items": 57,
    "n_events_in_session": 3,
    "interests": [{"category": "Drama", "share": 0.41}, {"category": "War", "share": 0.17}],
    "disliked_item_ids": [],
    "activity": {
        "n_interactions_1d": 2,
        "n_interactions_7d": 9,
        "n_interactions_30d": 21,
        "n_interactions_total": 60,
        "n_active_days": 14,
        "last_interaction_at": "2025-05-31T20:11:05Z",
    },
    "recent_events": [
        {
            "event_id": "0198f3c2-6f10-7b55-8d54-0f6a55b3a1e9",
            "event_type": "click",
            "item_id": "318",
            "title": "The Shawshank Redemption (1994)",
            "value": None,
            "occurred_at": "2025-06-01T12:00:00.120000Z",
        }
    ],
    "features_as_of": "2025-06-01T12:00:00.125000Z",
    "degraded": [],
}

_ITEM_TOLD: Final = {
    "title": "The Sea Wolf",
    "description": "A captain, a storm and a crew that has had enough.",
    "categories": ["Adventure", "Drama"],
    "tags": ["sailing"],
    "price": 9.5,
    "attributes": {"language": "English"},
}

ITEM: Final = {
    "item_id": "new-318",
    **_ITEM_TOLD,
    "image_url": None,
    "available_from": None,
    "is_available": True,
    "updated_at": "2025-06-01T12:00:00.120000Z",
}
ITEM_STORED: Final = {**ITEM, "is_recommendable": True}
ITEM_DELETED: Final = {"item_id": "new-318", "deleted_at": "2025-06-01T12:00:00.120000Z"}


USER_ERASED: Final = {"user_id": "42", "erased_at": "2025-06-01T12:00:00.120000Z", "freshness_token": "18232"}


def _item_schema() -> dict[str, Any]:
    """The contract's item, without what the path and the server's clock say."""
    schema = Item.model_json_schema()
    schema.pop("$defs", None)
    for name in ("item_id", "updated_at"):
        del schema["properties"][name]
    schema["properties"]["attributes"] = {"type": "object", "description": "Anything else, as JSON"}
    schema["required"] = ["title"]
    return schema


ITEM_REQUEST_BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {"application/json": {"schema": _item_schema(), "example": _ITEM_TOLD}},
}

_CLICK: Final = {
    "event_id": "0198f3c2-6f10-7b55-8d54-0f6a55b3a1e9",
    "event_type": "click",
    "user_id": "42",
    "item_id": "318",
    "occurred_at": "2025-06-01T12:00:00.120Z",
    "recommendation_id": "0198f3c2-7d2b-7c41-9f0e-5a3d8f0b6c11",
}
_CLOUD_EVENT: Final = {
    "specversion": "1.0",
    "id": "A234-1234-1234",
    "source": "https://shop.example/web",
    "type": "example.shop.view",
    "time": "2025-06-01T12:00:00Z",
    "data": {"user_id": "42", "item_id": "318"},
}

EVENTS_ACCEPTED: Final = {
    "accepted": 1,
    "duplicate": 0,
    "rejected": 1,
    "results": [
        {"index": 0, "event_id": _CLICK["event_id"], "status": "accepted", "sequence": 18231, "reason": None},
        {
            "index": 1,
            "event_id": None,
            "status": "rejected",
            "sequence": None,
            "reason": "item_id is missing: only a search has none, and this is a view",
        },
    ],
    "freshness_token": "18231",
}


def _event_schema() -> dict[str, Any]:
    """The contract's event, without what the server fills in."""
    schema = Event.model_json_schema()
    definitions = schema.pop("$defs")
    schema["properties"] = {
        name: definitions["EventType"] if field.get("$ref", "").endswith("/EventType") else field
        for name, field in schema["properties"].items()
        if name != "received_at"
    }
    types = schema["properties"]["event_type"]
    schema["properties"]["event_type"] = types | {"enum": [name for name in types["enum"] if name != "erasure"]}
    schema["properties"]["properties"] = {"type": "object", "description": "Anything else, as JSON"}
    schema["required"] = ["event_type"]
    schema["anyOf"] = [{"required": ["user_id"]}, {"required": ["session_id"]}]
    return schema


_CLOUD_EVENT_SCHEMA: Final = {
    "type": "object",
    "required": ["specversion", "id", "source", "type", "data"],
    "description": "CloudEvents 1.0; `data` holds the event's fields, the envelope gives what it leaves out",
}

EVENT_REQUEST_BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "oneOf": [
                    _event_schema(),
                    {"type": "array", "maxItems": MAX_EVENTS_PER_REQUEST, "items": _event_schema()},
                ]
            },
            "examples": {
                "one": {"summary": "A click on a recommended item", "value": _CLICK},
                "least": {
                    "summary": "The least",
                    "value": {"event_type": "view", "user_id": "42", "item_id": "318"},
                },
                "visitor": {
                    "summary": "Of a visitor without a user_id",
                    "value": {"event_type": "view", "session_id": "b3c1-77", "item_id": "318"},
                },
                "list": {
                    "summary": "Several, with names of GA4 and Segment",
                    "value": [
                        {"event_type": "view_item", "user_id": "42", "item_id": "318"},
                        {"event_type": "Products Searched", "user_id": "42", "text": "prison drama"},
                        {"event_type": "rating", "user_id": "42", "item_id": "318", "value": 5, "text": "Moving."},
                    ],
                },
            },
        },
        CLOUD_EVENT: {"schema": _CLOUD_EVENT_SCHEMA, "example": _CLOUD_EVENT},
        CLOUD_EVENT_BATCH: {"schema": {"type": "array", "items": _CLOUD_EVENT_SCHEMA}, "example": [_CLOUD_EVENT]},
    },
}
