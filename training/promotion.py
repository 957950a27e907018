"""The promotion gate: one pure rule, and the function that asks it about a registered version and moves the aliases.

What the rule compares. Challenger and champion must have predicted events that neither had seen, and neither may have
learned from much newer data than the other:

1. Both runs have the same holdout (``evaluation/table.json``: equal ``holdout``): each run's own per-user results, made
   with weights frozen at the same cut.
2. Mostly new test events: rows of slice ``since_champion`` in the challenger's ``per_user.parquet``, where the
   champion's bundle (model ``champion``) stands beside the challenger on the test events after the champion's training
   data ended.
3. Mostly old ones, or too few new: both runs' own results on the users they share. (On the few events since, a champion
   refitted up to yesterday would win against weights frozen at the cut, whichever is the better model.)
"""

import logging
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from training import registry
from training.bundle import BundleError, load_bundle
from training.comparison import WHOLE, Lift, PairedScores, PerUser, lift, trivial_baselines
from training.registry import ModelVersion
from training.tracking import one_decision_at_a_time, read_json_artifact, read_table_artifact, work_in

logger = logging.getLogger(__name__)

PER_USER = "evaluation/per_user.parquet"
TABLE = "evaluation/table.json"
RECOMMENDER_NAME = "recommender"
CHAMPION_NAME = "champion"
SINCE_CHAMPION = "since_champion"

MAX_LOSS = 0.01
"""The lower bound of the difference to the champion may not lie below −1 %."""
MAX_SLICE_LOSS = 0.03
"""No slice may fall more than 3 %, as far as the slice is large enough to tell a fall from chance."""
GATED_SLICES = ("user_known_0", "user_known_1_to_3", "item_seen_0", "item_seen_1_to_5")
"""Cold users, cold items and the tail; the other slices are reported, but many comparisons find many accidents."""
MAX_ANSWER_MS = 100.0
"""Median time of one answer straight from the bundle; ten times what serving should take on an idle machine."""
MIN_USERS, MIN_EVENTS = 20, 200
"""Fewer than these since the champion's training say too little."""


@dataclass(frozen=True)
class Evidence:
    """What the gate looks at."""

    against_trivial: Mapping[str, Lift]
    against_champion: Lift | None = None
    """None where there is no champion yet, or nothing to compare it on."""
    has_champion: bool = False
    slices: Mapping[str, Lift] = field(default_factory=dict)
    """Against the champion, by slice."""
    bundle_problem: str | None = None
    answer_ms: float = 0.0
    data_problem: str | None = None
    """What the newest data failed its tests with: nobody knows yet what such data, or its absence, has done."""
    note: str = ""
    """How challenger and champion were compared."""


@dataclass(frozen=True)
class Verdict:
    """What was decided, and every reason."""

    promoted: bool
    reasons: tuple[str, ...]

    @property
    def reason(self) -> str:
        """All reasons as one text."""
        return "; ".join(self.reasons)


def is_better(evidence: Evidence) -> Verdict:
    """The rule. A first champion has only the trivial baselines to beat; the reasons name what failed, or what held."""
    failures = [
        *_data_failures(evidence),
        *_bundle_failures(evidence),
        *_trivial_failures(evidence),
        *_champion_failures(evidence),
    ]
    if failures:
        return Verdict(False, tuple(failures))
    held = [f"{name}: {found}" for name, found in evidence.against_trivial.items()]
    if evidence.against_champion is not None:
        held.insert(0, f"champion: {evidence.against_champion} ({evidence.note})")
        held += [f"slice {name} fell, perhaps by chance: {found}" for name, found in _falling(evidence).items()]
    else:
        held.insert(0, "the first champion")
    return Verdict(True, tuple(held))


def _data_failures(evidence: Evidence) -> list[str]:
    if evidence.data_problem:
        return [f"the newest data failed its tests ({evidence.data_problem}): mend it, build the marts, and ask again"]
    return []


def _bundle_failures(evidence: Evidence) -> list[str]:
    if evidence.bundle_problem:
        return [f"the bundle does not answer: {evidence.bundle_problem}"]
    if evidence.answer_ms > MAX_ANSWER_MS:
        return [f"an answer takes {evidence.answer_ms:.0f} ms, more than {MAX_ANSWER_MS:.0f}"]
    return []


def _trivial_failures(evidence: Evidence) -> list[str]:
    if not evidence.against_trivial:
        return ["no trivial baseline was evaluated beside it"]
    return [f"not surely better than {name}: {f}" for name, f in evidence.against_trivial.items() if not f.low > 0]


def _champion_failures(evidence: Evidence) -> list[str]:
    if not evidence.has_champion:
        return []
    if evidence.against_champion is None:
        return [f"cannot be compared with the champion: {evidence.note}"]
    failures = []
    if not evidence.against_champion.low > -MAX_LOSS:
        failures.append(f"may be worse than the champion: {evidence.against_champion} ({evidence.note})")
    sure = {name: found for name, found in _falling(evidence).items() if found.high < 0}
    return failures + [f"slice {name} fell against the champion: {found}" for name, found in sure.items()]


def _falling(evidence: Evidence) -> dict[str, Lift]:
    return {name: found for name, found in evidence.slices.items() if found.mean < -MAX_SLICE_LOSS}


