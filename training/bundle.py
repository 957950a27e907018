"""The model bundle: one folder of plain data that is everything serving needs. Nothing in it can run code on load.

    manifest.json            what this is, from what it was made, size and sha256 of every other file
    items.parquet            the catalogue, in the recommender's order of items
    recommender/…            what ``LLMRecommender.save`` wrote
    text_encoder/…           the language model as ONNX and its tokenizer, where it could be exported
    …                        further .json, .md, .png beside them, such as model_card.md

``verify`` reads every byte and refuses a file that is unknown, missing, altered, too large, a link, outside the folder,
of an ending that is not in the list, or of a listed ending with something executable or foreign inside.
"""

import hashlib
import json
import shutil
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from freshet.settings import PROJECT_ROOT
from training.plain_data import check_plain_data

if TYPE_CHECKING:
    import pyarrow

    from training.backbones import Backbone
    from training.llm_recommender import LLMRecommender
    from training.whitening import Whitening

SCHEMA_VERSION = 2
READABLE_VERSIONS = (1, SCHEMA_VERSION)
"""1 has no text encoder, and nothing else is different."""
ALLOWED_SUFFIXES = frozenset({".safetensors", ".onnx", ".npy", ".parquet", ".json", ".md", ".png"})
MAX_FILE_BYTES = 4 * 2**30
MAX_FILES = 256
_MAX_MANIFEST_BYTES = 2**20

MANIFEST = "manifest.json"
ITEMS = "items.parquet"
RECOMMENDER = "recommender"
TEXT_ENCODER = "text_encoder"


class BundleError(ValueError):
    """A bundle is not what its manifest says, or holds what no bundle may hold; the message names the file."""


