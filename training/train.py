"""Train the recommender: read it from top to bottom.

    encode_items       every item's text through the language model (cached by content)
    fit_and_evaluate   choose on validation → judge on test beside baselines → fit on everything → bundle → MLflow run
                       (an update takes its choices from the champion, and learns from what came since)
    register_run, promote   a version in the registry, and the gate

Everything made on the way lies under ``models/training/<key>``, where the key stands for configuration and data: the
same call continues where it was killed, and does nothing when all is done.
"""

import json
import logging
import os
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from freshet.data_quality import data_problem
from freshet.settings import Settings
from training import registry, report
from training.activity import interactions_as_of
from training.backbones import resolve_backbone
from training.baseline_tuning import fit_baselines
from training.bundle import BundleError, load_bundle, write_bundle
from training.config import TrainConfig, load_config
from training.continuation import FOLDER as CONTINUATION
from training.continuation import continuation_of, write_continuation
from training.dataset import DatasetError, Marts, read_marts
from training.debias import trade_off
from training.evaluate import COVERAGE_EVENTS, Each, evaluate
from training.llm_recommender import WHITENING, LLMRecommender
from training.onnx_encoder import export_text_encoder
from training.promotion import CHAMPION_NAME, RECOMMENDER_NAME, SINCE_CHAMPION, Verdict, promote
from training.reliability import reliability_of
from training.results_table import Row, per_user, results_table
from training.run_log import log_run
from training.slices import slices_of
from training.snapshot import FOREVER, Snapshot, Targets
from training.stages import Choices, Earlier, Stage, choose, prepare_stage, refit
from training.stopwatch import Stopwatch
from training.text_tower import encode_texts
from training.time_budget import TimeBudget
from training.tracking import client_of
from training.variants import Translated, Variants
from training.whitening import Whitening

__all__ = ["RunResult", "TrainConfig", "encode_items", "fit_and_evaluate", "load_config", "train"]

logger = logging.getLogger(__name__)

_TEST_SCORES_PER_MINUTE = 60e6
"""Less than a sixth of what recommender, parts and baselines score while they are judged."""


@dataclass(frozen=True)
class RunResult:
    """What a training run came to."""

    run_id: str
    version: int
    verdict: Verdict | None
    """None where promotion was not asked for."""
    table: str
    """The results as Markdown."""
    seconds: dict[str, float]


def train(settings: Settings, config: TrainConfig, *, promote_if_better: bool = True) -> RunResult:
    """All steps in order."""
    budget = TimeBudget(config.budget_minutes)
    encode_items(settings, config)
    run_id = fit_and_evaluate(settings, config, budget)
    version = registry.register_run(settings.tracking_uri, run_id)
    verdict = promote(settings.tracking_uri, version, data_problem(settings.home)) if promote_if_better else None
    folder = _work_folder(settings, config, read_marts(settings.features_dir, config.as_of))
    seconds = json.loads((folder / "costs.json").read_text())["seconds"]
    return RunResult(run_id, version, verdict, (folder / "evaluation" / "table.md").read_text(), seconds)


def encode_items(settings: Settings, config: TrainConfig) -> int:
    """Read every item's text as known at each cut; returns how many different texts there are."""
    marts = read_marts(settings.features_dir, config.as_of)
    texts = {text for cut in (*marts.cuts(), _final_cut(config)) for text in marts.snapshot(cut, config.seed).texts}
    encode_texts(sorted(texts), backbone=config.text_backbone, cache_dir=_vectors_dir(settings))
    return len(texts)


