"""The causal transformer over ``z_i = adaptor(text_i) + g_i · e_i``: what an item says, and who it has become.

``g_i = n_i / (n_i + κ)`` fades the identity in with the number of interactions, and item-dropout hides it at random, so
that an unseen item is ranked by its text alone. Position is a learned bias by distance, which makes every position of a
window equally good to learn from. The time until the next event, known whenever somebody asks, tells a session's start
from its inside.
"""

import io
import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.sequence_head import N_GAP_BUCKETS

_MASKED = -1e4
"""Added to forbidden attention; finite, so that a row of padding stays a number."""


@dataclass(frozen=True)
class SequenceConfig:
    """Shape of the network and how it is trained."""

    embedding_size: int = 64
    """D."""
    layers: int = 1
    heads: int = 2
    max_length: int = 64
    """T: items of history read."""
    dropout: float = 0.1
    item_dropout: float = 0.15
    """Share of items whose identity is hidden in a step."""
    fade_in: float = 10.0
    """κ: interactions at which identity counts as much as it will be without."""
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    batch_size: int = 8
    """Windows of ``max_length`` items per step, more where they are short."""
    negatives: int = 512
    """Items in the softmax beside the right one; the whole catalogue where it is not larger."""
    patience: int = 2
    """Epochs without a better validation before training stops."""
    refit_share: float = 0.3
    """Epochs of a warm-started refit, as a share of the best epoch found on validation."""
    replay: float = 0.25
    """Older windows that an update learns from again, for each one with something new."""
    distillation: float = 0.5
    """Weight, in an update, of the divergence from the earlier network's answers."""


class SequenceNetwork(nn.Module):
    """Vectors of a history's items and gaps in, the user's vector at every position out."""

    def __init__(self, n_items: int, text_size: int, config: SequenceConfig) -> None:
        super().__init__()
        size = config.embedding_size
        self.config = config
        self.adaptor = nn.Linear(text_size, size)
        self.identity = nn.Embedding(n_items, size)
        self.item_bias = nn.Parameter(torch.zeros(n_items))
        self.reader = HistoryReader(config)
        # Text vectors have length 1, so both parts of an item start with about that length.
        nn.init.normal_(self.adaptor.weight, std=1 / math.sqrt(size))
        nn.init.zeros_(self.adaptor.bias)
        nn.init.normal_(self.identity.weight, std=1 / math.sqrt(size))

    def item_vectors(self, text: Tensor, fade: Tensor, items: Tensor) -> Tensor:
        """(n,) items -> (n, D); ``fade`` (V,) is g, zero where the identity is hidden."""
        return self.adaptor(text[items]) + fade[items, None] * self.identity(items)

    @torch.inference_mode()
    def item_table(self, text: Tensor, fade: Tensor) -> NDArray[np.float32]:
        """(V, D) of all items, as serving needs it."""
        table: NDArray[np.float32] = self.item_vectors(text, fade, torch.arange(len(fade))).numpy()
        return table

    def text_adaptor(self) -> NDArray[np.float32]:
        """(E + 1, D): what makes an item of a text alone; the last row is added to all."""
        rows = [self.adaptor.weight.detach().numpy().T, self.adaptor.bias.detach().numpy()[None]]
        return np.concatenate(rows)


class HistoryReader(nn.Module):
    """The transformer proper; this part is exported to ONNX."""

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        size = config.embedding_size
        self.scale = math.sqrt(size)
        self.gap = nn.Embedding(N_GAP_BUCKETS, size, padding_idx=0)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(size)
        self.out = nn.Linear(size, size)
        nn.init.normal_(self.gap.weight, std=0.02)

    def forward(self, vectors: Tensor, gaps: Tensor, only_newest: bool = False) -> Tensor:
        """(B, T, D), (B, T) -> (B, T, D); causal: position t sees items 0..t. ``only_newest`` gives (B, 1, D)."""
        length = gaps.shape[1]
        position = torch.arange(length, device=gaps.device)
        distance = position[:, None] - position[None, :]  # (T, T) how far back a key lies
        allowed = (distance >= 0)[None] & (gaps > 0)[:, None, :]  # (B, T, T)
        mask = torch.where(allowed, 0.0, _MASKED)[:, None]  # (B, 1, T, T)
        x = self.dropout(vectors * self.scale + self.gap(gaps))
        for place, block in enumerate(self.blocks, start=1):
            x = block(x, mask, distance.clamp(min=0), only_newest and place == len(self.blocks))
        return self.out(self.norm(x))


class Block(nn.Module):
    """Pre-norm attention with a bias by distance, then a feed-forward layer."""

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        size = config.embedding_size
        self.heads = config.heads
        self.attention_norm = nn.LayerNorm(size)
        self.query_key_value = nn.Linear(size, 3 * size)
        self.attention_out = nn.Linear(size, size)
        self.distance_bias = nn.Parameter(torch.zeros(config.max_length, config.heads))
        self.feed_forward_norm = nn.LayerNorm(size)
        self.feed_forward = nn.Sequential(nn.Linear(size, 2 * size), nn.GELU(), nn.Linear(2 * size, size))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor, distance: Tensor, only_newest: bool = False) -> Tensor:
        """(B, T, D) -> (B, T, D), or (B, 1, D): the newest position hears the others, and nobody asks for theirs."""
        parts = self.query_key_value(self.attention_norm(x))  # (B, T, 3D)
        query, key, value = parts.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)  # (B, H, T, D/H)
        if only_newest:
            x, query, mask, distance = x[:, -1:], query[:, :, -1:], mask[:, :, -1:], distance[-1:]
        bias = self.distance_bias[distance].permute(2, 0, 1)  # (T, T, H) -> (H, T, T)
        attention = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]) + bias + mask
        mixed = (attention.softmax(-1) @ value).transpose(1, 2).flatten(2)  # (B, T, D)
        x = x + self.dropout(self.attention_out(mixed))
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))


class _LastPosition(nn.Module):
    def __init__(self, reader: HistoryReader) -> None:
        super().__init__()
        self.reader = reader

    def forward(self, vectors: Tensor, gaps: Tensor) -> Tensor:
        return self.reader(vectors, gaps, only_newest=True)[:, 0]


def export_onnx(reader: HistoryReader) -> bytes:
    """The reader as an ONNX model of any batch size and any length up to ``max_length``."""
    config_size = reader.norm.normalized_shape[0]
    example = (torch.zeros(2, 3, config_size), torch.ones(2, 3, dtype=torch.int64))
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations: nothing a caller could do about them
        program = torch.onnx.export(
            _LastPosition(reader).eval(),
            example,
            input_names=["vectors", "gaps"],
            output_names=["user_vector"],
            dynamic_shapes=({0: batch, 1: length}, {0: batch, 1: length}),
            dynamo=True,
            verbose=False,
        )
    buffer = io.BytesIO()
    assert program is not None
    program.save(buffer)
    return buffer.getvalue()
