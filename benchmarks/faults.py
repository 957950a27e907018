"""Does it stand? ``kill -9`` at random moments, then every part broken in turn, under a steady load.

``make faults`` (``KILLS=200`` of the API and its nearline worker). Two processes serve one home while they are killed:
one of them is the worker, the other stands by and takes over. Afterwards every acknowledged event must be in the log
once, and every user's online state must be the fold of the log. Then one process meets each fault of
``benchmarks/fault_kinds.py``: answers go on and name what is missing, metrics count it, and all is well by itself once
the part is back. Exit code 1 when anything of this does not hold.
"""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.fault_kinds import FAULTS, Fault, NotHereError
from benchmarks.fault_load import SteadyLoad, Tally, wait_for
from benchmarks.report import Figure, report
from benchmarks.serve_targets import free_port
from benchmarks.serve_world import item_ids, make_world, user_ids
from commands.services import QUIET, answers
from freshet.settings import PREFIX, Settings, load_settings
from ingestion.event_log import SqliteEventLog
from nearline.verification import verify_features

N_ITEMS = 1_000
KILLS = int(os.environ.get("KILLS", "200"))
FAULT_SECONDS = float(os.environ.get("SECONDS_A_FAULT", "15"))
NOTICE_SECONDS = 60.0
"""How long a broken part may go unnoticed on a busy machine."""
UP_SECONDS = 300.0
LONGEST_LIFE_SECONDS = 6.0
"""A process is killed within this time of its start: often before it is ready, sometimes while it is being asked."""

console = Console(width=150)


@dataclass
class Outcome:
    """One line of the table."""

    fault: str
    tally: Tally
    recovered_s: float = 0.0
    faults: list[str] = field(default_factory=list)
    """What did not hold."""


class Api:
    """One ``freshet serve`` over a home."""

    def __init__(self, home: Path) -> None:
        """Takes a port; starts nothing."""
        self._home, self.port = home, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the process; it is not ready yet."""
        environment = {**os.environ, **QUIET, PREFIX + "HOME": str(self._home), PREFIX + "API_PORT": str(self.port)}
        log = self._home / "logs" / f"api-{self.port}.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as output:
            command = [sys.executable, "-m", "commands.main", "serve"]
            self._process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)

    def kill(self) -> None:
        """``kill -9``, as it is."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Ask it to leave."""
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()

    def get(self, path: str) -> httpx.Response:
        """Ask it something."""
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=30)

    def is_ready(self) -> bool:
        """Whether it answers in full."""
        return answers(f"http://127.0.0.1:{self.port}/readyz")


@contextmanager
def serving(home: Path, n_processes: int) -> Iterator[list[Api]]:
    """As many processes as wanted over one home, ready, and stopped afterwards."""
    with ExitStack() as stack:
        apis = [Api(home) for _ in range(n_processes)]
        for api in apis:
            api.start()
            stack.callback(api.stop)
        for api in apis:
            wait_for(api.is_ready, UP_SECONDS)
        yield apis


def steady_load(apis: Sequence[Api], seed: int) -> SteadyLoad:
    """A load on these processes, about the users and items of the benchmark's world."""
    return SteadyLoad([api.port for api in apis], user_ids()[:200], item_ids(N_ITEMS), seed)


def kill_again_and_again(home: Path, n_kills: int, seed: int) -> Outcome:
    """Kill one of two processes at random moments, then hold the log and the online states against what was said."""
    dice = random.Random(seed)
    with serving(home, 2) as apis, steady_load(apis, seed) as load:
        slowest = 0.0
        outcome = Outcome(f"kill -9, {n_kills} times", load.start_tally())
        for number in range(n_kills):
            time.sleep(dice.uniform(0, LONGEST_LIFE_SECONDS))
            victim = dice.choice(apis)
            victim.kill()
            victim.start()
            if number % 10 == 9 or number == n_kills - 1:
                slowest = max(slowest, wait_for(victim.is_ready, UP_SECONDS))
        outcome.recovered_s = slowest
        for api in apis:
            wait_for(api.is_ready, UP_SECONDS)
        load.__exit__()
        wait_for(lambda: _lag(apis[0]) == 0, UP_SECONDS)
        outcome.faults += _what_is_lost(home, load.acknowledged) + _wrong_states(home) + _new_events(apis, load)
    outcome.faults += outcome.tally.wrong
    return outcome


