"""Whether the newest data passed its tests: written after every dbt build, read by the promotion gate.

Bad data stops a promotion but never serving: the marts' exports, and so the features and the champion, stay those of
the last good build. The result lies in ``FRESHET_HOME/dbt/quality.json`` until the next build.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from freshet.files import write_text

BAD = ("error", "fail", "runtime error")
MAX_NAMED = 5


@dataclass(frozen=True)
class DataQuality:
    """What dbt found when it last built and tested the marts."""

    built_at: str
    n_passed: int
    problems: tuple[str, ...]
    """Each test or model that failed, with what dbt says about it."""

    @property
    def is_good(self) -> bool:
        """Whether everything was built and every test passed."""
        return not self.problems

    def summary(self) -> str:
        """The problems as one text, the first few by name."""
        more = len(self.problems) - MAX_NAMED
        return "; ".join(self.problems[:MAX_NAMED]) + (f"; and {more} more" if more > 0 else "")


def record_quality(home: Path, results_path: Path, since: datetime | None = None) -> DataQuality:
    """Read what dbt left after a build (``run_results.json``), keep it for the gate, and return it.

    ``since`` is when the build began: older results mean that dbt ended before it had any.
    """
    results = json.loads(results_path.read_text()) if results_path.exists() else None
    if results is None or (since is not None and _built_at(results) < since):
        built_at = since.isoformat() if since else ""
        quality = DataQuality(built_at, 0, ("dbt ended before it had results: its log says why",))
    else:
        problems = tuple(_problem(result) for result in results["results"] if result["status"] in BAD)
        n_passed = sum(result["status"] in ("success", "pass", "warn") for result in results["results"])
        quality = DataQuality(results["metadata"]["generated_at"], n_passed, problems)
    write_text(quality_path(home), json.dumps(asdict(quality), indent=1))
    return quality


def read_quality(home: Path) -> DataQuality | None:
    """The result of the newest build; None before the first."""
    path = quality_path(home)
    if not path.exists():
        return None
    found = json.loads(path.read_text())
    return DataQuality(found["built_at"], found["n_passed"], tuple(found["problems"]))


def data_problem(home: Path) -> str | None:
    """Why the newest data must not lead to a promotion, or None when it passed its tests."""
    quality = read_quality(home)
    return None if quality is None or quality.is_good else quality.summary()


def quality_path(home: Path) -> Path:
    """Where the result of the newest build lies."""
    return home / "dbt" / "quality.json"


def _problem(result: dict[str, object]) -> str:
    name = str(result["unique_id"]).split(".")[2]
    message = " ".join(str(result.get("message") or result["status"]).split())
    return f"{name}: {message[:200]}"


def _built_at(results: dict[str, dict[str, str]]) -> datetime:
    return datetime.fromisoformat(results["metadata"]["generated_at"])
