"""The LLM recommender: every head, the gate between them, and one scoring path for evaluation and serving.

A language model read the items (``item_vectors``); the heads learned from behaviour in that space or beside it. A score
is the sum over heads of the weight of this moment times the head's normalised score. numpy and ONNX Runtime only:
importing and loading this needs no torch.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from training.blend import REGIMES, normalise, regime_of
from training.history import History, HistoryBatch, Recency
from training.neighbours import Neighbours
from training.newness import TEXT_NEW, newness
from training.own_history import own_history_scores
from training.sequence_head import SequenceHead, SequenceScorer
from training.trend import TRENDS, trend_score
from training.whitening import Whitening

Scores = NDArray[np.float32]
TEXT = "text"
HEADS = ("item_item", "sequence", TEXT, TEXT_NEW, "transitions", *TRENDS, "own_history")
"""TEXT_NEW is what TEXT says of items that were hardly known at training: there no other head can say as much."""
FORMAT = 5
WHITENING = "whitening.safetensors"
POPULARITY = "trend_all"
"""The head by whose normalised score ``LLMRecommender.debiased`` holds back what everybody knows."""
RECENT_DECAY = Recency(a=0.5, session_decay=0.7, long_term_decay=0.7, start_decay=0.9)
OWN_HISTORY_DECAY = Recency(a=0.5, session_decay=1.0, long_term_decay=1.0)


@dataclass(frozen=True)
class LLMRecommender:
    """Everything that a score needs. Row i of every table is item ``item_ids[i]``."""

    item_ids: list[str]
    item_vectors: Scores  # (V, E) whitened text vectors of length 1
    popularity: Scores  # (V, 4) at the end of training: used where nobody hands over a fresher table
    item_item: Neighbours
    transitions: Neighbours
    sequence: SequenceScorer | None
    """Still in torch between training and export; only the exported form can be saved."""
    weights: Scores  # (len(REGIMES), len(HEADS))
    recency: Recency
    """How the item-item head reads a history."""
    recent_decay: Recency = RECENT_DECAY
    """How text and transitions read a history: only its newest items."""
    whitening: Whitening | None = None
    """What brought the language model's vectors into the space of ``item_vectors``; new texts take the same way."""
    debias: float = 0.0
    """What ``debiased`` has taken from the weights of POPULARITY."""

    @property
    def n_items(self) -> int:
        """V."""
        return len(self.item_ids)

    @cached_property
    def newness(self) -> Scores:
        """(V,) how little was known of each item at training."""
        return newness(self.popularity)

    def score(self, history: History, now_us: int, popularity: Scores | None = None) -> Scores:
        """(V,) the higher the better; exactly the sum of ``parts``."""
        return np.asarray(np.sum(list(self.parts(history, now_us, popularity).values()), axis=0))

    def parts(self, history: History, now_us: int, popularity: Scores | None = None) -> dict[str, Scores]:
        """What each head that counts at this moment adds to the score."""
        return self.parts_at(HistoryBatch.of([history], [now_us]), popularity)

    def parts_at(self, batch: HistoryBatch, popularity: Scores | None = None) -> dict[str, Scores]:
        """The same for a batch of one moment."""
        table = self.popularity if popularity is None else popularity
        weights = self.weights[regime_of(batch)[0]]
        used = tuple(head for head, weight in zip(HEADS, weights, strict=True) if weight)
        found = self.head_scores(batch, table[None], np.zeros(1, dtype=np.int64), used)
        parts = {head: weights[HEADS.index(head)] * scores[0] for head, scores in found}
        return parts or {HEADS[0]: np.zeros(self.n_items, dtype=np.float32)}

    def score_batch(self, batch: HistoryBatch, tables: Scores, table_of: NDArray[np.int64]) -> Scores:
        """(B, V) for many moments; ``tables`` (S, V, 4) are popularities, ``table_of`` (B,) the one that holds."""
        weights = self.weights[regime_of(batch)]
        total = np.zeros((len(batch), self.n_items), dtype=np.float32)
        used = tuple(head for head, column in zip(HEADS, weights.T, strict=True) if column.any())
        for head, scores in self.head_scores(batch, tables, table_of, used):
            total += weights[:, HEADS.index(head)][:, None] * scores
        return total

    def head_scores(
        self, batch: HistoryBatch, tables: Scores, table_of: NDArray[np.int64], heads: tuple[str, ...] = HEADS
    ) -> Iterator[tuple[str, Scores]]:
        """Normalised (B, V) scores of some heads, in the order of HEADS."""
        for head in heads:
            if head in TRENDS:
                yield head, normalise(trend_score(tables, self.popularity, head))[table_of]
            else:
                yield head, self.normalised(head, batch)

    def normalised(self, head: str, batch: HistoryBatch) -> Scores:
        """(B, V) what a head that reads histories says, in the unit of all heads."""
        scores = normalise(self.behaviour(head, batch))
        return scores * self.newness if head == TEXT_NEW else scores

    def reading(self, head: str, batch: HistoryBatch) -> Scores:
        """(B, T) what each item of a history counts for a head that sums over them."""
        recency = {"item_item": self.recency, "own_history": OWN_HISTORY_DECAY}.get(head, self.recent_decay)
        reading = batch.readings.get(recency)
        if reading is None:
            reading = batch.readings[recency] = recency.weights(batch)
        return reading

    def behaviour(self, head: str, batch: HistoryBatch) -> Scores:
        """(B, V) what a head that reads histories says, in its own unit."""
        if head == "item_item":
            return self.item_item.score(batch, self.reading(head, batch))
        if head == "transitions":
            return self.transitions.score(batch, self.reading(head, batch))
        if head in (TEXT, TEXT_NEW):
            return text_scores(self.item_vectors, batch, self.recent_decay)
        if head == "own_history":
            return own_history_scores(batch, OWN_HISTORY_DECAY, self.n_items)
        if self.sequence is None:
            return np.zeros((len(batch), self.n_items), dtype=np.float32)
        return self.sequence.score(batch)

    def similar(self, item_index: int, n: int) -> list[tuple[int, float]]:
        """The n items nearest to one: met together, or alike in words where too few people met it."""
        score = normalise(self.item_vectors @ self.item_vectors[item_index])
        together = np.zeros(self.n_items, dtype=np.float32)
        near, weights = self.item_item.of(np.array(item_index))
        together[near] = weights
        score = 0.5 * score + normalise(together)
        score[item_index] = -np.inf
        best = np.argsort(-score, kind="stable")[: min(n, self.n_items - 1)]
        return [(int(index), float(score[index])) for index in best]

    def with_weights(self, weights: Scores) -> "LLMRecommender":
        """The same heads, weighed differently."""
        return replace(self, weights=weights)

    def debiased(self, strength: float) -> "LLMRecommender":
        """The same heads, paying ``strength`` less for popularity than was learned; 0 is as learned.

        Users without history see what they saw: they have nothing but trends to go by. Raises ValueError below 0.
        """
        if not 0 <= strength < math.inf:
            raise ValueError(f"debias is {strength}: give 0 or more")
        weights = self.weights.copy()
        weights[1:, HEADS.index(POPULARITY)] -= np.float32(strength - self.debias)
        return replace(self, weights=weights, debias=strength)

    def without(self, *heads: str) -> "LLMRecommender":
        """Some heads switched off, the others' weights as they are."""
        weights = self.weights.copy()
        weights[:, [HEADS.index(head) for head in heads]] = 0
        return self.with_weights(weights)

    def only(self, head: str) -> "LLMRecommender":
        """One head alone."""
        weights = np.zeros_like(self.weights)
        weights[:, HEADS.index(head)] = 1
        return self.with_weights(weights)

    def save(self, folder: Path) -> None:
        """Plain data only: safetensors, .npy, ONNX and JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        tables = {"item_vectors": self.item_vectors, "popularity": self.popularity, "weights": self.weights}
        save_file({name: np.ascontiguousarray(table) for name, table in tables.items()}, folder / "tables.safetensors")
        self.item_item.save(folder, "item_item")
        self.transitions.save(folder, "transitions")
        if self.sequence is not None:
            if not isinstance(self.sequence, SequenceHead):
                raise TypeError("the sequence head is not exported yet: save what refit(…, export=True) returns")
            self.sequence.save(folder)
        if self.whitening is not None:
            self.whitening.save(folder / WHITENING)
        described = {
            "format": FORMAT,
            "item_ids": self.item_ids,
            "heads": list(HEADS),
            "regimes": list(REGIMES),
            "recency": asdict(self.recency),
            "recent_decay": asdict(self.recent_decay),
            "debias": self.debias,
            "sequence_max_length": getattr(self.sequence, "max_length", None),
        }
        (folder / "recommender.json").write_text(json.dumps(described, ensure_ascii=False, indent=1))

    @classmethod
    def load(cls, folder: Path) -> "LLMRecommender":
        """Read what ``save`` wrote. Raises ValueError for another format, other heads or other regimes."""
        described = json.loads((folder / "recommender.json").read_text())
        expected = {"format": FORMAT, "heads": list(HEADS), "regimes": list(REGIMES)}
        for name, value in expected.items():
            if described[name] != value:
                raise ValueError(f"{folder}: {name} is {described[name]}, this code reads {value}; train again")
        tables = load_file(folder / "tables.safetensors")
        length = described["sequence_max_length"]
        return cls(
            item_ids=described["item_ids"],
            item_vectors=tables["item_vectors"],
            popularity=tables["popularity"],
            item_item=Neighbours.load(folder, "item_item"),
            transitions=Neighbours.load(folder, "transitions"),
            sequence=None if length is None else SequenceHead.load(folder, length),
            weights=tables["weights"],
            recency=Recency(**described["recency"]),
            recent_decay=Recency(**described["recent_decay"]),
            debias=described.get("debias", 0.0),
            whitening=Whitening.load(folder / WHITENING) if (folder / WHITENING).exists() else None,
        )


def text_scores(vectors: Scores, batch: HistoryBatch, recency: Recency) -> Scores:
    """(B, V) likeness in words to the newest items, the newest of them most."""
    scores: Scores = text_profiles(vectors, batch, recency.weights(batch)) @ vectors.T
    return scores


def text_profiles(vectors: Scores, batch: HistoryBatch, weights: Scores) -> Scores:
    """(B, E) what the newest items say, by their weights (B, T)."""
    used = int((weights.any(axis=0)).sum())  # weights fade with age, so what is used stands at the right
    batch, weights = batch.newest(used), weights[:, weights.shape[1] - used :]
    profiles: Scores = np.einsum("bt,bte->be", weights, vectors[np.maximum(batch.items, 0)])
    return profiles
