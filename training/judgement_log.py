"""A judgement as an MLflow run, in an experiment of its own: those of training lead to a version, these to a reader."""

from dataclasses import asdict
from pathlib import Path

from training.comparison import WHOLE
from training.config import TrainConfig
from training.judgement import Judgement
from training.tracking import training_run

EXPERIMENT = "freshet-evaluation"


def log_judgement(tracking_uri: str, judgement: Judgement, config: TrainConfig, folder: Path) -> str:
    """Log once, with table and per-user values as artifacts; returns the run's id."""
    import mlflow

    done = folder / "run_id"
    if done.exists():
        return done.read_text()
    tags = {"git_commit": judgement.commit, "data.content_hash": judgement.content_hash}
    with training_run(tracking_uri, judgement.protocol, tags, EXPERIMENT) as run:
        mlflow.log_params(
            {"protocol": judgement.protocol, "seeds": judgement.seeds, "reference": judgement.reference}
            | {f"{name}.{key}": value for name, chosen in judgement.settings.items() for key, value in chosen.items()}
        )
        mlflow.log_dict({"config": asdict(config), "notes": judgement.notes, "rule": judgement.rule}, "config.json")
        mlflow.log_metrics(_metrics(judgement))
        for name in ("judgement.json", "table.md", "per_user.parquet"):
            mlflow.log_artifact(str(folder / name), "evaluation")
        run_id = str(run.info.run_id)
    done.write_text(run_id)
    return run_id


def _metrics(judgement: Judgement) -> dict[str, float]:
    """``<model>/ndcg_at_10`` with its bounds, ``<model>/<metric>_at_<k>``, ``<model>/<what its lists are like>``."""
    found: dict[str, float] = {}
    for row in judgement.rows:
        if row.part == WHOLE:
            found[f"{row.model}/ndcg_at_10_lower"], found[f"{row.model}/ndcg_at_10_upper"] = row.low, row.high
        else:
            found[f"slice_{row.part}/{row.model}/ndcg_at_10"] = row.ndcg_at_10
    for model, figures in judgement.at_cuts.items():
        found |= {f"{model}/{name.replace('@', '_at_')}": value for name, value in figures.items()}
    for model, figures in judgement.of_lists.items():
        found |= {f"{model}/{name}": value for name, value in figures.items()}
    return found | {f"{name}/fit_seconds": value for name, value in judgement.seconds.items()}
