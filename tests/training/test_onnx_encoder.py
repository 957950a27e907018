import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training import onnx_encoder
from training.backbones import resolve_backbone
from training.onnx_encoder import TRIAL_TEXTS, OnnxTextEncoder, export_text_encoder
from training.plain_data import check_plain_data
from training.text_tower import TextEncoder

SUBJECTS = ("boots", "a lamp", "tea", "a novel", "a bicycle", "a guitar", "a tent", "bread", "a clock", "paint")
KINDS = ("cheap", "red", "for children", "used", "Italian", "waterproof", "antique", "loud", "small", "a gift of")
ITEMS = [f"{kind} {subject}" for kind in KINDS for subject in SUBJECTS]
QUERIES = ["hiking shoes", "something to read", "camping in the rain", "music for kids", "old furniture", "breakfast"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = export_text_encoder(resolve_backbone("minilm"), tmp_path_factory.mktemp("encoders"))
    assert folder is not None
    return folder


@pytest.fixture(scope="module")
def both(exported: Path) -> tuple[TextEncoder, OnnxTextEncoder]:
    backbone = resolve_backbone("minilm")
    return TextEncoder(backbone), OnnxTextEncoder(backbone, exported)


def test_onnx_reads_texts_as_pytorch_does(both):
    for texts in (TRIAL_TEXTS, QUERIES, ITEMS):
        ours, theirs = (encoder.encode(texts) for encoder in both)
        cosines = (ours * theirs).sum(axis=1)
        assert cosines.min() > 0.999
        assert cosines.mean() > 0.9995
        assert np.linalg.norm(theirs, axis=1) == pytest.approx(1, abs=1e-4)


def test_a_query_finds_the_same_items_by_either(both):
    torch_encoder, onnx_encoder = both
    items = torch_encoder.encode(ITEMS)
    leaders = [
        np.argsort(-(encoder.encode(QUERIES) @ items.T), axis=1)[:, :10] for encoder in (torch_encoder, onnx_encoder)
    ]
    found = [len(set(ours) & set(theirs)) / 10 for ours, theirs in zip(*leaders, strict=True)]
    assert np.mean(found) >= 0.95


def test_a_text_reads_the_same_alone_and_among_others(both):
    _, encoder = both
    assert encoder.encode(["tea"])[0] == pytest.approx(encoder.encode(["tea", *TRIAL_TEXTS])[0], abs=1e-5)


def test_the_export_is_plain_data_of_half_the_size(exported):
    for path in exported.iterdir():
        check_plain_data(path)
    weights = resolve_backbone("minilm").folder / "model.safetensors"
    assert (exported / "model.onnx").stat().st_size < 0.55 * weights.stat().st_size


def test_a_space_is_exported_once(exported, monkeypatch):
    monkeypatch.setattr(onnx_encoder, "_exported", None)  # would fail if it were called
    assert export_text_encoder(resolve_backbone("minilm"), exported.parent) == exported


def test_decoders_stay_in_pytorch(tmp_path):
    assert export_text_encoder(replace(resolve_backbone("minilm"), pooling="last"), tmp_path) is None


def test_reading_needs_neither_torch_nor_transformers(exported):
    code = (
        "import sys; from pathlib import Path; from training.backbones import resolve_backbone; "
        "from training.onnx_encoder import OnnxTextEncoder; "
        f"encoder = OnnxTextEncoder(resolve_backbone('minilm'), Path({str(exported)!r})); "
        "assert encoder.encode(['tea']).shape == (1, 384); "
        "assert not {'torch', 'transformers'} & set(sys.modules), 'loaded'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
