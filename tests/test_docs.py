"""What the documentation promises exists, and what exists is documented."""

import os
import re
import subprocess
import sys

import pytest
import typer

from commands.main import app
from freshet.settings import PREFIX, PROJECT_ROOT, Settings
from serving.metrics import Metrics

MAKEFILE = (PROJECT_ROOT / "Makefile").read_text()
README = (PROJECT_ROOT / "README.md").read_text()
PAGES = [PROJECT_ROOT / "README.md", PROJECT_ROOT / "CONTRIBUTING.md", *sorted((PROJECT_ROOT / "docs").rglob("*.md"))]
OPERATE = PROJECT_ROOT / "docs" / "guides" / "operate.md"
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_is_described_and_documented_with_its_default(field):
    info = Settings.model_fields[field]
    row = f"| `{PREFIX}{field.upper()}` | `{info.default}` | {' '.join(info.description.split())} |"
    assert row in (PROJECT_ROOT / "docs" / "settings.md").read_text()


def test_every_name_in_the_example_environment_is_a_setting():
    names = re.findall(r"^# (FRESHET_\w+)=", (PROJECT_ROOT / ".env.example").read_text(), flags=re.MULTILINE)
    assert names
    assert {name.removeprefix(PREFIX).lower() for name in names} <= set(Settings.model_fields)


def test_make_alone_prints_the_targets():
    printed = subprocess.run(["make"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"^  make ([a-z-]+)", printed, flags=re.MULTILINE))
    assert {"setup", "run", "test", "lint", "bench", "ui", "clean"} <= targets


def test_every_dag_and_top_level_folder_is_in_the_readme():
    for dag in ("ingest_events", "build_marts", "refresh_features", "retrain_recommender"):
        assert dag in README
    listed = subprocess.run(
        ["git", "ls-tree", "--name-only", "-d", "HEAD"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert all(f"{folder}/" in README for folder in listed if not folder.startswith("."))


@every_page
def test_links_between_the_documents_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@every_page
def test_every_setting_command_and_target_that_a_page_names_exists(page):
    text = page.read_text()
    settings = {PREFIX + field.upper() for field in Settings.model_fields}
    for name in re.findall(r"FRESHET_[A-Z_]*[A-Z]", text):
        assert name in settings or f"{name}_*" in text, f"{page.name} names {name}"
    commands = typer.main.get_command(app).commands
    for name in re.findall(r"(?:`|\$ |bin/)freshet ([a-z]+(?:-[a-z]+)*)", text):
        assert name in commands, f"{page.name} names `freshet {name}`"
    for name in re.findall(r"(?:`|\$ |&& )make ([a-z-]+)", text):
        assert re.search(rf"^{name}:", MAKEFILE, re.MULTILINE), f"{page.name} names `make {name}`"


def test_every_metric_of_the_runbook_is_measured():
    families = [family.name for family in Metrics().registry.collect()]
    named = set(re.findall(r"\bfreshet_[a-z_]+", OPERATE.read_text()))
    assert named
    assert named <= {*families, *(f"{name}_total" for name in families)}


def test_the_documentation_is_a_site_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=PROJECT_ROOT, env=quiet, capture_output=True, text=True)
    assert (built.returncode, built.stdout + built.stderr) == (0, "")