def promote(
    tracking_uri: str, version: int, data_problem: str | None = None, *, overruled_because: str | None = None
) -> Verdict:
    """Decide about a registered version, move the aliases if it won, and write verdict and reasons on it.

    ``data_problem`` says what the newest data failed its tests with. A person may overrule the gate with a reason,
    unless the bundle does not answer. Asking again about the champion changes nothing. One decision at a time: a second
    one waits, and then looks at the champion that the first has left.
    """
    work_in(tracking_uri)
    with one_decision_at_a_time(tracking_uri):
        challenger, champion = registry.get_version(tracking_uri, version), registry.champion(tracking_uri)
        if champion is not None and champion.version == version:
            return Verdict(True, ("is the champion already",))
        evidence = replace(gather_evidence(challenger, champion), data_problem=data_problem)
        verdict = is_better(evidence)
        if not verdict.promoted and overruled_because and evidence.bundle_problem is None:
            verdict = Verdict(True, (f"a person overruled the gate: {overruled_because}", *verdict.reasons))
        if verdict.promoted:
            registry.make_champion(tracking_uri, version, verdict.reason)
        else:
            registry.keep_challenger(tracking_uri, version, verdict.reason)
    logger.info("decided on a version", extra={"version": version, "promoted": verdict.promoted, "why": verdict.reason})
    return verdict


def gather_evidence(challenger: ModelVersion, champion: ModelVersion | None) -> Evidence:
    """Read both runs' per-user results and try the challenger's bundle."""
    ours = _per_user(challenger)
    problem, answer_ms = probe(challenger)
    against_trivial = {}
    for name in trivial_baselines(ours.models):
        if paired := ours.pair(RECOMMENDER_NAME, ours, name):
            against_trivial[name] = lift(paired)
    if champion is None:
        return Evidence(against_trivial, bundle_problem=problem, answer_ms=answer_ms)
    pairs, note = _pair_with_champion(ours, challenger, champion)
    slice_level = 1 - 0.05 / len(GATED_SLICES)  # Bonferroni: each slice is one more chance to err
    lifts = {part: lift(paired, level=0.95 if part == WHOLE else slice_level) for part, paired in pairs.items()}
    return Evidence(
        against_trivial=against_trivial,
        against_champion=lifts.pop(WHOLE, None),
        has_champion=True,
        slices=lifts,
        bundle_problem=problem,
        answer_ms=answer_ms,
        note=note,
    )


def probe(version: ModelVersion) -> tuple[str | None, float]:
    """What is wrong with a version's bundle, if anything, and the median milliseconds of an answer."""
    from training.pyfunc import recommend

    with tempfile.TemporaryDirectory() as temporary:  # serving fetches its own copy when it becomes champion
        try:
            bundle = load_bundle(registry.download(version, Path(temporary)))
        except BundleError as error:
            return str(error), 0.0
    known = bundle.recommender.item_ids
    took = []
    for request in range(11):  # from nobody's history to a long one
        history = known[: min(5 * request, len(known) // 2)]
        started = time.perf_counter()
        ranked = recommend(bundle, history, n=10)
        took.append(1_000 * (time.perf_counter() - started))
        expected = min(10, len(known) - len(history))
        if len(ranked) != expected or {item_id for item_id, _ in ranked} & set(history):
            return f"it gave {len(ranked)} items instead of {expected} new ones after {len(history)} events", 0.0
    return None, sorted(took)[len(took) // 2]


def _pair_with_champion(
    ours: PerUser, challenger: ModelVersion, champion: ModelVersion
) -> tuple[dict[str, PairedScores], str]:
    theirs = _per_user(champion)
    if _holdout(challenger) == _holdout(champion):
        return _pairs(ours, theirs), f"version {champion.version} on the same holdout"
    since = ours.pair(RECOMMENDER_NAME, ours, CHAMPION_NAME, SINCE_CHAMPION)
    is_enough = since is not None and len(since.ours) >= MIN_USERS and since.n_events.sum() >= MIN_EVENTS
    if since is not None and is_enough and _overlap(challenger, champion) < 0.5:
        return {WHOLE: since}, f"version {champion.version}'s bundle on the events after its training"
    pairs = _pairs(ours, theirs)
    if WHOLE not in pairs or len(pairs[WHOLE].ours) < MIN_USERS:
        return (
            {},
            f"fewer than {MIN_USERS} test users are shared with version {champion.version}; add data or roll back",
        )
    return pairs, f"version {champion.version} on the users of both holdouts, as few events are new"


def _overlap(challenger: ModelVersion, champion: ModelVersion) -> float:
    """The share of the champion's test period that is in the challenger's too."""
    ours, theirs = _holdout(challenger), _holdout(champion)
    length = theirs["until_us"] - theirs["after_us"]
    return float(np.clip((theirs["until_us"] - ours["after_us"]) / length, 0, 1)) if length > 0 else 1.0


def _pairs(ours: PerUser, theirs: PerUser) -> dict[str, PairedScores]:
    """The whole and the gated slices that both have."""
    pairs = {part: ours.pair(RECOMMENDER_NAME, theirs, RECOMMENDER_NAME, part) for part in (WHOLE, *GATED_SLICES)}
    return {part: paired for part, paired in pairs.items() if paired is not None}


def _per_user(version: ModelVersion) -> PerUser:
    table = read_table_artifact(version.tracking_uri, version.run_id, PER_USER)
    if table is None:
        raise registry.RegistryError(f"run {version.run_id} has no {PER_USER}: it was not evaluated, train again")
    return PerUser.from_table(table)


def _holdout(version: ModelVersion) -> dict[str, Any]:
    table = read_json_artifact(version.tracking_uri, version.run_id, TABLE)
    if table is None:
        raise registry.RegistryError(f"run {version.run_id} has no {TABLE}: it was not evaluated, train again")
    holdout: dict[str, Any] = table["holdout"]
    return holdout
