"""The product in one look: a recommendation, a click, and the recommendation that knows of the click."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import httpx
from rich.console import Console
from rich.table import Table

LIST_LENGTH = 10


@dataclass(frozen=True)
class Reaction:
    """What a click changed. ``milliseconds`` runs from sending the click to holding the new list."""

    user_id: str
    clicked_item_id: str
    before: list[dict[str, Any]]
    after: list[dict[str, Any]]
    milliseconds: float


def typical_user(features_dir: Path) -> str:
    """A user with about thirty events: enough to say something, few enough that one click matters."""
    path = str(features_dir / "fct_training_sequences.parquet")
    row = duckdb.sql(
        "select user_id from read_parquet($path) order by abs(n_events - 30), user_id limit 1", params={"path": path}
    ).fetchone()
    if row is None:
        raise ValueError(f"no user has any interaction in {path}: ingest a dataset first")
    return str(row[0])


def click_and_look(base_url: str, user_id: str, api_key: str | None = None) -> Reaction:
    """Ask, click the first item, ask again with the click's freshness token."""
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    with httpx.Client(base_url=base_url, timeout=30, headers=headers) as api:
        before = _ask(api, {"user_id": user_id, "n": LIST_LENGTH})
        clicked = before["items"][0]["item_id"]
        sent_at = time.perf_counter()
        click = {
            "event_type": "click",
            "user_id": user_id,
            "item_id": clicked,
            "recommendation_id": before["recommendation_id"],
        }
        posted = api.post("/v1/events", json=click)
        posted.raise_for_status()
        token = posted.json()["freshness_token"]
        after = _ask(api, {"user_id": user_id, "n": LIST_LENGTH, "min_freshness_token": token})
        milliseconds = (time.perf_counter() - sent_at) * 1000
    return Reaction(user_id, clicked, before["items"], after["items"], milliseconds)


def print_reaction(reaction: Reaction, console: Console) -> None:
    """Both lists side by side, with what moved."""
    ranks = {item["item_id"]: item["rank"] for item in reaction.before}
    table = Table(title=f"Recommendations for user {reaction.user_id}", title_justify="left")
    table.add_column("#", justify="right")
    table.add_column("before")
    table.add_column(f"after a click on “{reaction.before[0]['title']}”")
    table.add_column("was", justify="right")
    for before, after in zip(reaction.before, reaction.after, strict=False):
        was = ranks.get(after["item_id"])
        table.add_row(str(after["rank"]), before["title"], after["title"], "new" if was is None else str(was))
    console.print(table)
    console.print(f"from the click to the list that knows of it: [bold]{reaction.milliseconds:.0f} ms[/]")


def _ask(api: httpx.Client, question: dict[str, Any]) -> dict[str, Any]:
    answer = api.post("/v1/recommendations", json=question)
    answer.raise_for_status()
    body: dict[str, Any] = answer.json()
    return body
