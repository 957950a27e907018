"""The examples of docs/guides/use-the-api.md are run as they stand there, in their order, against an API on a port."""

import doctest
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from freshet.settings import PROJECT_ROOT

GUIDE = (PROJECT_ROOT / "docs" / "guides" / "use-the-api.md").read_text()


@pytest.fixture(scope="module")
def guide(reading_world, serve, tmp_path_factory):
    """The guide, with the address of an API that reads queries on a home of its own."""
    home = tmp_path_factory.mktemp("guide") / "home"
    shutil.copytree(reading_world.home, home)
    with_features(home)
    url = serve(reading_world.model_copy(update={"home": home}))
    return GUIDE.replace("localhost:8000", url.removeprefix("http://"))


def with_features(home: Path):
    """Features of nobody, since an API without any is never ready."""
    from freshet import feature_store
    from tests.serving.worlds import write_exports

    write_exports(home)
    feature_store.apply(home)
    feature_store.materialize(home)


def examples(guide):
    """(language, block) in the order of the page."""
    return re.findall(r"```(console|python)\n(.*?)```", guide, re.DOTALL)


def said_by(command):
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout.strip()


def test_every_example_does_what_the_guide_says(guide):
    names, n_run = {}, 0
    for language, block in examples(guide):
        if language == "python":
            told = doctest.DocTestParser().get_doctest(block, names, "guide", None, 0)
            result = doctest.DocTestRunner().run(told, clear_globs=False)
            assert result.failed == 0  # what was said instead stands in the output
            names, n_run = told.globs, n_run + result.attempted
            continue
        for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, expected = re.split(r"(?<!\\)\n", example, maxsplit=1)
            pattern = ".*".join(re.escape(part) for part in expected.strip().split("…"))
            said = said_by(command)
            assert re.fullmatch(pattern, said, re.DOTALL), f"{command}\n{said}"
            n_run += 1
    assert n_run > 25


def test_every_status_with_which_the_api_refuses_is_explained():
    source = "".join(path.read_text() for path in (PROJECT_ROOT / "serving").rglob("*.py"))
    used = set(re.findall(r"(?:ProblemError\(|problem_response\((?:[^()]|\[.*?\])*?)\s*([45]\d\d)\b", source))
    explained = set(re.findall(r"^\| ([45]\d\d) \|", GUIDE, re.MULTILINE))
    assert {"404", "410", "413", "422", "429", "503"} <= used
    assert used <= explained
