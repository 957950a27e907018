"""The lineage that the dbt docs draw ends where the marts are really read."""

import pytest
import yaml

from freshet.feature_definitions import feature_definitions
from freshet.feature_store import CATALOGUE_SERVICE, RECOMMENDER_SERVICE
from freshet.settings import PROJECT_ROOT
from training.dataset import MARTS

MARTS_DIR = PROJECT_ROOT / "dbt" / "models" / "marts"


@pytest.fixture(scope="module")
def exposures():
    """The marts behind each exposure, by its name."""
    listed = yaml.safe_load((MARTS_DIR / "_exposures.yml").read_text())["exposures"]
    return {
        exposure["name"]: {mart.removeprefix("ref('").removesuffix("')") for mart in exposure["depends_on"]}
        for exposure in listed
    }


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    """The marts that each Feast service reads, by its name."""
    with feature_definitions(tmp_path_factory.mktemp("home")) as repo:
        sources = {view.name: view.batch_source.name for view in repo.feature_views}
        return {
            service.name: {sources[projection.name] for projection in service.feature_view_projections}
            for service in repo.feature_services
        }


def test_every_feast_service_is_an_exposure_of_its_marts(exposures, services):
    assert {name.removeprefix("feast_"): marts for name, marts in exposures.items() if name.startswith("feast_")} == (
        services
    )


def test_the_model_stands_behind_the_marts_that_training_reads(exposures):
    assert exposures["freshet_recommender"] == set(MARTS)


def test_the_endpoint_stands_behind_the_services_and_the_model(exposures, services):
    read = services[RECOMMENDER_SERVICE] | services[CATALOGUE_SERVICE] | {"dim_items"}  # the catalogue, as of now
    assert exposures["recommendations_endpoint"] == exposures["freshet_recommender"] | read


def test_what_is_exported_is_what_somebody_reads(exposures):
    marts = [mart for page in MARTS_DIR.glob("_*.yml") for mart in yaml.safe_load(page.read_text()).get("models", [])]
    exported = {mart["name"] for mart in marts if "export_order" in mart.get("config", {}).get("meta", {})}
    assert set.union(*exposures.values()) == exported
