"""The language model as plain ONNX beside its tokenizer: what serving reads queries and new items with, without torch.

Weights are stored in half precision and computed with in float32, so the file is half as large and no slower; cosine to
PyTorch's float32 is above .9999. int8 was measured and does not hold: docs/decisions/0007-compression.md.
"""

import io
import logging
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from training.backbones import MAX_TOKENS, Backbone
from training.sequence_head import open_session
from training.text_tower import TextEncoder, pool

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

MODEL, TOKENIZER = "model.onnx", "tokenizer.json"
MIN_COSINE = 0.999
"""To what PyTorch makes of the trial texts in float32, for each of them; less means that the export went wrong."""
MAX_PARAMETERS = 150_000_000
"""Larger models stay in PyTorch: a bundle is no place for gigabytes, and a request none for such a model."""
TRIAL_TEXTS = (
    "Toy Story (1995) | Adventure, Animation, Children",
    "waterproof hiking boots under 100",
    "",
    "Crème brûlée, 東京, Война и мир — 10 % off!",
    "a film about " + "very " * 200 + "long descriptions",
)
_LEAST_HALVED = 1_024
"""Numbers of a tensor below which half precision saves nothing worth having."""


class OnnxTextEncoder(TextEncoder):
    """An exported backbone; the same texts give the same vectors."""

    def __init__(self, backbone: Backbone, folder: Path) -> None:
        """``folder`` holds what ``export_text_encoder`` wrote. Raises OSError where it does not."""
        from tokenizers import Tokenizer

        self._backbone = backbone
        self._session = open_session((folder / MODEL).read_bytes())
        self._words = Tokenizer.from_str((folder / TOKENIZER).read_text())
        self._words.enable_truncation(MAX_TOKENS)
        self._words.no_padding()

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """As PyTorch's."""
        return [list(each.ids) for each in self._words.encode_batch([text or " " for text in texts])]

    def _forward(self, tokens: list[list[int]]) -> NDArray[np.float32]:
        lengths = np.array([len(ids) for ids in tokens])
        mask = (np.arange(lengths.max())[None, :] < lengths[:, None]).astype(np.int64)  # (B, T)
        input_ids = np.zeros_like(mask)
        input_ids[mask == 1] = np.concatenate(tokens)
        vectors: NDArray[np.float32] = self._session.run(None, {"input_ids": input_ids, "attention_mask": mask})[0]
        return vectors


def export_text_encoder(backbone: Backbone, cache_dir: Path) -> Path | None:
    """The folder below ``cache_dir`` with the backbone as ONNX, made once for each embedding space.

    None where the model is a decoder, has no tokenizer.json, or is too large. Raises RuntimeError where the export
    answers otherwise than PyTorch.
    """
    folder = cache_dir / backbone.space
    if folder.is_dir():
        return folder
    if backbone.pooling == "last" or not (backbone.folder / TOKENIZER).is_file():
        logger.info("the language model is served by PyTorch", extra={"backbone": backbone.name})
        return None
    exact = TextEncoder(backbone, in_float32=True)
    if sum(weights.numel() for weights in exact.model.parameters()) > MAX_PARAMETERS:
        logger.info("the language model is too large to be exported", extra={"backbone": backbone.name})
        return None
    partial = cache_dir / f".{backbone.space}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    (partial / MODEL).write_bytes(_halved(_exported(exact.model, backbone.pooling)))
    shutil.copyfile(backbone.folder / TOKENIZER, partial / TOKENIZER)
    cosines = (exact.encode(TRIAL_TEXTS) * OnnxTextEncoder(backbone, partial).encode(TRIAL_TEXTS)).sum(axis=1)
    if cosines.min() < MIN_COSINE:
        raise RuntimeError(
            f"{backbone.name} as ONNX answers otherwise than PyTorch: cosine {cosines.min():.4f}, not {MIN_COSINE}"
        )
    partial.rename(folder)
    return folder


def _exported(model: "torch.nn.Module", pooling: str) -> bytes:
    """Tokens of any number of texts in, vectors of length 1 out."""
    import torch

    class Reader(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            states = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            return torch.nn.functional.normalize(pool(states, attention_mask, pooling), dim=1)

    example = (torch.ones(2, 5, dtype=torch.int64), torch.tensor([[1] * 5, [1] * 3 + [0] * 2]))
    axes = {0: "texts", 1: "tokens"}
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations: nothing a caller could do about them
        torch.onnx.export(
            Reader().eval(),
            example,
            buffer,
            input_names=["input_ids", "attention_mask"],
            output_names=["vectors"],
            dynamic_axes={"input_ids": axes, "attention_mask": axes, "vectors": {0: "texts"}},
            dynamo=False,  # the new exporter takes eight times as long, for the same graph
        )
    return buffer.getvalue()


def _halved(model: bytes) -> bytes:
    """The same network with large tensors in half precision, each brought back to float32 when it is loaded."""
    import onnx
    from onnx import helper, numpy_helper

    network: Any = onnx.load_model_from_string(model)
    casts = []
    for tensor in network.graph.initializer:
        name, numbers = tensor.name, numpy_helper.to_array(tensor)
        if numbers.dtype == np.float32 and numbers.size >= _LEAST_HALVED:
            tensor.CopyFrom(numpy_helper.from_array(numbers.astype(np.float16), f"{name}_half"))
            casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT))
    for place, cast in enumerate(casts):
        network.graph.node.insert(place, cast)
    serialised: bytes = network.SerializeToString()
    return serialised