def fit_and_evaluate(settings: Settings, config: TrainConfig, budget: TimeBudget | None = None) -> str:
    """Choose, judge, fit on everything; returns the id of the MLflow run that holds bundle and figures.

    ``budget`` is what is left of the configuration's where something came before.
    """
    budget = budget or TimeBudget(config.budget_minutes)
    # Spinning threads on a busy two-core machine make everything ten times slower; torch has not been imported yet.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    watch = Stopwatch()
    with watch.step("read marts"):
        marts = read_marts(settings.features_dir, config.as_of)
    folder = _work_folder(settings, config, marts)
    if run_id := _finished_run(settings, folder):
        logger.info("this configuration has been trained on this data: nothing to do", extra={"run_id": run_id})
        return run_id
    logger.info("training", extra={"folder": str(folder), "config": config.as_dict()})

    if config.update_of is None:
        # ── choose on validation ──────────────────────────────────────────────────────────────────────────────────
        validation_cut, test_cut = marts.cuts()
        first = _stage("validation", marts, validation_cut, settings, config, folder, watch, until=test_cut)
        _check_targets(first)
        choices, trained = choose(first, config, watch, budget=budget)
        earlier, fresh_after = Earlier.of(first, trained), None
    else:
        # ── or go on from what was chosen ─────────────────────────────────────────────────────────────────────────
        kept = continuation_of(settings, config)
        folder.mkdir(parents=True, exist_ok=True)
        kept.whitening.save(folder / WHITENING)
        test_cut = fresh_after = marts.middle_after(kept.learned_until)
        choices, earlier, config = kept.choices, kept.earlier, replace(config, sequence=kept.sequence)

    # ── judge on test, weights frozen at the cut ──────────────────────────────────────────────────────────────────
    second = _stage("test", marts, test_cut, settings, config, folder, watch)
    _check_targets(second)
    judged, retrained = refit(second, choices, earlier, config, watch)
    n_events = budget.affordable(config.test_events, second.snapshot.n_items, _TEST_SCORES_PER_MINUTE)
    rows = _judge(second, judged, choices, marts, settings, config, n_events, folder, watch)

    # ── fit on everything ─────────────────────────────────────────────────────────────────────────────────────────
    last = _stage("final", marts, _final_cut(config), settings, config, folder, watch)
    retrained_so_far = Earlier.of(second, retrained, fresh_after)
    recommender, trained = refit(last, choices, retrained_so_far, config, watch, export=True)
    with watch.step("write bundle"):
        recommender = replace(recommender, whitening=Whitening.load(folder / WHITENING))
        described = _describe(marts, config)
        exported = export_text_encoder(resolve_backbone(config.text_backbone), settings.models_dir / "text_encoders")
        _write_bundle(folder / "bundle", recommender, last.snapshot, marts, described, config, exported)
        write_continuation(folder / CONTINUATION, choices, trained.network if trained else None)
    (folder / "costs.json").write_text(json.dumps(asdict(watch), indent=1))
    run_id = log_run(settings, config, folder, rows, choices, described, watch)
    (folder / "run_id").write_text(run_id)
    return run_id


def _stage(
    name: str,
    marts: Marts,
    cut: int,
    settings: Settings,
    config: TrainConfig,
    folder: Path,
    watch: Stopwatch,
    until: int = FOREVER,
) -> Stage:
    with watch.step(f"{name}: snapshot"):
        return prepare_stage(name, marts.snapshot(cut, config.seed, until), folder, config, _vectors_dir(settings))


def _check_targets(stage: Stage) -> None:
    if not stage.snapshot.is_target.any():
        raise DatasetError(
            f"after {_iso(stage.snapshot.cut)}, where {stage.name} begins, nobody meets anything new and likes it, so "
            "there is nothing to judge a model by: ingest more, then `freshet transform`"
        )


def _judge(
    stage: Stage,
    recommender: LLMRecommender,
    choices: Choices,
    marts: Marts,
    settings: Settings,
    config: TrainConfig,
    n_events: int,
    folder: Path,
    watch: Stopwatch,
) -> list[Row]:
    """The results table of the test events, written to ``evaluation/``."""
    path = folder / "evaluation"
    if (path / "table.json").exists():
        return [Row(**row) for row in json.loads((path / "table.json").read_text())["rows"]]
    snapshot = stage.snapshot
    targets = snapshot.targets().sample(n_events, config.seed)
    with watch.step("test: fit baselines"):
        baselines = fit_baselines(stage.material(config.seed), choices.baselines)
    with watch.step("test: evaluate"):
        models = Variants(recommender, baselines)
        evaluation = evaluate(
            models, snapshot, targets, config.seed, coverage_events=COVERAGE_EVENTS, title="test: evaluate"
        )
    with watch.step("test: features as of then"):
        known = interactions_as_of(settings.home, [snapshot.user_ids[user] for user in targets.user], targets.now)
    slices = slices_of(snapshot, targets, known)
    with watch.step("test: intervals"):
        rows = results_table(evaluation, RECOMMENDER_NAME, slices, config.seed)
        results = per_user(evaluation, slices, snapshot.user_ids)
    with watch.step("test: debias"):
        steps = trade_off(recommender, snapshot, targets, config.seed)
    with watch.step("test: calibration"):
        reliability = reliability_of(recommender, snapshot, targets, config.seed)
    with watch.step("test: champion"):
        since = _beside_champion(recommender, snapshot, targets, settings, config)
        path.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.concat_tables([results, *since]), path / "per_user.parquet")
    holdout = {
        "after_us": snapshot.cut,
        "until_us": marts.last_moment,
        "n_events": len(targets),
        "n_left_out": int((snapshot.events.occurred_at > snapshot.cut).sum() - snapshot.is_target.sum()),
        "content_hash": marts.content_hash,
        "seed": config.seed,
    }
    report.write_evaluation(path, rows, holdout, choices.curve, choices.weights, steps, reliability)
    return rows


