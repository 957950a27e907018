"""New items and queries are read by the language model that read the served model's items, into the same space.

The language model is loaded once, in the background, and shared by all served models of its space. Items' vectors are
kept on disk, so that a restart or another champion reads nothing twice; queries are what people say, and are kept in
memory only.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.backbones import BackboneError
from training.bundle import Bundle, BundleError, text_space

if TYPE_CHECKING:
    from training.backbones import Backbone
    from training.text_tower import TextEncoder
    from training.whitening import Whitening

MAX_QUERIES: Final = 1_000
"""Query vectors that are remembered: about a megabyte and a half of MiniLM's."""

logger = logging.getLogger(__name__)


class TextTowers:
    """Opens the tower of each served model, and holds the one language model that is in memory."""

    def __init__(self, cache_dir: Path) -> None:
        """``cache_dir`` keeps the vectors of items; training writes there too."""
        self.cache_dir = cache_dir
        self._reading = threading.Lock()
        self._encoder: TextEncoder | None = None
        self._backbone: Backbone | None = None

    def open(self, bundle: Bundle) -> "TextTower | None":
        """The tower of a bundle, its language model being loaded meanwhile; None where new texts cannot be placed."""
        try:
            backbone, whitening = text_space(bundle)
        except (BundleError, BackboneError) as error:
            logger.warning("new items and queries cannot be read", extra={"error": str(error)})
            return None
        tower = TextTower(self, backbone, whitening, bundle.text_encoder)
        threading.Thread(target=tower.warm, name="text-tower", daemon=True).start()
        return tower

    def items(self, backbone: "Backbone", exported: Path | None, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, W) raw vectors of items' texts, from disk where they have been read before."""
        from training.text_tower import encode_texts

        with self._reading:
            return encode_texts(
                texts,
                backbone=backbone,
                cache_dir=self.cache_dir,
                progress=False,
                open_encoder=partial(self._loaded, exported),
            )

    def query(self, backbone: "Backbone", exported: Path | None, text: str) -> NDArray[np.float32]:
        """(1, W) the raw vector of a query."""
        with self._reading:  # a tokenizer serves one thread at a time
            return self._loaded(exported, backbone).encode([backbone.prefix("query") + text])

    def _loaded(self, exported: Path | None, backbone: "Backbone") -> "TextEncoder":
        """The model in memory, else the bundle's export, else PyTorch's: all read into the same space."""
        if self._encoder is None or self._backbone != backbone:
            from training.onnx_encoder import OnnxTextEncoder
            from training.text_tower import TextEncoder

            self._encoder = OnnxTextEncoder(backbone, exported) if exported else TextEncoder(backbone)
            self._backbone = backbone
        return self._encoder


@dataclass(frozen=True)
class TextTower:
    """From words to the space of one model's items."""

    towers: TextTowers
    backbone: "Backbone"
    whitening: "Whitening"
    exported: Path | None = None
    """The language model as ONNX, in the bundle."""
    _queries: "OrderedDict[str, NDArray[np.float32]]" = field(default_factory=OrderedDict)
    _remembering: threading.Lock = field(default_factory=threading.Lock)

    def warm(self) -> None:
        """Load the language model, so that the first item or query need not wait for it."""
        try:
            self.query("warm up")
        except (BackboneError, OSError) as error:
            logger.warning("the language model cannot be loaded", extra={"error": str(error)})

    def items(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, E) whitened vectors of items' texts."""
        return self.whitening.apply(self.towers.items(self.backbone, self.exported, texts))

    def query(self, text: str) -> NDArray[np.float32]:
        """(E,) the whitened vector of a query; what was asked lately is not read again."""
        with self._remembering:
            if text in self._queries:
                self._queries.move_to_end(text)
                return self._queries[text]
        vector: NDArray[np.float32] = self.whitening.apply(self.towers.query(self.backbone, self.exported, text))[0]
        with self._remembering:
            self._queries[text] = vector
            while len(self._queries) > MAX_QUERIES:
                self._queries.popitem(last=False)
        return vector
