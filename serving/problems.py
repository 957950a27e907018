"""Every error is RFC 9457 ``application/problem+json``: what is wrong, with which value, and what to do next."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

MAX_SHOWN = 120
"""Characters of a wrong value that an error repeats."""

_FASTAPI_UNREADABLE_BODY = "There was an error parsing the body"

logger = logging.getLogger(__name__)


class FieldProblem(BaseModel):
    """One field of the request and what is wrong with it."""

    field: str = Field(description="Where it stands, such as body.n or query.n")
    message: str
    value: str | None = Field(default=None, description="The value that was sent, shortened")


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str = Field(description="The path that was asked for")
    errors: list[FieldProblem] = Field(default_factory=list)


class ProblemError(Exception):
    """Ends a request with this problem."""

    def __init__(
        self, status: int, detail: str, errors: Sequence[FieldProblem] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        """``detail`` is a sentence for the person who sent the request."""
        super().__init__(detail)
        self.status, self.detail, self.errors, self.headers = status, detail, list(errors), headers


class ProblemResponse(JSONResponse):
    """A response whose media type says that it is a problem."""

    media_type = "application/problem+json"


PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "description": "What is wrong with the request",
        "content": {
            ProblemResponse.media_type: {
                "schema": Problem.model_json_schema(),
                "example": {
                    "type": "about:blank",
                    "title": "Unprocessable Content",
                    "status": 422,
                    "detail": "body.n: Input should be less than or equal to 100",
                    "instance": "/v1/recommendations",
                    "errors": [
                        {
                            "field": "body.n",
                            "message": "Input should be less than or equal to 100",
                            "value": "1000",
                        }
                    ],
                },
            }
        },
    }
}
"""For the ``responses`` of every router."""


def problem_response(
    path: str,
    status: int,
    detail: str,
    errors: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> ProblemResponse:
    """The response for one problem."""
    problem = Problem(
        title=HTTPStatus(status).phrase, status=status, detail=detail, instance=quote(path), errors=list(errors)
    )
    return ProblemResponse(problem.model_dump(), status_code=status, headers=dict(headers) if headers else None)


def field_problems(errors: Sequence[Any], prefix: Sequence[str] = ()) -> list[FieldProblem]:
    """Pydantic's errors as fields and sentences; the whole input is never repeated."""
    return [
        FieldProblem(
            field=".".join([*prefix, *(str(part) for part in error["loc"])]) or "body",
            message=_sentence(error),
            value=None if error["type"] in ("missing", "json_invalid") else shown(error.get("input")),
        )
        for error in errors
    ]


def shown(value: object) -> str:
    """A wrong value, short enough for an error message."""
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**MAX_SHOWN else "an integer far too large"
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def _sentence(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown field: leave it out, or check its spelling in /docs"
    if error["type"] == "string_pattern_mismatch" and "\\s" in error["ctx"]["pattern"]:
        return "an id is printable text without blanks"
    if error["type"] == "json_invalid":
        return f"malformed JSON: {error.get('ctx', {}).get('error', 'not JSON')}"
    return str(error["msg"]).removeprefix("Value error, ")


def summary(problems: Sequence[FieldProblem]) -> str:
    """The first three problems in one sentence."""
    parts = [f"{problem.field}: {problem.message}" for problem in problems[:3]]
    more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
    return "; ".join(parts) + more


def install_problem_handlers(app: FastAPI) -> None:
    """Turn every error that a request can meet into a problem."""
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(Exception, _on_unexpected)


async def _on_problem(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, ProblemError)
    return problem_response(request.url.path, error.status, error.detail, error.errors, error.headers)


async def _on_http_exception(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, HTTPException)
    path = request.url.path
    details = {
        400: "the body cannot be read as JSON in UTF-8",
        404: f"there is nothing at {path}: /docs lists every path",
        405: f"{request.method} is not possible at {path}: /docs lists what is",
    }
    is_plain = error.detail in (HTTPStatus(error.status_code).phrase, _FASTAPI_UNREADABLE_BODY)
    detail = details.get(error.status_code, error.detail) if is_plain else str(error.detail)
    return problem_response(path, error.status_code, detail, headers=error.headers)


async def _on_validation_error(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, RequestValidationError)
    has_body_problem = any(found["loc"][:1] == ("body",) for found in error.errors())
    if has_body_problem and not is_json(request.headers.get("content-type", "")):
        return problem_response(request.url.path, 415, unsupported_media_type(request))
    problems = field_problems(error.errors())
    status = 400 if any(found["type"] == "json_invalid" for found in error.errors()) else 422
    return problem_response(request.url.path, status, summary(problems), problems)


async def _on_unexpected(request: Request, error: Exception) -> ProblemResponse:
    logger.error("unexpected error", exc_info=error, extra={"path": request.url.path})
    return problem_response(request.url.path, 500, "something went wrong here, not in your request: see the log")


def is_json(content_type: str) -> bool:
    """Whether this header announces JSON."""
    return content_type.partition(";")[0].strip().lower() == "application/json"


def unsupported_media_type(request: Request, *others: str) -> str:
    """The sentence for a body that is not announced as something we read."""
    sent = shown(request.headers.get("content-type", ""))
    return f"Content-Type {sent} is not supported: send {' or '.join(('application/json', *others))}"