def _beside_champion(
    recommender: LLMRecommender, snapshot: Snapshot, targets: Targets, settings: Settings, config: TrainConfig
) -> list[pa.Table]:
    """The champion's bundle and the challenger on the test events that neither has seen."""
    champion = registry.champion(settings.tracking_uri)
    if champion is None:
        return []
    try:
        bundle = load_bundle(registry.download(champion, settings.models_dir))
    except BundleError as error:
        logger.warning("the champion cannot be compared with", extra={"version": champion.version, "error": str(error)})
        return []
    later = targets.now > int(bundle.manifest.data["until_us"])
    if not later.any():
        return []
    some = targets.where(later)
    models = Each({RECOMMENDER_NAME: recommender, CHAMPION_NAME: Translated.to(bundle.recommender, snapshot.item_ids)})
    evaluation = evaluate(models, snapshot, some, config.seed, title="test: champion")
    table = per_user(evaluation, {}, snapshot.user_ids)
    return [table.set_column(table.column_names.index("slice"), "slice", pa.array([SINCE_CHAMPION] * len(table)))]


def _describe(marts: Marts, config: TrainConfig) -> dict[str, Any]:
    """What the model was made from: for manifest, card and run."""
    backbone = resolve_backbone(config.text_backbone)
    times = marts.occurred_at
    return {
        "text_encoder": {"name": backbone.name, "revision": backbone.revision, "space": backbone.space},
        "data": {
            "content_hash": marts.content_hash,
            "row_counts": {name: len(table) for name, table in marts.tables.items()},
            "n_interactions": len(times),
            "from": _iso(int(times.min())),
            "until": _iso(marts.last_moment),
            "until_us": marts.last_moment,
            "as_of": None if config.as_of is None else _iso(config.as_of),
        },
    }


def _write_bundle(
    folder: Path,
    recommender: LLMRecommender,
    snapshot: Snapshot,
    marts: Marts,
    described: dict[str, Any],
    config: TrainConfig,
    text_encoder: Path | None,
) -> None:
    items = marts.items_as_of(_final_cut(config))
    place = {item_id: row for row, item_id in enumerate(items["item_id"].to_pylist())}
    write_bundle(
        folder,
        recommender,
        items.take(pa.array([place[item_id] for item_id in snapshot.item_ids])),
        text_encoder=described["text_encoder"],
        data=described["data"],
        config=config.as_dict(),
        created_from={"command": "freshet train"},
        text_encoder_folder=text_encoder,
    )


def _work_folder(settings: Settings, config: TrainConfig, marts: Marts) -> Path:
    return settings.models_dir / "training" / config.key(marts.content_hash)


def _finished_run(settings: Settings, folder: Path) -> str | None:
    """The run that this folder led to, if its bundle is still there to be registered."""
    path = folder / "run_id"
    if not path.exists():
        return None
    from mlflow.exceptions import MlflowException

    try:
        run = client_of(settings.tracking_uri).get_run(path.read_text())
    except MlflowException:
        return None  # the tracking store was emptied meanwhile: log again from what lies in the folder
    return str(run.info.run_id) if run.info.status == "FINISHED" else None


def _vectors_dir(settings: Settings) -> Path:
    return settings.models_dir / "vectors"


def _final_cut(config: TrainConfig) -> int:
    return FOREVER if config.as_of is None else config.as_of


def _iso(moment_us: int) -> str:
    return datetime.fromtimestamp(moment_us / 1e6, UTC).isoformat()
