"""What the models and columns of `dbt/` are called, and that each is described. `make lint` runs this, too."""

import re
from pathlib import Path

import pytest
import yaml

from freshet.settings import PROJECT_ROOT

DBT_DIR = PROJECT_ROOT / "dbt"
FOLDERS = {
    "staging": r"stg_[a-z]+__[a-z_]+s",  # stg_<source>__<entities>
    "intermediate": r"int_[a-z]+s(_[a-z]+ed)?",  # int_<entities>_<verb>ed
    "marts": r"(fct|dim)_[a-z_]+",  # what happened, or who and what there is
}
MOMENTS = {"event_timestamp", "available_from", "valid_from", "valid_to"}
"""The names that Feast, the contract and type-2 tables give to moments."""
COUNTS = r"n_\w+"
OTHER_WHOLE_NUMBERS = r"(days|age)_\w+|\w+_(rank|number|numbers|line|days)"
PACKED_MOMENTS = "bigint[]"
"""Moments in lists that Feast keeps are microseconds."""


def described_models() -> dict[str, tuple[str, dict]]:
    """Every model in a YAML file: its folder and what is said there."""
    return {
        model["name"]: (path.parent.name, model)
        for path in sorted((DBT_DIR / "models").glob("*/_*.yml"))
        for model in yaml.safe_load(path.read_text()).get("models", [])
    }


MODELS = described_models()
FILES = {path.stem: path for path in sorted((DBT_DIR / "models").glob("*/*.sql"))}
COLUMNS = [(name, column) for name, (_, model) in MODELS.items() for column in model["columns"]]
TYPED = [(f"{model}.{column['name']}", column["name"], column.get("data_type")) for model, column in COLUMNS]


def misnamed(pattern: str, *data_types: str) -> list[str]:
    """Columns of these types whose name does not follow the pattern."""
    return [label for label, name, kind in TYPED if kind in data_types and not re.fullmatch(pattern, name)]


def mistyped(pattern: str, *data_types: str) -> list[str]:
    """Columns with such a name and another type; layers without a contract name no types."""
    return [label for label, name, kind in TYPED if re.fullmatch(pattern, name) and kind not in (None, *data_types)]


def test_every_model_has_a_file_and_a_description_in_its_folder():
    assert {name: folder for name, (folder, _) in MODELS.items()} == {n: p.parent.name for n, p in FILES.items()}


@pytest.mark.parametrize("name", FILES)
def test_a_model_is_named_after_its_folder(name):
    assert re.fullmatch(FOLDERS[FILES[name].parent.name], name)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_states_its_grain_first_and_describes_every_column(name):
    _, model = MODELS[name]
    assert model["description"].startswith("One row per ")
    assert [column["name"] for column in model["columns"] if not column.get("description", "").strip()] == []


@pytest.mark.parametrize("name", [name for name, (folder, _) in MODELS.items() if folder == "marts"])
def test_a_mart_promises_the_type_of_every_column(name):
    _, mart = MODELS[name]
    assert [column["name"] for column in mart["columns"] if "data_type" not in column] == []
    assert mart.get("config", {}).get("contract", {}).get("enforced", True)


def test_contracts_of_marts_are_enforced():
    project = yaml.safe_load((DBT_DIR / "dbt_project.yml").read_text())
    assert project["models"]["freshet"]["marts"]["+contract"] == {"enforced": True}


def test_names_are_whole_words_in_lower_case():
    names = [*MODELS, *(column["name"] for _, column in COLUMNS)]
    assert [name for name in names if not re.fullmatch(r"[a-z]+(_+[a-z0-9]+)*", name)] == []
    assert [
        name for name in names if re.fullmatch(r"(.*_)?([ui]id|usr|itm|ts|dt|cnt|num|qty|amt|desc)(_.*)?", name)
    ] == []


def test_moments_end_in_at_and_days_in_date():
    assert misnamed(rf"\w+_at|{'|'.join(MOMENTS)}", "timestamptz", "timestamptz[]") == []
    assert misnamed(r"\w+_date", "date") == []
    assert mistyped(r"\w+_at", "timestamptz", "timestamptz[]", PACKED_MOMENTS) == []
    assert mistyped(r"\w+_date", "date") == []


def test_booleans_are_questions():
    assert misnamed(r"(is|has)_\w+", "boolean") == []
    assert mistyped(r"(is|has)_\w+", "boolean") == []


def test_counts_begin_with_n():
    assert misnamed(rf"{COUNTS}|{OTHER_WHOLE_NUMBERS}", "integer", "bigint") == []
    assert mistyped(COUNTS, "integer", "bigint") == []


def test_ids_say_whose_they_are():
    assert mistyped(r"\w+_id", "varchar") == []
    assert mistyped(r"\w+_ids", "varchar[]") == []
    assert [label for label, name, _ in TYPED if name in ("id", "ids", "key")] == []


@pytest.mark.parametrize("path", FILES.values(), ids=FILES)
def test_only_staging_reads_the_lake(path: Path):
    reads_the_lake = re.search(r"\b(source|new_lake_rows)\(", path.read_text()) is not None
    assert reads_the_lake == (path.parent.name == "staging")
