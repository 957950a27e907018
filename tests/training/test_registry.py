import subprocess
import sys
from datetime import datetime
from pathlib import Path

import mlflow
import numpy as np
import pytest

from training import registry
from training.bundle import BundleError, verify
from training.tracking import log_bundle, prepare_tracking, training_run


@pytest.fixture
def register(tracking_uri, small_bundle):
    def register_one(ndcg: float = 0.05, card: str = "# A card") -> int:
        with training_run(tracking_uri, "training", {"backbone": "minilm"}) as run:
            mlflow.log_metrics({"test/recommender/ndcg_at_10": ndcg, "test/only_text/ndcg_at_10": 0.1, "loss": 3.0})
            mlflow.log_text(card, "model_card.md")
            log_bundle(tracking_uri, run.info.run_id, small_bundle)
        return registry.register_run(tracking_uri, run.info.run_id)

    return register_one


def test_before_the_first_training_there_is_no_champion(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow/mlflow.db"
    assert registry.champion(uri) is None
    assert registry.versions(uri) == []
    assert not (tmp_path / "mlflow").exists()


def test_a_version_lives_from_challenger_to_previous(tracking_uri, register):
    assert registry.champion(tracking_uri) is None
    first = register(0.0512)
    known = registry.get_version(tracking_uri, first)
    assert known.aliases == ("challenger",)
    assert known.description == "# A card"
    assert known.tags == {"backbone": "minilm", "test/recommender/ndcg_at_10": "0.0512"}

    registry.make_champion(tracking_uri, first, "the first champion")
    champion = registry.champion(tracking_uri)
    assert champion is not None and champion.version == first
    assert champion.tags["verdict_reason"] == "the first champion"
    assert champion.description == "Verdict: champion. Why: the first champion\n\n# A card"
    assert datetime.fromisoformat(champion.tags["promoted_at"]).tzinfo is not None
    assert registry.by_alias(tracking_uri, "challenger") is None

    second = register()
    registry.keep_challenger(tracking_uri, second, "may be worse")
    assert registry.champion(tracking_uri).version == first
    assert registry.get_version(tracking_uri, second).tags["verdict"] == "challenger"

    registry.make_champion(tracking_uri, second, "better")
    assert registry.champion(tracking_uri).version == second
    assert registry.by_alias(tracking_uri, "previous").version == first

    assert registry.rollback(tracking_uri).version == first
    assert registry.champion(tracking_uri).version == first
    assert registry.by_alias(tracking_uri, "previous").version == second
    back = registry.get_version(tracking_uri, second)
    assert back.tags["verdict"] == "rolled back"
    reason = f"version {first} was put back in its place"
    assert back.description == f"Verdict: rolled back. Why: {reason}\n\n# A card"


def test_a_long_card_is_cut_where_the_registry_ends(tracking_uri, register):
    version = register(card="# A card\n" + "a line of it\n" * 1_000)
    description = registry.get_version(tracking_uri, version).description
    assert 4_500 < len(description) <= 5_000
    end = "a line of it\n\n… (the whole card is model_card.md of the run)\n"
    assert description.endswith(end)
    for reason in ("short", "as long as can be, " * 500):
        registry.keep_challenger(tracking_uri, version, reason)
        description = registry.get_version(tracking_uri, version).description
        assert description.startswith(f"Verdict: challenger. Why: {reason[:2_500]}\n\n# A card\n")
        assert description.endswith(end)
        assert len(description) <= 5_000


def test_registering_a_run_again_gives_the_same_version(tracking_uri, register):
    version = register()
    run_id = registry.get_version(tracking_uri, version).run_id
    assert registry.register_run(tracking_uri, run_id) == version


def test_a_run_without_a_bundle_cannot_be_registered(tracking_uri):
    with training_run(tracking_uri, "stopped early") as run:
        pass
    with pytest.raises(registry.RegistryError, match=f"run {run.info.run_id} has no logged bundle"):
        registry.register_run(tracking_uri, run.info.run_id)


def test_an_unknown_version_says_so(tracking_uri):
    with pytest.raises(registry.RegistryError, match="no version 999"):
        registry.get_version(tracking_uri, 999)


def test_without_a_previous_version_nothing_can_be_rolled_back(tmp_path):
    with pytest.raises(registry.RegistryError, match="no previous version"):
        registry.rollback(f"sqlite:///{tmp_path}/mlflow.db")


def test_a_download_is_the_bundle_byte_for_byte(tracking_uri, register, small_bundle, tmp_path):
    version = registry.get_version(tracking_uri, register())
    folder = registry.download(version, tmp_path)
    assert (folder / "manifest.json").read_bytes() == (small_bundle / "manifest.json").read_bytes()
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]  # nothing half-fetched beside it
    inode = folder.stat().st_ino
    assert registry.download(version, tmp_path).stat().st_ino == inode


def test_a_damaged_copy_is_fetched_again(tracking_uri, register, tmp_path):
    version = registry.get_version(tracking_uri, register())
    folder = registry.download(version, tmp_path)
    np.save(folder / "recommender" / "item_item_items.npy", np.zeros(3))
    verify(registry.download(version, tmp_path))


def test_a_tampered_artifact_is_never_handed_out(tracking_uri, register, tmp_path):
    version = registry.get_version(tracking_uri, register())
    root = mlflow.get_logged_model(version.source.removeprefix("models:/")).artifact_location
    with Path(root.removeprefix("file://"), "artifacts", "bundle", "recommender", "item_item_items.npy").open(
        "ab"
    ) as file:
        file.write(b"x")
    with pytest.raises(BundleError, match=r"item_item_items\.npy was altered"):
        registry.download(version, tmp_path)
    assert list((tmp_path / "bundles").iterdir()) == []


def test_a_registry_that_goes_away_while_mlflow_is_loaded_is_not_made_anew(tmp_path):
    database = tmp_path / "mlflow" / "mlflow.db"
    code = (
        "import os, pathlib, sys\n"
        "database = pathlib.Path(sys.argv[1])\n"
        "class Away:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'mlflow':\n"
        "            database.parent.rename(database.parent.with_name('away'))\n"
        "sys.meta_path.insert(0, Away())\n"
        "from training.registry import champion\n"
        "assert champion(f'sqlite:///{database}') is None\n"
    )
    prepare_tracking(f"sqlite:///{database}")
    subprocess.run([sys.executable, "-c", code, str(database)], check=True)
    assert (tmp_path / "away" / "mlflow.db").is_file()
    assert not database.parent.exists()