@dataclass(frozen=True)
class FileEntry:
    """What the manifest promises about one file."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """Where a bundle comes from, and the fingerprint of its content."""

    text_encoder: dict[str, Any]
    """name, revision and space of the language model that read the items."""
    data: dict[str, Any]
    """Training data: hash, row counts by mart, interval."""
    config: dict[str, Any]
    """The whole training configuration."""
    created_from: dict[str, Any]
    """What led here: MLflow run, dbt invocation, commands."""
    git_commit: str
    sizes: dict[str, int] = field(default_factory=dict)
    """Counts worth knowing before loading: items, widths, heads."""
    files: dict[str, FileEntry] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class Bundle:
    """A verified bundle in memory."""

    manifest: Manifest
    recommender: "LLMRecommender"
    items: "pyarrow.Table"
    text_encoder: Path | None = None
    """The folder of the exported language model; None where there is none, and PyTorch reads instead."""


def write_bundle(
    folder: Path,
    recommender: "LLMRecommender",
    items: "pyarrow.Table",
    *,
    text_encoder: Mapping[str, Any],
    data: Mapping[str, Any],
    config: Mapping[str, Any],
    created_from: Mapping[str, Any],
    text_encoder_folder: Path | None = None,
) -> Manifest:
    """Write recommender, items (in the recommender's order) and manifest; ``folder`` appears whole or not at all.

    ``text_encoder_folder`` is copied: what ``export_text_encoder`` made.
    """
    import pyarrow.parquet

    if items.column("item_id").to_pylist() != list(recommender.item_ids):
        raise BundleError(f"{ITEMS} must hold the recommender's {len(recommender.item_ids)} items in its order")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / RECOMMENDER).mkdir(parents=True)
    recommender.save(partial / RECOMMENDER)
    if text_encoder_folder is not None:
        shutil.copytree(text_encoder_folder, partial / TEXT_ENCODER)
    pyarrow.parquet.write_table(items, partial / ITEMS)
    manifest = write_manifest(
        partial,
        text_encoder=text_encoder,
        data=data,
        config=config,
        created_from=created_from,
        sizes={"n_items": len(recommender.item_ids)},
    )
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return manifest


def write_manifest(
    folder: Path,
    *,
    text_encoder: Mapping[str, Any],
    data: Mapping[str, Any],
    config: Mapping[str, Any],
    created_from: Mapping[str, Any],
    sizes: Mapping[str, int] | None = None,
) -> Manifest:
    """Describe the files that lie in ``folder`` now; call it again after adding one. Refuses what ``verify`` would."""
    partial = folder / f".{MANIFEST}.partial"
    partial.unlink(missing_ok=True)
    files = {name: _entry(folder / name) for name in _list_files(folder) if name != MANIFEST}
    manifest = Manifest(
        text_encoder=dict(text_encoder),
        data=dict(data),
        config=dict(config),
        created_from=dict(created_from),
        git_commit=git_commit(),
        sizes=dict(sizes or {}),
        files=files,
    )
    partial.write_text(json.dumps(asdict(manifest), indent=2, sort_keys=True, default=str) + "\n")
    partial.rename(folder / MANIFEST)
    return verify(folder)


def verify(folder: Path) -> Manifest:
    """Check every file against the manifest and for foreign content. Raises BundleError naming the first that fails."""
    manifest = _read_manifest(folder)
    present = set(_list_files(folder)) - {MANIFEST}
    for name in sorted(manifest.files):
        _check_name(name)
        if name not in present:
            raise BundleError(f"{folder}: {name} is in the manifest but not in the bundle")
    for name in sorted(present):
        if name not in manifest.files:
            raise BundleError(f"{folder}: {name} is not in the manifest")
        actual, expected = _entry(folder / name), manifest.files[name]
        if actual != expected:
            raise BundleError(
                f"{folder}: {name} was altered: {actual.size} bytes with sha256 {actual.sha256[:12]}…, "
                f"the manifest says {expected.size} bytes with {expected.sha256[:12]}…"
            )
        try:
            check_plain_data(folder / name)
        except ValueError as error:
            raise BundleError(f"{folder}: {name} is refused: {error}") from error
    return manifest


def load_bundle(folder: Path) -> Bundle:
    """Verify, then load. Raises BundleError before a doubtful byte reaches a parser of weights."""
    manifest = verify(folder)
    for name in (ITEMS, f"{RECOMMENDER}/"):
        if not any(path == name or path.startswith(name) for path in manifest.files):
            raise BundleError(f"{folder}: {name} is missing, so this is no recommender bundle")
    import pyarrow.parquet

    from training.llm_recommender import LLMRecommender

    try:
        recommender = LLMRecommender.load(folder / RECOMMENDER)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise BundleError(f"{folder}: the recommender cannot be read: {type(error).__name__}: {error}") from error
    items = pyarrow.parquet.read_table(folder / ITEMS)
    if items.num_rows != len(recommender.item_ids):
        raise BundleError(f"{folder}: {ITEMS} has {items.num_rows} rows for {len(recommender.item_ids)} items")
    has_encoder = any(path.startswith(f"{TEXT_ENCODER}/") for path in manifest.files)
    return Bundle(manifest, recommender, items, folder / TEXT_ENCODER if has_encoder else None)


def text_space(bundle: Bundle) -> "tuple[Backbone, Whitening]":
    """The language model that read the bundle's items, and their whitening: what a new text takes the same way.

    Raises BundleError if a text that is read here would not come into the items' space, and BackboneError.
    """
    from training.backbones import resolve_backbone

    encoder, whitening = bundle.manifest.text_encoder, bundle.recommender.whitening
    if whitening is None or "space" not in encoder:
        raise BundleError("the bundle does not say how its items were read, so no new text can be placed among them")
    backbone = resolve_backbone(encoder["name"])
    if backbone.space != encoder["space"]:
        raise BundleError(f"the model was made in the space {encoder['space']}, new items would be in {backbone.space}")
    return backbone, whitening


def git_commit() -> str:
    """The checkout's commit, with ``-dirty`` when tracked files differ; ``unknown`` outside a checkout."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"],
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return described.stdout.strip()


def _list_files(folder: Path) -> list[str]:
    """Relative names of all files. Refuses links and anything that is neither file nor folder."""
    if folder.is_symlink() or not folder.is_dir():
        raise BundleError(f"{folder} is no bundle: there is no such folder, or it is a link")
    names = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            continue
        if not stat.S_ISREG(mode):
            raise BundleError(f"{folder}: {name} is a link or a special file")
        _check_name(name)
        names.append(name)
    if len(names) > MAX_FILES:
        raise BundleError(f"{folder}: {len(names)} files are more than the {MAX_FILES} a bundle may have")
    return sorted(names)


def _check_name(name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or path.as_posix() != name:
        raise BundleError(f"{name!r} leads outside the bundle or is no plain relative path")
    if path.suffix not in ALLOWED_SUFFIXES:
        raise BundleError(f"{name!r} is not allowed in a bundle: only {', '.join(sorted(ALLOWED_SUFFIXES))} are")


def _entry(path: Path) -> FileEntry:
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise BundleError(f"{path} has {size} bytes, more than the {MAX_FILE_BYTES} a bundle's file may have")
    with path.open("rb") as file:
        return FileEntry(size, hashlib.file_digest(file, "sha256").hexdigest())


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    if path.is_symlink() or not path.is_file():
        raise BundleError(f"{path} is missing: a bundle is a folder written by training")
    if path.stat().st_size > _MAX_MANIFEST_BYTES:
        raise BundleError(f"{path} has more than {_MAX_MANIFEST_BYTES} bytes")
    try:
        content = json.loads(path.read_text())
        version = content.get("schema_version")
        if version not in READABLE_VERSIONS:
            readable = " and ".join(map(str, READABLE_VERSIONS))
            raise BundleError(f"{path}: schema version {version!r} is unknown, this Freshet reads {readable}")
        entries = {
            name: FileEntry(int(entry["size"]), str(entry["sha256"])) for name, entry in content["files"].items()
        }
        return Manifest(**{**content, "files": entries})
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BundleError(f"{path} is no manifest: {type(error).__name__}: {error}") from error
