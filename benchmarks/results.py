"""The results in docs/results.md, from public datasets to tables (`make results-movielens`, `-retail`, `-goodbooks`).

Each dataset gets a home of its own under ``$FRESHET_HOME/results``, is ingested and transformed as any other, and
judged on the protocols that say something about it. What was killed goes on where it was; the tables are written
between the dataset's markers as they come, with commit and seeds in them.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from freshet.dbt_project import build_marts
from freshet.exports import marts_are_behind
from freshet.settings import PROJECT_ROOT, Settings, load_settings
from ingestion.ingest import ingest_dataset
from training.baseline_tuning import Budget
from training.config import TrainConfig, load_config
from training.judge import judge
from training.judgement import Judgement, Plan
from training.judgement_log import log_judgement
from training.judgement_table import written

PAGE = PROJECT_ROOT / "docs" / "results.md"


@dataclass(frozen=True)
class Subject:
    """A dataset by its name in docs/data.md, and what it is judged on."""

    dataset: str
    protocols: tuple[str, ...]


SUBJECTS = {
    "movielens": Subject("movielens-small", ("successive", "rolling", "leave-one-out", "cold-items")),
    "retail": Subject("online-retail", ("successive", "global", "global-repeats", "cold-items")),
    "goodbooks": Subject("goodbooks", ("leave-one-out",)),
}


def main(
    name: Annotated[str, typer.Argument(help=", ".join(SUBJECTS))],
    seeds: int = 1,
    trials: int = 30,
    trainings: int = 3,
    sasrec_epochs: int = 15,
    epochs: Annotated[int | None, typer.Option(help="Instead of FRESHET_TRAIN_EPOCHS.")] = None,
    page: Annotated[Path, typer.Option(help="Where the tables are written.")] = PAGE,
) -> None:
    """Ingest, transform, judge, write."""
    if name not in SUBJECTS:
        raise typer.BadParameter(f"no results are made for {name!r}: {', '.join(SUBJECTS)}")
    subject, settings = SUBJECTS[name], _home_of(name)
    Console().print(ingest_dataset(settings, subject.dataset).origin, highlight=False, soft_wrap=True)
    if marts_are_behind(settings.home):
        build_marts(settings.home)
    _, config = load_config({"epochs": epochs})
    budget = Budget(trials, trainings, sasrec_epochs)
    parts = []
    for protocol in subject.protocols:
        parts.append(_judged(settings, config, Plan(protocol, seeds, budget)))
        write_between(page, name, "\n".join(parts))
    Console().print(f"written to {page}", highlight=False, soft_wrap=True)


def _home_of(name: str) -> Settings:
    settings = load_settings()
    return settings.model_copy(update={"home": settings.home / "results" / name})


def _judged(settings: Settings, config: TrainConfig, plan: Plan) -> str:
    judgement, folder = judge(settings, config, plan)
    table = written(judgement)
    (folder / "table.md").write_text(table)
    log_judgement(settings.tracking_uri, judgement, config, folder)
    Console().print(f"{plan.protocol}: {folder}", highlight=False, soft_wrap=True)
    return f"### {plan.protocol}\n\n{table}\n{_settings(judgement)}"


def _settings(judgement: Judgement) -> str:
    """What was chosen for the baselines, folded away."""
    chosen = "\n".join(f"- {name}: `{json.dumps(each)}`" for name, each in judgement.settings.items())
    summary = f"Settings of the baselines, of at most {max(judgement.trials.values())} tried for each"
    return f"<details><summary>{summary}</summary>\n\n{chosen}\n\n</details>\n"


def write_between(page: Path, name: str, text: str) -> None:
    """Replace what stands between a dataset's markers. Raises ValueError where they are missing."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{page} has no place for {name}: put the lines {begin} and {end} into it")
    page.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")


if __name__ == "__main__":
    typer.run(main)
