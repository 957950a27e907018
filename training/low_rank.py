"""LoRA on a loaded language model, through ``peft``: adapted layers, steps, checkpoints, the merged model on disk."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.backbones import TUNING, Backbone, BackboneError, file_sha256
from training.text_tower import TextEncoder

if TYPE_CHECKING:
    from torch import Tensor

_WARM_UP = 0.1
"""Share of all steps in which the learning rate rises; then it falls to zero in a line."""
_MAX_NORM = 1.0
"""Of a step's gradients."""
_LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\.")
"""Where a linear map's name says of which layer it is."""


class LowRank:
    """Linear maps W of a model's last layers become W + 2·B·A with B and A of rank r, which alone are learned.

    The model stays in evaluation mode: without dropout a step is the same wherever it runs.
    """

    def __init__(self, encoder: TextEncoder, rank: int, layers: int | None, learning_rate: float, seed: int) -> None:
        """Adapt the model in its place. Raises BackboneError where it has no layers to adapt."""
        import torch
        from peft import LoraConfig, inject_adapter_in_model

        self.encoder = encoder
        torch.manual_seed(seed)
        names = _linear_maps(encoder.model, layers)
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=names), encoder.model)
        self._learned = [each for each in encoder.model.parameters() if each.requires_grad]
        self._learning_rate = learning_rate
        self._optimizer = torch.optim.AdamW(self._learned, lr=learning_rate, weight_decay=0.01)

    def descend(self, loss: "Tensor", share_done: float) -> float:
        """One step down the loss; ``share_done`` of all steps lie before it."""
        import torch

        pace = min(1, (share_done + 1e-3) / _WARM_UP, (1 - share_done) / (1 - _WARM_UP))
        for group in self._optimizer.param_groups:
            group["lr"] = self._learning_rate * pace
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._learned, _MAX_NORM)
        self._optimizer.step()
        return float(loss.item())

    def save(self, path: Path) -> None:
        """What was learned, as safetensors."""
        from peft import get_peft_model_state_dict
        from safetensors.torch import save_file

        save_file(get_peft_model_state_dict(self.encoder.model), path)

    def load(self, path: Path) -> None:
        """Go back to what was saved; the optimizer begins anew."""
        import torch
        from peft import set_peft_model_state_dict
        from safetensors.torch import load_file

        set_peft_model_state_dict(self.encoder.model, load_file(path))
        self._optimizer = torch.optim.AdamW(self._learned, lr=self._learning_rate, weight_decay=0.01)

    def merged(self) -> dict[str, "Tensor"]:
        """The weights of a model of the usual form that reads as the adapted one does. The adapted one is used up."""
        from peft.tuners.lora import LoraLayer

        for module in self.encoder.model.modules():
            if isinstance(module, LoraLayer):
                module.merge()
        return {
            name.replace(".base_layer.", "."): weights.detach().clone().contiguous()
            for name, weights in self.encoder.model.state_dict().items()
            if ".lora_" not in name
        }


def write_tuned_backbone(folder: Path, base: Backbone, adapted: LowRank, facts: Mapping[str, Any]) -> Path:
    """The merged model as a backbone below ``folder``, which is named after its base and its weights.

    ``facts`` say how it came about; ``learned_until_us`` among them is the newest event that it has learned from.
    """
    from safetensors.torch import save_file

    partial = folder / ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(base.folder, partial, ignore=shutil.ignore_patterns("*.safetensors*", "onnx", "openvino", "*.bin"))
    save_file(adapted.merged(), partial / "model.safetensors", metadata={"format": "pt"})
    # What the base's name or files implied must hold under another name too.
    prompts = {"document": base.document_prefix, "query": base.query_prefix}
    (partial / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}))
    modes = {"mean": "mean_tokens", "first": "cls_token", "last": "lasttoken"}
    (partial / "1_Pooling").mkdir(exist_ok=True)
    (partial / "1_Pooling" / "config.json").write_text(json.dumps({f"pooling_mode_{modes[base.pooling]}": True}))
    (partial / TUNING).write_text(json.dumps({"base": base.as_lineage(), **facts}, indent=1))
    name = re.sub(r"[^\w-]+", "-", Path(base.name).name)
    final = folder / f"{name}-{file_sha256(partial / 'model.safetensors')[:12]}"
    shutil.rmtree(final, ignore_errors=True)
    partial.rename(final)
    return final


def _linear_maps(model: Any, layers: int | None) -> list[str]:
    """Names of the linear maps in the last ``layers`` layers, or in all."""
    import torch

    found = [
        (name, int(match[1]))
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and (match := _LAYER.search(name))
    ]
    if not found:
        raise BackboneError("this language model has no numbered layers of linear maps that could be adapted")
    n_layers = 1 + max(layer for _, layer in found)
    first = 0 if layers is None else max(0, n_layers - layers)
    return [name for name, layer in found if layer >= first]
