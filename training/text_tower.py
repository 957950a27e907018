"""Texts to vectors: one language model reads items, users' words and queries into one space.

The model is loaded only when some text is not in the cache; then texts are encoded in order of length (little padding)
and stored chunk by chunk. On CPUs with native bf16 the model runs in it: 450 against 227 titles a second on one core,
cosine to float32 ≥ .9999.
"""

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from training.backbones import MAX_TOKENS, Backbone, TextKind, resolve_backbone
from training.vector_cache import VectorCache, text_key
from training.whitening import Whitening, fit_whitening

if TYPE_CHECKING:
    import torch

__all__ = ["TextEncoder", "Whitening", "encode_texts", "fit_whitening", "item_text"]

logger = logging.getLogger(__name__)

_BATCH_TEXTS = 64
_BATCH_TOKENS = 2_048
_CHUNK_TEXTS = 512
"""Texts per cache transaction: what a kill can cost, about one second of work."""

_MAX_TAGS = 24
_MAX_DESCRIPTION = 2_000
"""Characters; far more than 128 tokens, far less than a book that somebody sends as a description."""


def item_text(
    title: str,
    categories: Sequence[str] = (),
    tags: Sequence[str] = (),
    attributes: Mapping[str, object] | None = None,
    description: str | None = None,
) -> str:
    """What the language model reads of an item, the most telling first since the end may be cut.

    ``tags`` are the item's own and its users' words, most frequent first, known by the time that counts.
    """
    parts = [
        title,
        ", ".join(_unique(categories)),
        "; ".join(_readable_attributes(attributes or {})),
        ", ".join(_unique(tags)[:_MAX_TAGS]),
        (description or "")[:_MAX_DESCRIPTION],
    ]
    return " | ".join(re.sub(r"\s+", " ", part).strip() for part in parts if part.strip())


def encode_texts(
    texts: Sequence[str],
    *,
    backbone: str | Backbone,
    cache_dir: Path,
    kind: TextKind = "document",
    progress: bool = True,
    open_encoder: "Callable[[Backbone], TextEncoder] | None" = None,
) -> NDArray[np.float32]:
    """Vectors (N, W) of length 1, float32, in the order of ``texts``; encodes only what the cache lacks.

    ``open_encoder`` may hand over a model that is loaded already. Raises BackboneError when the model is unknown or
    cannot be fetched.
    """
    chosen = resolve_backbone(backbone) if isinstance(backbone, str) else backbone
    prefixed = [chosen.prefix(kind) + text for text in texts]
    keys = [text_key(text) for text in prefixed]
    with VectorCache(cache_dir / f"{chosen.space}.sqlite", chosen.width) as cache:
        vectors = cache.get(keys)
        missing = {key: text for key, text in zip(keys, prefixed, strict=True) if key not in vectors}
        logger.info("encoding texts", extra={"backbone": chosen.name, "texts": len(texts), "missing": len(missing)})
        if missing:
            missing_keys = list(missing)
            seconds = 0.2 if sys.stderr.isatty() else 30  # a log wants a line now and then, no moving bar
            with tqdm(total=len(missing), desc="texts", unit="text", mininterval=seconds, disable=not progress) as bar:
                for rows, chunk in (open_encoder or TextEncoder)(chosen).encode_in_chunks(list(missing.values())):
                    chunk_keys = [missing_keys[row] for row in rows]
                    cache.put(chunk_keys, chunk)
                    vectors.update(zip(chunk_keys, chunk, strict=True))
                    bar.update(len(rows))
    return np.stack([vectors[key] for key in keys]) if keys else np.empty((0, chosen.width), dtype=np.float32)


