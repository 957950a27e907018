"""What an update goes on from: the champion's choices and network, kept as artifacts of the run that it came from.

An update learns from what came since, and chooses nothing anew; what the champion serves with lies in its bundle.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from safetensors.torch import load_file, save_file

from freshet.settings import Settings
from training import registry
from training.backbones import resolve_backbone
from training.bundle import load_bundle
from training.config import TrainConfig
from training.registry import RegistryError
from training.sequence_network import SequenceConfig, SequenceNetwork
from training.stages import Choices, Earlier
from training.tracking import artifact
from training.whitening import Whitening

FOLDER = "continuation"
_CHOICES, _NETWORK = "choices.json", "network.safetensors"


@dataclass(frozen=True)
class Continuation:
    """Where a version stood when it had been trained."""

    choices: Choices
    earlier: Earlier | None
    """None where the sequence head was left out."""
    sequence: SequenceConfig
    """Of that network: a search since then is for the next whole training."""
    whitening: Whitening
    learned_until: int
    """Microseconds: the newest event it has learned from."""


def write_continuation(folder: Path, choices: Choices, network: SequenceNetwork | None) -> None:
    """Two files of plain data, to be logged under ``FOLDER``."""
    folder.mkdir(parents=True, exist_ok=True)
    choices.save(folder / _CHOICES)
    if network is not None:
        save_file({name: value.contiguous() for name, value in network.state_dict().items()}, folder / _NETWORK)


def continuation_of(settings: Settings, config: TrainConfig) -> Continuation:
    """What ``config.update_of`` left. Raises BundleError, and RegistryError where only a whole training will do."""
    assert config.update_of is not None
    version = registry.get_version(settings.tracking_uri, config.update_of)
    bundle = load_bundle(registry.download(version, settings.models_dir))
    manifest, backbone = bundle.manifest, resolve_backbone(config.text_backbone)
    if manifest.text_encoder["space"] != backbone.space:
        raise RegistryError(
            f"version {version.version} reads texts with {manifest.text_encoder['name']}, not with {backbone.name}: "
            "their vectors have nothing in common, so train anew, without --update"
        )
    whitening = bundle.recommender.whitening
    with artifact(settings.tracking_uri, version.run_id, f"{FOLDER}/{_CHOICES}") as path:
        if path is None or whitening is None:
            raise RegistryError(
                f"version {version.version} has not kept what an update needs: train anew, without --update"
            )
        choices = replace(Choices.load(path), curve=[])  # of the training that chose, and not of this one
    learned_until = int(manifest.data["until_us"])
    sequence = SequenceConfig(**manifest.config["sequence"])
    earlier = None
    with artifact(settings.tracking_uri, version.run_id, f"{FOLDER}/{_NETWORK}") as path:
        if path is not None:
            network = _network(path, sequence)
            earlier = Earlier(list(bundle.recommender.item_ids), network, fresh_after=learned_until)
    return Continuation(choices, earlier, sequence, whitening, learned_until)


def _network(path: Path, config: SequenceConfig) -> SequenceNetwork:
    weights = load_file(path)
    network = SequenceNetwork(len(weights["item_bias"]), weights["adaptor.weight"].shape[1], config)
    network.load_state_dict(weights)
    network.eval()
    return network
