"""The only file that talks to MLflow's registry: versions of the recommender and what their aliases mean.

``champion`` is what serving reads, ``challenger`` the newest that is not better, ``previous`` what a rollback returns
to.
"""

import contextlib
import logging
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.bundle import BundleError, verify
from training.tracking import (
    already_there_is_fine,
    client_of,
    database_path,
    one_decision_at_a_time,
    prepare_tracking,
    read_text_artifact,
    work_in,
)

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion

logger = logging.getLogger(__name__)

MODEL_NAME = "freshet-recommender"
CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
UPDATE_OF = "update_of"
"""Tag of versions that went on from another one: its number."""
PROMOTED_AT = "promoted_at"
"""Tag of versions that are or were champion: since when, the last time."""
_MAX_TEXT = 5_000
_VERDICT = re.compile(r"\AVerdict: .*\n\n")
"""What stands above the card, once there is a verdict: readers of a version's page ask for it first."""


class RegistryError(LookupError):
    """A version, alias or run that is asked for is not in the registry; the message says what to do."""


@dataclass(frozen=True)
class ModelVersion:
    """One registered version of the recommender."""

    tracking_uri: str
    version: int
    run_id: str
    source: str
    created_at: datetime
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""


def register_run(tracking_uri: str, run_id: str) -> int:
    """Register a run's bundle as the next version and challenger; a run already registered keeps its version."""
    prepare_tracking(tracking_uri)
    work_in(tracking_uri)
    known = [version for version in versions(tracking_uri) if version.run_id == run_id]
    version = known[0].version if known else _create_version(tracking_uri, run_id)
    if not known or not {CHAMPION, PREVIOUS} & set(known[0].aliases):
        client_of(tracking_uri).set_registered_model_alias(MODEL_NAME, CHALLENGER, version)
    logger.info("registered a version", extra={"version": version, "run_id": run_id})
    return version


def champion(tracking_uri: str) -> ModelVersion | None:
    """The version that serving should use, or None. About a millisecond once mlflow is loaded: cheap to poll."""
    return by_alias(tracking_uri, CHAMPION)


def challenger(tracking_uri: str) -> ModelVersion:
    """The version that was registered last and is not the champion. Raises RegistryError if there is none."""
    found = by_alias(tracking_uri, CHALLENGER)
    if found is None:
        raise RegistryError(f"{MODEL_NAME} has no challenger: run `freshet train --no-promote`, or name a version")
    return found


def by_alias(tracking_uri: str, alias: str) -> ModelVersion | None:
    """The version an alias points to. Creates nothing: before the first training there is no database yet."""
    if not _is_there(tracking_uri):
        return None
    from mlflow.exceptions import MlflowException

    if not _is_there(tracking_uri):  # that took seconds; where the file has gone since, MLflow would make an empty one
        return None
    try:
        return _from_mlflow(tracking_uri, client_of(tracking_uri).get_model_version_by_alias(MODEL_NAME, alias))
    except MlflowException as error:
        # Without the alias MLflow says INVALID_PARAMETER_VALUE, without the model RESOURCE_DOES_NOT_EXIST.
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _is_there(tracking_uri: str) -> bool:
    database = database_path(tracking_uri)
    return database is None or database.is_file()


def get_version(tracking_uri: str, version: int) -> ModelVersion:
    """One version by number. Raises RegistryError if there is none."""
    for known in versions(tracking_uri):
        if known.version == version:
            return known
    raise RegistryError(f"{MODEL_NAME} has no version {version}: see the registry's page in MLflow for those it has")


def versions(tracking_uri: str) -> list[ModelVersion]:
    """All versions, newest first."""
    if not _is_there(tracking_uri):
        return []
    client = client_of(tracking_uri)
    aliases: dict[int, list[str]] = {}
    for model in client.search_registered_models(filter_string=f"name = '{MODEL_NAME}'"):
        for alias, version in model.aliases.items():
            aliases.setdefault(int(version), []).append(alias)
    found = client.search_model_versions(f"name = '{MODEL_NAME}'", max_results=10_000)
    named = [_from_mlflow(tracking_uri, version, aliases.get(int(version.version), [])) for version in found]
    return sorted(named, key=lambda version: -version.version)


def figures(tracking_uri: str, version: int) -> dict[str, float]:
    """The quality of a version and of the baselines beside it, by the metric's name."""
    tags = get_version(tracking_uri, version).tags
    return {name: float(value) for name, value in tags.items() if name.startswith("test/")}


def version_url(mlflow_url: str, version: int) -> str:
    """The page of a version in MLflow: verdict, reason, figures and card."""
    return f"{mlflow_url}/#/models/{MODEL_NAME}/versions/{version}"


def download(version: ModelVersion, models_dir: Path) -> Path:
    """A verified local copy of a version's bundle; it appears whole or not at all, and is fetched once."""
    folder = models_dir / "bundles" / f"{MODEL_NAME}-{version.version}-{version.run_id[:8]}"
    if folder.is_dir():
        with contextlib.suppress(BundleError):
            verify(folder)
            return folder
        logger.warning("a local copy of a bundle was damaged, fetching it again", extra={"folder": str(folder)})
        shutil.rmtree(folder)
    import mlflow.artifacts

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=folder.parent) as temporary:
        # Not "models:/name/version": MLflow looks that up in the process' own registry, whatever it is given.
        client = client_of(version.tracking_uri)
        fetched = mlflow.artifacts.download_artifacts(
            artifact_uri=client.get_model_version_download_uri(MODEL_NAME, str(version.version)),
            dst_path=temporary,
            tracking_uri=version.tracking_uri,
        )
        bundles = [manifest.parent for manifest in Path(fetched).glob("artifacts/*/manifest.json")]
        if len(bundles) != 1:
            raise BundleError(f"{MODEL_NAME} version {version.version} holds {len(bundles)} bundles instead of one")
        verify(bundles[0])
        with contextlib.suppress(FileExistsError, OSError):  # another process was first, with the same bytes
            bundles[0].rename(folder)
    verify(folder)
    return folder


