"""The worked examples of docs/guides/extend.md, applied to a copy of the tree and run."""

import json
import os
import re
import shutil
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from freshet.settings import PROJECT_ROOT

GUIDE = (PROJECT_ROOT / "docs" / "guides" / "extend.md").read_text()
CHECKOUTS = """patron,isbn,title,borrowed_at
ann,1,The whale,2025-01-01T10:00:00Z
ann,2,The sea,2025-01-01T10:05:00Z
bob,1,The whale,2025-01-02T10:00:00Z
ann,3,The ship,2025-01-03T10:00:00Z
,3,The ship,2025-01-03T11:00:00Z
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs Python in the extended copy, on a home of its own that has the example's dataset and marts."""
    folder = tmp_path_factory.mktemp("extended")
    tree = folder / "tree"
    listed = subprocess.run(["git", "ls-files"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout
    for path in listed.splitlines():
        if (PROJECT_ROOT / path).exists():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT_ROOT / path, tree / path)
    for path, content in re.findall(r"^`([\w/]+\.py)`:\n\n```python\n(.*?)```", GUIDE, re.DOTALL | re.MULTILINE):
        (tree / path).write_text(content)
    for change in re.findall(r"```diff\n(.*?)```", GUIDE, re.DOTALL):
        subprocess.run(["git", "apply"], cwd=tree, input=change.encode(), check=True)
    (folder / "checkouts.csv").write_text(CHECKOUTS)
    ours = {"FRESHET_HOME": str(folder / "home"), "FRESHET_DATASETS_DIR": str(folder), "PYTHONPATH": str(tree)}

    def python(*arguments):
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=tree, env=os.environ | ours, capture_output=True, text=True, check=True
        ).stdout

    python("-m", "commands.main", "ingest", "checkouts")
    python("-m", "commands.main", "transform")
    python.home = folder / "home"
    return python


@pytest.mark.slow
def test_the_dataset_is_ingested_with_its_dirt_in_the_books(run):
    (account,) = json.loads(run("-m", "commands.main", "data", "report", "--json"))
    assert account["source"] == "checkouts"
    assert account["records"]["event"] == {"landed": 5, "accepted": 4, "duplicates": 0, "rejected": 1}
    assert account["records"]["item"]["accepted"] == 3


@pytest.mark.slow
def test_the_feature_is_in_its_mart_and_its_service(run):
    profiles = pq.read_table(run.home / "features" / "fct_user_profiles.parquet").to_pylist()
    found = {profile["user_id"]: (profile["n_sessions"], profile["n_purchase_sessions"]) for profile in profiles}
    assert found == {"ann": (2, 2), "bob": (1, 1)}
    names = run(
        "-c",
        "from pathlib import Path; from freshet.feature_definitions import feature_definitions\n"
        f"with feature_definitions(Path({str(run.home)!r})) as repo:\n"
        "    print([service.name for service in repo.feature_services])",
    )
    assert "user_buying_v1" in names


@pytest.mark.slow
def test_the_scenario_may_be_asked_for(run):
    allowed = run(
        "-c",
        "import json; from pathlib import Path\n"
        "from freshet.settings import Settings; from serving.app import create_app\n"
        f"print(json.dumps(create_app(Settings(home=Path({str(run.home)!r}))).openapi()))",
    )
    schemas = json.loads(allowed)["components"]["schemas"]
    assert "checkout" in json.dumps(schemas["RecommendationRequest"]["properties"]["scenario"])
