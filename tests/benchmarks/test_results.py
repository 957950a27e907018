"""The page of results has a place for every table, and says what each protocol and baseline is."""

import pytest

from benchmarks.results import PAGE, SUBJECTS, write_between
from ingestion.datasets import DATASETS
from training.baseline_families import FAMILIES
from training.protocols import PROTOCOLS


def test_every_subject_is_a_dataset_on_known_protocols():
    for subject in SUBJECTS.values():
        assert subject.dataset in DATASETS
        assert set(subject.protocols) <= set(PROTOCOLS)


def test_the_page_explains_every_protocol_and_baseline_and_has_room_for_every_subject():
    page = PAGE.read_text()
    for name in (*PROTOCOLS, *FAMILIES):
        assert f"`{name}`" in page
    for name in SUBJECTS:
        assert page.count(f"<!-- {name}: begin -->") == page.count(f"<!-- {name}: end -->") == 1


def test_new_tables_replace_old_ones_and_nothing_else(tmp_path):
    page = tmp_path / "results.md"
    page.write_text("before\n<!-- a: begin -->\nold\n<!-- a: end -->\n<!-- b: begin -->\nkept\n<!-- b: end -->\n")
    write_between(page, "a", "new")
    write_between(page, "a", "newer")
    assert page.read_text() == (
        "before\n<!-- a: begin -->\n\nnewer\n<!-- a: end -->\n<!-- b: begin -->\nkept\n<!-- b: end -->\n"
    )
    with pytest.raises(ValueError, match="c: begin"):
        write_between(page, "c", "new")