class TextEncoder:
    """A loaded backbone. Loading takes seconds (torch, transformers): keep it if texts arrive one by one."""

    def __init__(self, backbone: Backbone, *, in_float32: bool = False) -> None:
        # Two spinning OpenMP threads on a busy two-core machine make a forward ten times slower.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        import torch
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        self._backbone = backbone
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        self._tokenizer = AutoTokenizer.from_pretrained(backbone.folder, **safe)
        dtype = torch.float32 if in_float32 else _dtype(self.device)
        model = AutoModel.from_pretrained(backbone.folder, use_safetensors=True, dtype=dtype, **safe)
        self.model: torch.nn.Module = model.eval().to(self.device)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (N, W) of length 1 of texts that already carry the family's prefix."""
        vectors = np.empty((len(texts), self._backbone.width), dtype=np.float32)
        for rows, chunk in self.encode_in_chunks(texts):
            vectors[rows] = chunk
        return vectors

    def encode_in_chunks(self, texts: Sequence[str]) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
        """Row numbers and their vectors, shortest texts first, about 512 at a time."""
        tokens = self.tokenize(texts)
        rows: list[int] = []
        vectors: list[NDArray[np.float32]] = []
        for batch in _batches([len(ids) for ids in tokens]):
            rows += batch
            vectors.append(self._forward([tokens[row] for row in batch]))
            if len(rows) >= _CHUNK_TEXTS:
                yield rows, np.concatenate(vectors)
                rows, vectors = [], []
        if rows:
            yield rows, np.concatenate(vectors)

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Numbers of each text's tokens, cut at MAX_TOKENS."""
        # A blank for an empty text: some tokenizers add no special tokens, and no token gives no vector.
        encoded = self._tokenizer([text or " " for text in texts], truncation=True, max_length=MAX_TOKENS)
        return [list(ids) for ids in encoded["input_ids"]]

    def _forward(self, tokens: list[list[int]]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            vectors: NDArray[np.float32] = self.vectors(tokens).cpu().numpy()
        return vectors

    def vectors(self, tokens: list[list[int]]) -> "torch.Tensor":
        """(B, W) of length 1, where the model computes: what it is tuned by, too."""
        import torch

        lengths = torch.tensor([len(ids) for ids in tokens])
        input_ids = torch.full((len(tokens), int(lengths.max())), self._tokenizer.pad_token_id or 0)  # (B, T)
        for row, ids in enumerate(tokens):
            input_ids[row, : len(ids)] = torch.tensor(ids)
        mask = (torch.arange(input_ids.shape[1])[None, :] < lengths[:, None]).long()
        input_ids, mask = input_ids.to(self.device), mask.to(self.device)
        states = self.model(input_ids=input_ids, attention_mask=mask).last_hidden_state.float()
        return torch.nn.functional.normalize(pool(states, mask, self._backbone.pooling), dim=1)  # (B, T, W) -> (B, W)


def pool(states: "torch.Tensor", mask: "torch.Tensor", pooling: str) -> "torch.Tensor":
    """(B, T, W) states of tokens and (B, T) 1 where there is one -> (B, W)."""
    import torch

    if pooling == "first":
        return states[:, 0]
    lengths = mask.sum(dim=1)
    if pooling == "last":
        return states[torch.arange(len(states)), lengths - 1]
    return (states * mask[..., None]).sum(dim=1) / lengths[:, None]


def _dtype(device: str) -> "torch.dtype":
    import torch

    has_native_bf16 = device == "cuda" or any(
        present and "bf16" in name for name, present in torch.cpu.get_capabilities().items()
    )
    return torch.bfloat16 if has_native_bf16 else torch.float32


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Row numbers by length, as many together as stay in the processor's cache."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) >= _BATCH_TEXTS or (len(batch) + 1) * lengths[row] > _BATCH_TOKENS):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _unique(labels: Sequence[str]) -> list[str]:
    """Labels without repeats that differ only in case, in their order."""
    first_spelling: dict[str, str] = {}
    for label in labels:
        first_spelling.setdefault(label.strip().casefold(), label.strip())
    return [label for label in first_spelling.values() if label]


def _readable_attributes(attributes: Mapping[str, object]) -> list[str]:
    """``key: words`` of the attributes that are words: numbers, ids and addresses say nothing to a language model."""
    readable = []
    for key, value in sorted(attributes.items()):
        values = value if isinstance(value, list) else [value]
        words = [
            word for word in values if isinstance(word, str) and re.search(r"[^\W\d_]{2}", word) and "://" not in word
        ]
        if words:
            readable.append(f"{key.replace('_', ' ')}: {', '.join(words)}")
    return readable
