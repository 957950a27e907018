"""What the documentation promises exists, and what exists is documented."""

import re
import subprocess

import pytest

from freshet.settings import PREFIX, PROJECT_ROOT, Settings

README = (PROJECT_ROOT / "README.md").read_text()


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_is_described_and_documented_with_its_default(field):
    info = Settings.model_fields[field]
    row = f"| `{PREFIX}{field.upper()}` | `{info.default}` | {' '.join(info.description.split())} |"
    assert row in (PROJECT_ROOT / "docs" / "settings.md").read_text()


def test_every_name_in_the_example_environment_is_a_setting():
    names = re.findall(r"^# (FRESHET_\w+)=", (PROJECT_ROOT / ".env.example").read_text(), flags=re.MULTILINE)
    assert names
    assert {name.removeprefix(PREFIX).lower() for name in names} <= set(Settings.model_fields)


def test_make_alone_prints_the_targets_that_the_readme_names():
    printed = subprocess.run(["make"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"^  make ([a-z-]+)", printed, flags=re.MULTILINE))
    assert {"setup", "run", "test", "lint", "bench", "ui", "clean"} <= targets
    assert set(re.findall(r"`?make ([a-z-]+)", README)) <= targets


def test_every_dag_and_top_level_folder_is_in_the_readme():
    for dag in ("ingest_events", "build_marts", "refresh_features", "retrain_recommender"):
        assert dag in README
    listed = subprocess.run(
        ["git", "ls-tree", "--name-only", "-d", "HEAD"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert all(f"{folder}/" in README for folder in listed if not folder.startswith("."))


def test_links_between_the_documents_lead_somewhere():
    for page in [PROJECT_ROOT / "README.md", *(PROJECT_ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