def meet(fault: Fault, home: Path, api: Api, load: SteadyLoad, seconds: float) -> Outcome:
    """Break one part for some seconds at least, mend it, and wait until everything is as before."""
    before = _counters(api)
    outcome = Outcome(fault.name, load.start_tally())
    try:
        with fault.breaks(home, api.pid):
            time.sleep(seconds)
            with suppress(TimeoutError):  # what has not been noticed by then is said below
                wait_for(partial(_is_noticed, fault, outcome.tally), NOTICE_SECONDS)
            during = _counters(api)
            tally, outcome.tally = outcome.tally, load.start_tally()
    except NotHereError as error:
        return Outcome(f"{fault.name} (not here: {error})", Tally())
    try:
        outcome.recovered_s = wait_for(lambda: _is_whole(api), UP_SECONDS)
    except TimeoutError:
        outcome.faults.append(f"not whole again after {UP_SECONDS:.0f} s: {api.get('/readyz').text}")
    outcome.faults += tally.wrong + outcome.tally.wrong
    outcome.tally = tally
    if tally.n_unanswered or not tally.n_answered:
        outcome.faults.append(f"{tally.n_unanswered} requests were not answered at all")
    if missing := sorted(fault.degraded - set(tally.degraded)):
        outcome.faults.append(f"degraded never named {missing}, only {sorted(tally.degraded)}")
    if bool(tally.n_refused) != fault.refuses_events:
        outcome.faults.append(f"{tally.n_refused} events were refused")
    for name in fault.degraded:
        series = f'freshet_degraded_answers_total{{missing="{name}"}}'
        if during.get(series, 0) <= before.get(series, 0):
            outcome.faults.append(f"{series} has not counted")
    return outcome


def _is_noticed(fault: Fault, tally: Tally) -> bool:
    """Whether the load has met everything that the fault must lead to."""
    return fault.degraded <= set(tally.degraded) and bool(tally.n_refused) >= fault.refuses_events


def meet_all(home: Path, faults: Sequence[Fault], seconds: float, seed: int) -> list[Outcome]:
    """Every fault in turn, against one process that lives through all of them."""
    with serving(home, 1) as [api]:
        with steady_load([api], seed) as load:
            outcomes = [meet(fault, home, api, load, seconds) for fault in faults]
        wait_for(lambda: _lag(api) == 0, UP_SECONDS)
        lost = _what_is_lost(home, load.acknowledged) + _wrong_states(home)
    outcomes[-1].faults += lost
    return outcomes


def _is_whole(api: Api) -> bool:
    """Events are taken, the next answer knows them, and nothing is missing."""
    url = f"http://127.0.0.1:{api.port}/v1"
    event = {"event_type": "view", "user_id": "whole", "item_id": item_ids(N_ITEMS)[0]}
    told = httpx.post(f"{url}/events", json=event, timeout=60)
    if told.status_code != 202 or not api.is_ready():
        return False
    wanted = {"user_id": "whole", "min_freshness_token": told.json()["freshness_token"]}
    return httpx.post(f"{url}/recommendations", json=wanted, timeout=60).json()["degraded"] == []


def _lag(api: Api) -> int:
    return int(api.get("/readyz").json()["nearline_lag"])


def _counters(api: Api) -> dict[str, float]:
    lines = (line.rpartition(" ") for line in api.get("/metrics").text.splitlines() if not line.startswith("#"))
    return {series: float(value) for series, _, value in lines}


