"""OpenLineage: what was read and written by whom, for any catalogue that understands the standard.

Airflow's provider tells about DAGs and tasks; this module tells about every dbt model and test of a build. Both speak
to the same place: a file in the home by default, a server by the setting ``openlineage_url``. Nobody waits for it: a
server that does not answer costs a warning.
"""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freshet.dbt_project import DBT_DIR, PROFILE, TARGET, run_results_path, target_path
from freshet.settings import Settings

logger = logging.getLogger(__name__)

NAMESPACE = "freshet"
PRODUCER = "freshet"
MAX_BYTES = 20_000_000
KEPT_FILES = 3
"""Full files that are kept beside the one that grows."""


@dataclass(frozen=True)
class Parent:
    """The run that a build is part of, such as a task of Airflow."""

    run_id: str
    job_name: str


def transport(settings: Settings) -> dict[str, Any]:
    """Where events go, in the words of the OpenLineage client."""
    if settings.openlineage_url is not None:
        return {"type": "http", "url": str(settings.openlineage_url)}
    return {"type": "file", "log_file_path": str(events_path(settings)), "append": True}


def events_path(settings: Settings) -> Path:
    """The file that events are appended to where no server is set."""
    return settings.lineage_dir / "events.jsonl"


def emit_build(settings: Settings, parent: Parent | None = None) -> int:
    """Tell what the newest dbt build read and wrote; returns the number of events, 0 when nobody could be told.

    Where dbt left no results, or those of another command, there is nothing to tell.
    """
    import requests
    from openlineage.client import OpenLineageClient
    from openlineage.common.provider.dbt.local import DbtLocalArtifactProcessor
    from openlineage.common.provider.dbt.processor import ParentRunMetadata

    os.environ.setdefault("FRESHET_HOME", str(settings.home))  # dbt's profile names the warehouse by it
    processor = DbtLocalArtifactProcessor(
        producer=PRODUCER,
        job_namespace=NAMESPACE,
        project_dir=str(DBT_DIR),
        target_path=str(target_path(settings.home)),
        profile_name=PROFILE,
        target=TARGET,
    )
    if parent is not None:
        processor.dbt_run_metadata = ParentRunMetadata(parent.run_id, parent.job_name, NAMESPACE)
    processor.should_raise_on_unsupported_command = False
    events = processor.parse().events() if run_results_path(settings.home).exists() else []
    rotate(settings)
    client = OpenLineageClient(config={"transport": transport(settings)})
    try:
        for event in events:
            client.emit(event)
    except requests.RequestException as error:
        logger.warning("the lineage server cannot be told: %s", type(error).__name__)
        return 0
    return len(events)


def rotate(settings: Settings, max_bytes: int = MAX_BYTES) -> None:
    """Put a full file aside and forget the oldest; writers open the file for each event, so none is in the way."""
    path = events_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.stat().st_size < max_bytes:
        return
    for number in range(KEPT_FILES, 0, -1):
        newer = path if number == 1 else path.with_name(f"events.{number - 1}.jsonl")
        if newer.exists():
            newer.replace(path.with_name(f"events.{number}.jsonl"))
