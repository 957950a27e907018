import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from training import text_tower
from training.backbones import BackboneError, resolve_backbone
from training.text_tower import TextEncoder, encode_texts, item_text

TITLES = [
    "Toy Story (1995) | Adventure, Animation, Children",
    "Toy Story 2 (1999) | Adventure, Animation, Children",
    "The Godfather (1972) | Crime, Drama",
    "Heat",
    "",
    "A film about " + "very " * 200 + "long descriptions",
]


@pytest.fixture(scope="module")
def untouched_decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen3 with two small random layers and a vocabulary of a few words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM, set_seed

    folder = tmp_path_factory.mktemp("decoder")
    words = ["<pad>", "<unk>", "heat", "toy", "story", "of", "the", "night"]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>").save_pretrained(folder)
    config = Qwen3Config(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        pad_token_id=0,
    )
    set_seed(0)
    Qwen3ForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def tiny_decoder(untouched_decoder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(untouched_decoder, tmp_path / "decoder"))


@pytest.fixture(scope="module")
def minilm_vectors(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    cache_dir = tmp_path_factory.mktemp("vectors")
    return cache_dir, encode_texts(TITLES, backbone="minilm", cache_dir=cache_dir, progress=False)


def test_minilm_reads_similar_titles_alike(minilm_vectors):
    _, vectors = minilm_vectors
    assert vectors.shape == (len(TITLES), 384) and vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.8 > 0.5 > vectors[0] @ vectors[2]


def test_a_text_has_the_same_vector_in_any_company(minilm_vectors):
    _, together = minilm_vectors
    encoder = TextEncoder(resolve_backbone("minilm"))
    alone = np.concatenate([encoder.encode([title]) for title in TITLES])
    assert (together * alone).sum(axis=1).min() > 0.9995


def test_only_what_changed_is_encoded(minilm_vectors, monkeypatch):
    cache_dir, before = minilm_vectors
    encoded = []
    real = TextEncoder.encode_in_chunks

    def watched(self, texts):
        encoded.extend(texts)
        return real(self, texts)

    monkeypatch.setattr(TextEncoder, "encode_in_chunks", watched)
    texts = [*reversed(TITLES), "Casablanca", "Casablanca"]
    after = encode_texts(texts, backbone="minilm", cache_dir=cache_dir, progress=False)
    assert encoded == ["Casablanca"]
    assert np.array_equal(after[: len(TITLES)], before[::-1])
    assert np.array_equal(after[-1], after[-2])


def test_a_full_cache_needs_no_language_model(minilm_vectors, monkeypatch):
    cache_dir, before = minilm_vectors
    monkeypatch.delattr(text_tower, "TextEncoder")
    assert np.array_equal(encode_texts(TITLES, backbone="minilm", cache_dir=cache_dir), before)


def test_no_texts_give_no_vectors(tmp_path):
    assert encode_texts([], backbone="minilm", cache_dir=tmp_path).shape == (0, 384)


def test_a_decoder_is_read_at_its_last_token(tiny_decoder, tmp_path):
    backbone = resolve_backbone(str(tiny_decoder))
    assert backbone.pooling == "last"
    texts = ["heat", "heat of the night", "toy story"]
    vectors = encode_texts(texts, backbone=str(tiny_decoder), cache_dir=tmp_path, progress=False)
    assert vectors.shape == (3, 32)
    assert np.allclose(vectors[0], TextEncoder(backbone).encode(["heat"])[0], atol=2e-2)


def test_queries_and_documents_get_their_family_prefix(tiny_decoder, tmp_path):
    prompts = {"prompts": {"query": "toy ", "document": ""}}
    (tiny_decoder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    folder = str(tiny_decoder)
    query = encode_texts(["story"], backbone=folder, cache_dir=tmp_path, kind="query", progress=False)
    document = encode_texts(["toy story", "story"], backbone=folder, cache_dir=tmp_path, progress=False)
    assert np.allclose(query[0], document[0], atol=1e-6)
    assert not np.allclose(query[0], document[1], atol=1e-2)


def test_changed_weights_are_another_space(tiny_decoder):
    before = resolve_backbone(str(tiny_decoder)).space
    weights = tiny_decoder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert resolve_backbone(str(tiny_decoder)).space != before


def test_weights_that_are_no_safetensors_are_refused(tiny_decoder):
    (tiny_decoder / "model.safetensors").rename(tiny_decoder / "pytorch_model.bin")
    with pytest.raises(BackboneError, match=r"no config\.json with model\.safetensors"):
        resolve_backbone(str(tiny_decoder))


@pytest.mark.parametrize("name", ["", "not a model", "../../etc", "a/b/c"])
def test_a_name_that_is_no_model_is_refused(name):
    with pytest.raises(BackboneError, match="text backbone"):
        resolve_backbone(name)


def test_an_unreachable_model_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BackboneError, match=r"freshet/no-such-model.*or use minilm"):
        resolve_backbone("freshet/no-such-model")


def test_an_item_reads_from_title_to_description():
    text = item_text(
        "Toy Story\n(1995)",
        ["Animation", "Comedy"],
        ["pixar", "Pixar", " fun "],
        {
            "studio": "Pixar Animation",
            "imdb_id": 114709,
            "link": "https://example.org",
            "cast": ["Tom Hanks", "Tim Allen"],
        },
        "A cowboy doll\tis jealous.",
    )
    assert text == (
        "Toy Story (1995) | Animation, Comedy | cast: Tom Hanks, Tim Allen; studio: Pixar Animation"
        " | pixar, fun | A cowboy doll is jealous."
    )


def test_an_item_may_have_only_a_title():
    assert item_text("Heat") == "Heat"