def make_champion(tracking_uri: str, version: int, reason: str) -> None:
    """Point ``champion`` to a version and ``previous`` to the one before it; write the reason on the version."""
    client = client_of(tracking_uri)
    chosen, old = get_version(tracking_uri, version), champion(tracking_uri)
    if old is not None and old.version != version:
        client.set_registered_model_alias(MODEL_NAME, PREVIOUS, old.version)
    _write_verdict(tracking_uri, version, "champion", reason)
    note(chosen, {PROMOTED_AT: datetime.now(UTC).isoformat(timespec="seconds")})
    if CHALLENGER in chosen.aliases:
        client.delete_registered_model_alias(MODEL_NAME, CHALLENGER)
    # Last, so that a kill before it leaves the old champion, and asking again does the whole once more.
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, version)
    logger.info("promoted a version", extra={"version": version, "reason": reason})


def keep_challenger(tracking_uri: str, version: int, reason: str) -> None:
    """Leave a version as ``challenger``, with the reason on it."""
    _write_verdict(tracking_uri, version, "challenger", reason)
    client_of(tracking_uri).set_registered_model_alias(MODEL_NAME, CHALLENGER, version)


def note(version: ModelVersion, tags: Mapping[str, str]) -> None:
    """Write tags on a version."""
    for name, value in tags.items():
        client_of(version.tracking_uri).set_model_version_tag(MODEL_NAME, version.version, name, value)


def rollback(tracking_uri: str) -> ModelVersion:
    """Make ``previous`` the champion again; the two change places. Raises RegistryError without a previous one."""
    with one_decision_at_a_time(tracking_uri):
        previous, replaced = by_alias(tracking_uri, PREVIOUS), champion(tracking_uri)
        if previous is None or replaced is None:
            raise RegistryError(f"{MODEL_NAME} has no previous version to return to: only one was ever promoted")
        make_champion(tracking_uri, previous.version, f"rolled back from version {replaced.version}")
        reason = f"version {previous.version} was put back in its place"
        _write_verdict(tracking_uri, replaced.version, "rolled back", reason)
        return get_version(tracking_uri, previous.version)


def _create_version(tracking_uri: str, run_id: str) -> int:
    client = client_of(tracking_uri)
    run = client.get_run(run_id)
    logged = [output.model_id for output in (run.outputs.model_outputs if run.outputs else [])]
    if not logged:
        raise RegistryError(f"run {run_id} has no logged bundle: it stopped before its end, train again")
    with already_there_is_fine():
        client.create_registered_model(MODEL_NAME, description="What Freshet recommends with; see each version's card.")
    created = client.create_model_version(
        MODEL_NAME,
        source=f"models:/{logged[-1]}",
        run_id=run_id,
        model_id=logged[-1],
        tags=_version_tags(run.data),
        description=_description(read_text_artifact(tracking_uri, run_id, "model_card.md")),
    )
    return int(created.version)


def _write_verdict(tracking_uri: str, version: int, verdict: str, reason: str) -> None:
    client = client_of(tracking_uri)
    client.set_model_version_tag(MODEL_NAME, version, "verdict", verdict)
    client.set_model_version_tag(MODEL_NAME, version, "verdict_reason", reason[:_MAX_TEXT])
    card = _VERDICT.sub("", client.get_model_version(MODEL_NAME, str(version)).description or "")
    told = _description(f"Verdict: {verdict}. Why: {reason[: _MAX_TEXT // 2]}\n\n{card}")
    client.update_model_version(MODEL_NAME, str(version), told)


def _from_mlflow(tracking_uri: str, found: "MlflowVersion", aliases: list[str] | None = None) -> ModelVersion:
    return ModelVersion(
        tracking_uri=tracking_uri,
        version=int(found.version),
        run_id=found.run_id or "",
        source=found.source,
        created_at=datetime.fromtimestamp(found.creation_timestamp / 1_000, UTC),
        aliases=tuple(sorted(aliases if aliases is not None else found.aliases or [])),
        tags=dict(found.tags or {}),
        description=found.description or "",
    )


def _version_tags(run_data: Any) -> dict[str, str]:
    """What a reader of the registry's list wants to see without opening the run: the model and its baselines."""
    tags = {key: value for key, value in run_data.tags.items() if not key.startswith("mlflow.")}
    whole = re.compile(r"test/(?!only_|without_)[^/]+/ndcg_at_10(_lower|_upper)?")
    figures = {key: f"{value:.4f}" for key, value in run_data.metrics.items() if whole.fullmatch(key)}
    return {**tags, **figures}


def _description(card: str | None) -> str | None:
    """A card as far as the registry's column holds it."""
    if card is None or len(card) <= _MAX_TEXT:
        return card
    return card[: card.rfind("\n", 0, _MAX_TEXT - 80)] + "\n\n… (the whole card is model_card.md of the run)\n"
