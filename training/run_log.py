"""What MLflow is told of a training run: settings, choices, figures, curves, data, card and bundle."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from freshet.settings import Settings
from training import report
from training.blend import REGIMES
from training.bundle import git_commit
from training.config import TrainConfig
from training.continuation import FOLDER as CONTINUATION
from training.llm_recommender import HEADS
from training.registry import UPDATE_OF
from training.results_table import Row
from training.stages import Choices
from training.stopwatch import Stopwatch
from training.tracking import log_bundle, training_run


def log_run(
    settings: Settings,
    config: TrainConfig,
    folder: Path,
    rows: list[Row],
    choices: Choices,
    described: dict[str, Any],
    watch: Stopwatch,
) -> str:
    """One MLflow run with everything in it, written at the end so that no half a run is left behind."""
    import mlflow

    weights = {
        regime: {head: weight for head, weight in zip(HEADS, row, strict=True) if weight}
        for regime, row in zip(REGIMES, choices.weights, strict=True)
    }
    with training_run(settings.tracking_uri, f"train {described['data']['until'][:10]}") as run:
        run_id = str(run.info.run_id)
        mlflow.log_params(_flat({**config.as_dict(), "chosen": asdict(choices) | {"curve": None, "weights": weights}}))
        data, commit = described["data"], git_commit()
        mlflow.set_tags({"git_commit": commit, "data.content_hash": data["content_hash"], "data.until": data["until"]})
        if config.update_of is not None:
            mlflow.set_tag(UPDATE_OF, config.update_of)
        _log_lineage(settings, described)
        mlflow.log_metrics({**report.metrics_of(rows), **{f"seconds/{_slug(k)}": v for k, v in watch.seconds.items()}})
        mlflow.log_metric("gate/a", choices.recency.a)
        for point in choices.curve:
            mlflow.log_metrics(
                {f"sequence/{name}": value for name, value in point.items() if name != "epoch"},
                step=int(point["epoch"]),
            )
        mlflow.log_dict(config.as_dict(), "config.json")
        mlflow.log_dict({"weights": weights, "a": choices.recency.a, **choices.blend_report}, "blend.json")
        mlflow.log_artifacts(str(folder / "evaluation"), "evaluation")
        mlflow.log_artifacts(str(folder / CONTINUATION), CONTINUATION)
        mlflow.log_text(
            report.card(
                rows,
                split="Successive events after the 90 % quantile of time, each predicted from everything before it; "
                "full ranking of the catalogue known at the cut, without items already met.",
                text_encoder=described["text_encoder"],
                data=data,
                git_commit=commit,
                heads=weights,
                config=_flat(config.as_dict()),
            ),
            "model_card.md",
        )
        with watch.step("log bundle"):
            log_bundle(settings.tracking_uri, run_id, folder / "bundle")
    return run_id


def _log_lineage(settings: Settings, described: dict[str, Any]) -> None:
    """The marts as MLflow datasets: name, place, content hash."""
    import mlflow
    from mlflow.data.filesystem_dataset_source import FileSystemDatasetSource
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.data.sources import LocalArtifactDatasetSource

    digest = described["data"]["content_hash"][:32]
    for name, n_rows in described["data"]["row_counts"].items():
        source: FileSystemDatasetSource = LocalArtifactDatasetSource(str(settings.features_dir / f"{name}.parquet"))
        dataset = MetaDataset(source=source, name=name, digest=digest)
        mlflow.log_input(dataset, context="training", tags={"rows": str(n_rows)})


def _slug(name: str) -> str:
    return name.replace(": ", "/").replace(" ", "_")


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as ``outer.inner``; what is None is left out."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        elif value is not None:
            flat[prefix + name] = value
    return flat