def _what_is_lost(home: Path, acknowledged: dict[str, dict[str, Any]]) -> list[str]:
    """Acknowledged events that are not in the log exactly once, as they were sent."""
    stored: dict[str, list[dict[str, Any]]] = {}
    position = 0
    with closing(SqliteEventLog(home / "log" / "events.db")) as log:
        while part := log.read(position, 10_000):
            for _, event in part:
                stored.setdefault(event.event_id, []).append(event.model_dump(mode="json"))
            position = part[-1][0]
    lost = [
        event_id
        for event_id, sent in acknowledged.items()
        if [{name: row[name] for name in sent} for row in stored.get(event_id, [])] != [sent]
    ]
    repeated = [event_id for event_id, rows in stored.items() if len(rows) > 1]
    console.print(f"{len(acknowledged):,} acknowledged events: {len(lost)} lost, {len(repeated)} more than once")
    return [f"lost: {event_id}" for event_id in lost] + [f"more than once: {event_id}" for event_id in repeated]


def _wrong_states(home: Path) -> list[str]:
    """Online rows that are not the fold of the log over what the marts know."""
    reports = verify_features(Settings(home=home, verify_max_mismatch_share=1), is_repairing=False)
    console.print(f"{sum(each.n_checked for each in reports):,} online rows compared with the fold of the log")
    return [str(each) for each in reports if each.mismatches]


def _new_events(apis: Sequence[Api], load: SteadyLoad) -> list[str]:
    """Acknowledged events that do not count as known when they are sent again."""
    sample = list(load.acknowledged.values())[-500:]
    answer = httpx.post(f"http://127.0.0.1:{apis[0].port}/v1/events", json=sample, timeout=60).json()
    return [] if answer["duplicate"] == len(sample) else [f"of {len(sample)} known events: {answer['accepted']} new"]


def show(outcomes: Sequence[Outcome]) -> None:
    """The table."""
    table = Table(title="faults", title_justify="left")
    for column in ("fault", "requests", "answered", "refused", "unanswered", "degraded", "lost", "recovered after s"):
        table.add_column(column)
    for outcome in outcomes:
        tally = outcome.tally
        n_lost = sum(fault.startswith("lost") for fault in outcome.faults)
        counts = (tally.n_requests, tally.n_answered, tally.n_refused, tally.n_unanswered)
        degraded = ", ".join(f"{name} {count}" for name, count in sorted(tally.degraded.items()))
        table.add_row(outcome.fault, *map(str, counts), degraded or "-", str(n_lost), f"{outcome.recovered_s:.1f}")
    console.print(table)
    for outcome in outcomes:
        for fault in outcome.faults[:5]:
            console.print(f"[red]{outcome.fault}:[/] {fault}", highlight=False, soft_wrap=True)


def figures(outcomes: Sequence[Outcome]) -> Iterator[Figure]:
    """The table as figures."""
    for outcome in outcomes:
        values = {
            "requests": (outcome.tally.n_requests, "requests"),
            "answered": (outcome.tally.n_answered, "requests"),
            "refused": (outcome.tally.n_refused, "requests"),
            "lost": (sum(fault.startswith("lost") for fault in outcome.faults), "events"),
            "recovered_s": (outcome.recovered_s, "s"),
        }
        for name, (value, unit) in values.items():
            yield Figure(f"{outcome.fault}: {name}", value, unit, (value, value))


def main() -> None:
    """Make a home, break it in every way, say what held."""
    settings = load_settings()
    home = settings.home / "bench" / "faults"
    shutil.rmtree(home, ignore_errors=True)  # what an earlier run told it is no part of this one
    make_world(home, N_ITEMS)
    outcomes = [kill_again_and_again(home, KILLS, settings.seed)] if KILLS else []
    outcomes += meet_all(home, FAULTS, FAULT_SECONDS, settings.seed + 1)
    console.print(f"written to {report('faults', list(figures(outcomes)), settings.home)}")
    show(outcomes)
    if any(outcome.faults for outcome in outcomes):
        sys.exit("freshet: the platform did not stand")


if __name__ == "__main__":
    main()
