"""Fetch a file from its publisher, piece by piece, beside the place where it will lie."""

import logging
import urllib.request
from pathlib import Path

from tqdm import tqdm

from ingestion.datasets.adapter import chunks

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 60


def fetch_text(url: str) -> str:
    """A small text, such as a published checksum. Raises OSError when it cannot be had."""
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 (our own addresses)
        return str(answer.read().decode())


def download(url: str, target: Path) -> Path:
    """Fetch into a hidden file beside ``target``, for the caller to check and rename. Raises OSError."""
    unfinished = target.with_name(f".{target.name}.unfinished")
    target.parent.mkdir(parents=True, exist_ok=True)
    logger.info("downloading", extra={"url": url})
    with (
        urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer,  # noqa: S310 (our own addresses)
        unfinished.open("wb") as file,
        tqdm(desc=target.name, total=answer.length, unit="B", unit_scale=True, disable=None) as progress,
    ):
        for chunk in chunks(answer):
            file.write(chunk)
            progress.update(len(chunk))
    return unfinished
