"""Files that are there whole or not at all."""

from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write a file beside its place and move it there, so that nobody reads half of it. Makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(text)
    unfinished.replace(path)
