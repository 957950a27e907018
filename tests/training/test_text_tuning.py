"""Tuning the language model: what it learns from, what it must not know, and what comes out."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from commands.main import app
from training.backbones import BackboneError, resolve_backbone
from training.dataset import read_marts
from training.judge import judge
from training.judgement import Plan
from training.low_rank import LowRank, write_tuned_backbone
from training.snapshot import Events
from training.stages import prepare_stage
from training.text_tower import TextEncoder
from training.text_tuning import TuningConfig, as_the_teacher, met_together, together, tune_texts

QUICK = TuningConfig(epochs=2, steps_per_epoch=6, windows_per_step=6, window=4, learning_rate=1e-3, layers=1)
TEXTS = ("red boots", "a film about the sea", "")


def of_events(user: list[int], item: list[int]) -> Events:
    zeros = np.zeros(len(user), dtype=np.int64)
    users, items = np.array(user, dtype=np.int32), np.array(item, dtype=np.int32)
    return Events(users, items, zeros, zeros, zeros.astype(bool), zeros.astype(np.int32))


def test_a_run_of_one_users_items_was_met_together():
    events = of_events([0, 0, 0, 0, 0, 1, 1, 2], [7, 3, 7, 5, 2, 1, 4, 9])
    # Runs of three: (7, 3, 7), (5, 2), (1, 4), and 9 alone, which has no companion.
    assert [run.tolist() for run in met_together(events, 3, 0)] == [[3, 7], [2, 5], [1, 4]]
    # Shifted by one, each user's first run is shorter: (7, 3), (7, 5, 2); (1, 4) is not cut.
    assert [run.tolist() for run in met_together(events, 3, 1)] == [[3, 7], [2, 5, 7], [1, 4]]


def test_the_loss_is_that_of_finding_companions_among_the_others():
    import torch

    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    before = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    items, windows = np.array([0, 1, 2]), [np.array([0, 1])]
    alone = replace(QUICK, temperature=1.0, keep=0.0)
    equal = np.full(3, 1 / 3, dtype=np.float32)
    # Of the two others its companion has likeness 1 and the third has 0: −log e / (e + 1).
    found = together(vectors, items, windows, before=before, shares=equal, tuning=alone)
    assert float(found) == pytest.approx(math.log(1 + math.exp(-1)))
    # One met eight times as often as its companions would be drawn so much more often: its chance is divided by it.
    popular = np.array([0.1, 0.1, 0.8], dtype=np.float32)
    found = together(vectors, items, windows, before=before, shares=popular, tuning=alone)
    assert float(found) == pytest.approx(math.log(1 + math.exp(-1) / 8), rel=1e-5)
    # One of three vectors has turned by a right angle: 1 − cosine is 1/3 on average.
    kept = together(vectors, items, windows, before=before, shares=equal, tuning=replace(alone, keep=3.0))
    assert float(kept) == pytest.approx(math.log(1 + math.exp(-1)) + 3 * 1 / 3)


def test_a_teachers_space_is_learned_up_to_a_turn():
    import torch

    taught = np.array([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.0, 1.0, 0.0]], dtype=np.float32)
    turned = torch.tensor([[0.0, 1.0], [0.8, 0.6], [1.0, 0.0]])
    items = np.array([0, 1, 2])
    assert float(as_the_teacher(turned, items, [], teacher=taught, temperature=0.1)) == pytest.approx(0, abs=1e-6)
    other = torch.tensor([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    assert float(as_the_teacher(other, items, [], teacher=taught, temperature=0.1)) > 0.01


@pytest.fixture(scope="module")
def tuned(world_settings, small_config):
    return tune_texts(world_settings, small_config, QUICK)


def test_what_was_met_together_is_found_better_by_its_text(tuned):
    assert [row["epoch"] for row in tuned.curve] == [0, 1, 2]
    best = tuned.curve[tuned.best_epoch]["quality"]
    assert tuned.best_epoch > 0 and best > tuned.curve[0]["quality"]


def test_what_comes_out_is_a_language_model_like_any_other(tuned, world_settings, small_config):
    backbone, base = resolve_backbone(str(tuned.folder)), resolve_backbone("minilm")
    assert (backbone.pooling, backbone.width) == (base.pooling, base.width)
    assert backbone.space != base.space
    marts = read_marts(world_settings.features_dir)
    assert backbone.learned_until_us == marts.cuts()[0]
    config = replace(small_config, text_backbone=str(tuned.folder))
    stage = prepare_stage("test", marts.snapshot(marts.cuts()[1], 0), tuned.folder / "work", config, tuned.folder)
    assert stage.vectors.shape[0] == stage.snapshot.n_items


def test_a_tuning_that_was_killed_goes_on_and_comes_to_the_same(tuned, world_settings, small_config):
    (folder,) = (world_settings.models_dir / "text_tuning").iterdir()
    curve = json.loads((folder / "curve.json").read_text())
    (folder / "curve.json").write_text(json.dumps(curve[:2]))
    (folder / "epoch-2.safetensors").unlink()
    again = tune_texts(world_settings, small_config, QUICK)
    assert (again.curve, again.folder) == (tuned.curve, tuned.folder)


def test_no_model_is_judged_on_what_its_language_model_has_learned_from(tuned, world_settings, small_config, tmp_path):
    marts = read_marts(world_settings.features_dir)
    config = replace(small_config, text_backbone=str(tuned.folder))
    earlier = marts.snapshot(marts.cuts()[0] - 86_400_000_000, 0)
    with pytest.raises(BackboneError, match=r"was tuned on [\d,]+ events that must not be known here"):
        prepare_stage("test", earlier, tmp_path, config, tmp_path)
    for protocol in ("leave-one-out", "cold-items"):
        with pytest.raises(BackboneError, match="must not be known here"):
            judge(world_settings, config, Plan(protocol))


def test_only_the_last_layers_are_adapted_and_merging_them_changes_no_vector(tmp_path):
    import torch

    base = resolve_backbone("minilm")
    encoder = TextEncoder(base, in_float32=True)
    adapted = LowRank(encoder, rank=4, layers=1, learning_rate=1e-2, seed=0)
    learned = [name for name, weights in encoder.model.named_parameters() if weights.requires_grad]
    assert learned and all("layer.5." in name and ".lora_" in name for name in learned)
    tokens = encoder.tokenize(TEXTS)
    for _ in range(3):
        adapted.descend(encoder.vectors(tokens)[0] @ encoder.vectors(tokens)[1], 0.5)
    expected = encoder.encode(TEXTS)
    assert (expected * TextEncoder(base, in_float32=True).encode(TEXTS)).sum(axis=1).min() < 0.99
    folder = write_tuned_backbone(tmp_path, base, adapted, {"learned_until_us": 5})
    merged = TextEncoder(resolve_backbone(str(folder)), in_float32=True)
    assert not any(".lora_" in name for name, _ in merged.model.named_parameters())
    assert (expected * merged.encode(TEXTS)).sum(axis=1).min() > 0.9999
    assert torch.is_grad_enabled()


def test_a_small_model_learns_how_a_larger_one_reads(world_settings, small_config, tmp_path):
    student = replace(small_config, text_backbone=str(first_layers_of_minilm(tmp_path / "student", 1)))
    tuned = tune_texts(world_settings, student, replace(QUICK, teacher="minilm", epochs=6))
    assert tuned.curve[-1]["loss"] < 0.8 * tuned.curve[1]["loss"]
    assert tuned.curve[tuned.best_epoch]["quality"] > tuned.curve[0]["quality"]
    assert resolve_backbone(str(tuned.folder)).learned_until_us is None  # no event was looked at


def test_who_learns_from_a_tuned_model_has_learned_from_its_events(tuned, world_settings, small_config):
    taught = tune_texts(world_settings, small_config, replace(QUICK, teacher=str(tuned.folder), epochs=1))
    assert resolve_backbone(str(taught.folder)).learned_until_us == resolve_backbone(str(tuned.folder)).learned_until_us


def first_layers_of_minilm(folder: Path, n_layers: int) -> Path:
    from transformers import AutoModel

    minilm = resolve_backbone("minilm").folder
    shutil.copytree(minilm, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    AutoModel.from_pretrained(minilm, num_hidden_layers=n_layers).save_pretrained(folder)
    return folder


def test_the_command_says_what_to_set(tuned, world_settings, monkeypatch):
    monkeypatch.setenv("FRESHET_HOME", str(world_settings.home))
    asked = ["tune-texts", "--epochs", "1", "--steps", "6", "--layers", "1"]
    done = CliRunner().invoke(app, asked)
    assert "NDCG@10 of texts alone, on validation" in done.stdout
    if done.exit_code == 0:
        folder = done.stdout.partition("FRESHET_TEXT_BACKBONE=")[2].strip()
        assert resolve_backbone(folder).learned_until_us == read_marts(world_settings.features_dir).cuts()[0]
    else:
        assert done.exit_code == 1 and "nothing was written" in done.stderr
