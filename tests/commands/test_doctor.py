import json
import shutil
from importlib.metadata import version

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from commands import doctor
from commands.main import app
from freshet.data_quality import quality_path
from freshet.settings import Settings
from tests.http_handler import Handler
from training import registry


class Stranger(Handler):
    """Some other server."""

    def do_GET(self):
        self.answer(200)


@pytest.fixture
def examine(tmp_path, monkeypatch, free_ports):
    """Runs the doctor on a home: (exit code, {name: check})."""
    for name, port in zip(("API", "MLFLOW", "AIRFLOW"), free_ports(3), strict=True):
        monkeypatch.setenv(f"FRESHET_{name}_PORT", str(port))

    def run(home=tmp_path / "home"):
        result = CliRunner(env={"FRESHET_HOME": str(home)}).invoke(app, ["doctor", "--json"])
        return result.exit_code, {check["name"]: check for check in json.loads(result.stdout)}

    return run


def test_an_empty_home_has_warnings_that_say_what_to_run_and_no_problem(examine):
    code, checks = examine()
    assert code == 0, checks
    assert {name for name, check in checks.items() if check["level"] == "problem"} == set()
    assert checks["Airflow"]["mend"] == "make ui"
    assert checks["lake"]["mend"] == "freshet ingest, or make run"
    assert "make run" in checks["champion"]["mend"]
    assert all(check["mend"] for check in checks.values() if check["level"] != "ok")


def test_a_port_that_another_program_has_is_a_problem_that_names_the_setting(examine, monkeypatch, listen):
    monkeypatch.setenv("FRESHET_MLFLOW_PORT", str(listen(Stranger).server_port))
    code, checks = examine()
    assert (code, checks["MLflow"]["level"]) == (1, "problem")
    assert "FRESHET_MLFLOW_PORT" in checks["MLflow"]["mend"]


def test_a_home_that_is_a_file_is_a_problem(examine, tmp_path):
    (tmp_path / "file").touch()
    code, checks = examine(tmp_path / "file")
    assert (code, checks["home"]["level"]) == (1, "problem")


def test_packages_other_than_those_tested_together_are_named(tmp_path):
    constraints = tmp_path / "constraints.txt"
    constraints.write_text(f"rich=={version('rich')}\npyarrow==1.0\nno-such-package==3.1\n")
    check = doctor._packages(constraints)
    assert check.level == "warning"
    assert check.found == f"not as tested together: pyarrow {version('pyarrow')} (1.0)"
    constraints.write_text(f"rich=={version('rich')}\n")
    assert doctor._packages(constraints).level == "ok"


def test_marts_that_failed_their_tests_are_a_problem(examine, filled_home, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(filled_home, home)
    code, checks = examine(home)
    assert (code, checks["marts"]["level"], checks["features"]["level"]) == (0, "ok", "ok")
    path = quality_path(home)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"problems": ["unique_fct_sessions: got 2 results"]}))
    code, checks = examine(home)
    assert (code, checks["marts"]["level"]) == (1, "problem")
    assert "unique_fct_sessions: got 2 results" in checks["marts"]["found"]


def test_a_champion_without_its_bundle_is_a_problem(examine, tmp_path, register_evaluated):
    settings = Settings(home=tmp_path / "home")
    version = register_evaluated(settings.tracking_uri, pa.table({"user_id": ["u"]}))
    registry.make_champion(settings.tracking_uri, version, "the first champion")
    assert examine()[1]["champion"]["found"] == "version 1, every file of its bundle as its sha256 says"

    (manifest,) = settings.mlflow_dir.rglob("manifest.json")
    manifest.with_name("items.parquet").write_bytes(b"PAR1")
    shutil.rmtree(settings.models_dir / "bundles")
    code, checks = examine()
    assert (code, checks["champion"]["level"]) == (1, "problem")
    assert "items.parquet" in checks["champion"]["found"]
