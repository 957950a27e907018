"""Every example of the OpenAPI document is sent as it stands there."""

import pytest

ORDER = ("put", "post", "get", "delete")
"""What is asked for has to be there, and what is deleted comes last."""


@pytest.fixture
def api(reading_home, open_api):
    """An application that reads queries, on a home of its own."""
    return open_api(reading_home)


def operations(document):
    """(method, path, operation) of each, those that bring something first."""
    found = [(method, path, route) for path, methods in document["paths"].items() for method, route in methods.items()]
    return sorted(found, key=lambda operation: ORDER.index(operation[0]))


def bodies(operation):
    """(media type, body) of each example; one pair of None where there is no body."""
    for media_type, content in operation.get("requestBody", {"content": {None: {"example": None}}})["content"].items():
        examples = content.get("examples") or {"only": {"value": content["example"]}}
        yield from ((media_type, example["value"]) for example in examples.values())


def test_every_example_is_answered_well(api):
    document = api.get("/openapi.json").json()
    shown = api.post("/v1/recommendations", json={"user_id": "42"}).json()["recommendation_id"]
    n_sent = 0
    for method, path, operation in operations(document):
        parts = {"recommendation_id": shown}
        for parameter in operation.get("parameters", []):
            if examples := parameter["schema"].get("examples"):
                parts[parameter["name"]] = examples[0]
        for media_type, body in bodies(operation):
            headers = {"content-type": media_type} if media_type else {}
            answer = api.request(method, path.format(**parts), json=body, headers=headers)
            n_sent += 1
            if path == "/readyz":  # this home has a model and no features
                assert answer.status_code == 503
                continue
            assert answer.is_success, (method, path, body, answer.text)
            if path == "/v1/events":
                assert answer.json()["rejected"] == 0
    assert n_sent >= 20
