"""Where the processor time of an answer goes, by stage: `make profile-answers`.

The application runs as it is served, without uvicorn: its routes are called in this process, over the benchmark's home
of 10,000 items below ``$FRESHET_HOME/bench``, which is made if it is not there. Of each user's answers the cheapest
counts, stage by stage, and the mean over users is shown: on a busy machine that drifts least. Impressions are logged by
another thread, which is not counted.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, MutableMapping
from functools import wraps
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.serve import make_home
from benchmarks.serve_world import user_ids
from commands.serve import share_the_processor
from freshet.settings import Settings, load_settings
from serving import kept_lists
from serving.app import create_app
from serving.reasons import Explainer
from serving.recommender import Recommender
from serving.schemas import Recommendations
from training.item_index import Index
from training.quick_scores import QuickScores
from training.sequence_head import SequenceHead

N_ITEMS, N_USERS, ROUNDS = 10_000, 40, 40
REST = "FastAPI: route, parameters, middleware"
STAGES: list[tuple[Any, str, str]] = [
    (Recommender, "state_of", "the user's state from Feast"),
    (QuickScores, "shortlist", "shortlist: favourites and exact scores"),
    (Index, "favourites", "shortlist: search among vectors"),
    (SequenceHead, "user_vectors", "shortlist: the sequence network"),
    (kept_lists, "rank", "history, what must be hidden, lines"),
    (Explainer, "reasons", "reasons"),
    (Recommender, "recommend", "making the answer"),
    (Recommendations, "model_dump_json", "writing the answer"),
]


class Stopwatch:
    """Processor time of this thread by stage; what a stage calls counts for the stage that it is itself."""

    def __init__(self) -> None:
        """Nothing has been spent."""
        self.spent: defaultdict[str, int] = defaultdict(int)
        self._inner = [0]

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, noted."""

        @wraps(function)
        def noted(*values: Any, **named: Any) -> Any:
            began = time.thread_time_ns()
            self._inner.append(0)
            try:
                return function(*values, **named)
            finally:
                whole = time.thread_time_ns() - began
                self.spent[stage] += whole - self._inner.pop()
                self._inner[-1] += whole

        return noted


async def profile(settings: Settings) -> dict[str, float]:
    """Microseconds an answer, by stage."""
    app, watch = create_app(settings), Stopwatch()
    for owner, name, stage in STAGES:
        setattr(owner, name, watch.timed(stage, getattr(owner, name)))
    stages = [*(stage for *_, stage in STAGES), REST]
    cheapest: dict[str, list[int]] = {}
    async with app.router.lifespan_context(app) as state:
        while not state["runtime"].readiness().ready:
            await asyncio.sleep(0.1)
        share_the_processor()
        for number in range(ROUNDS * N_USERS):
            user = user_ids()[number % N_USERS * 50]
            watch.spent.clear()
            began = time.thread_time_ns()
            await _ask(app, state, user, number)
            watch.spent[REST] = time.thread_time_ns() - began - sum(watch.spent.values())
            taken = [watch.spent[stage] for stage in stages]
            cheapest[user] = [min(pair) for pair in zip(taken, cheapest.get(user, taken), strict=True)]
            await asyncio.sleep(0.002)  # as long as an answer: the threads beside it have their turn
    means = [sum(spent) / len(cheapest) / 1e3 for spent in zip(*cheapest.values(), strict=True)]
    return dict(zip(stages, means, strict=True))


async def _ask(app: Callable[..., Any], state: MutableMapping[str, Any], user: str, number: int) -> None:
    path = f"/v1/users/{user}/recommendations"
    scope = {"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": path, "root_path": ""}
    query = b"n=10&exclude_item_ids=none-%d" % number  # asked by nobody before, so that the list has to be made
    scope |= {"query_string": query, "headers": [(b"host", b"127.0.0.1")], "state": dict(state)}
    messages: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        messages.append(message)

    await app(scope, receive, send)
    assert messages[0]["status"] == 200, messages


def main() -> None:
    """Make the home, profile, print."""
    home = load_settings().home / "bench" / f"serve-{N_ITEMS}"
    make_home(home, N_ITEMS)
    spent = asyncio.run(profile(Settings(home=home)))
    table = Table("part", "µs", "share", title=f"an answer: {sum(spent.values()):,.0f} µs of processor time")
    for stage, taken in sorted(spent.items(), key=lambda each: -each[1]):
        table.add_row(stage, f"{taken:.0f}", f"{taken / sum(spent.values()):.0%}")
    Console().print(table)


if __name__ == "__main__":
    main()
