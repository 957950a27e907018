"""What `feature_repo/` defines, loaded for a home as Feast's own command line would."""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from freshet.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from feast.repo_contents import RepoContents

FEATURE_REPO = PROJECT_ROOT / "feature_repo"


@contextmanager
def feature_definitions(home: Path) -> Iterator["RepoContents"]:
    """What `feature_repo/` defines for this home.

    Its files import each other as siblings and read FRESHET_HOME, as they do under Feast's own command line; afterwards
    nothing of that is left behind.
    """
    names = sorted(path.stem for path in FEATURE_REPO.glob("*.py"))
    previous_home = os.environ.get("FRESHET_HOME")
    os.environ["FRESHET_HOME"] = str(home.resolve())
    sys.path.insert(0, str(FEATURE_REPO))
    try:
        yield _collect([importlib.import_module(name) for name in names])
    finally:
        sys.path.remove(str(FEATURE_REPO))
        for name in names:
            sys.modules.pop(name, None)
        if previous_home is None:
            del os.environ["FRESHET_HOME"]
        else:
            os.environ["FRESHET_HOME"] = previous_home


def _collect(modules: list[ModuleType]) -> "RepoContents":
    from feast import Entity, FeatureService, FeatureView, Project
    from feast.data_source import DataSource
    from feast.repo_contents import RepoContents

    defined = {id(thing): thing for module in modules for thing in vars(module).values()}.values()
    return RepoContents(
        projects=[Project(name="freshet", description="Features of the recommender.")],
        data_sources=[thing for thing in defined if isinstance(thing, DataSource)],
        entities=[thing for thing in defined if isinstance(thing, Entity)],
        feature_views=[thing for thing in defined if isinstance(thing, FeatureView)],
        feature_services=[thing for thing in defined if isinstance(thing, FeatureService)],
        on_demand_feature_views=[],
        stream_feature_views=[],
        label_views=[],
        permissions=[],
    )
