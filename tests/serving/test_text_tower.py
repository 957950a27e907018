"""Queries and new items are read by the model that the bundle holds, else by PyTorch, and mean the same by either."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from serving.text_tower import TextTowers
from tests.serving.worlds import reading_bundle
from training.bundle import TEXT_ENCODER, BundleError, load_bundle
from training.onnx_encoder import MODEL, OnnxTextEncoder
from training.text_tower import TextEncoder

QUERIES = ["pirates", "a journey to another planet", "what to cook tonight"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("home")
    reading_bundle(folder / "bundle", folder / "models" / "vectors")
    return load_bundle(folder / "bundle")


def test_the_bundles_own_encoder_reads_as_pytorch_does(bundle, tmp_path: Path):
    towers = {}
    for kind, asked in ((OnnxTextEncoder, bundle), (TextEncoder, replace(bundle, text_encoder=None))):
        tower = TextTowers(tmp_path / kind.__name__).open(asked)
        towers[kind] = [*(tower.query(query) for query in QUERIES), tower.items(["a lighthouse"])[0]]
        assert type(tower.towers._encoder) is kind
    cosines = [float(ours @ theirs) for ours, theirs in zip(*towers.values(), strict=True)]
    assert min(cosines) > 0.999
    assert np.linalg.norm(towers[OnnxTextEncoder], axis=1) == pytest.approx(1, abs=1e-5)


def test_an_altered_encoder_is_refused(bundle):
    path = bundle.text_encoder / MODEL
    assert bundle.text_encoder.name == TEXT_ENCODER
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=f"{TEXT_ENCODER}/{MODEL} was altered"):
        load_bundle(bundle.text_encoder.parent)
