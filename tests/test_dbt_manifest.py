"""What dbt's manifest says of the marts, and when it is written."""

import json
import os
import shutil

from freshet.dbt_project import ensure_manifest, target_path


def read_manifest(home):
    """What dbt itself wrote when it last built."""
    return json.loads((target_path(home) / "manifest.json").read_text())


def test_every_mart_has_an_enforced_contract_and_a_tested_key_and_is_exported_where_it_says_so(built_home):
    manifest = read_manifest(built_home)
    marts = {node["name"]: node for node in manifest["nodes"].values() if node.get("fqn", [])[1:2] == ["marts"]}
    marts = {name: node for name, node in marts.items() if node["resource_type"] == "model"}
    tests = [node for node in manifest["nodes"].values() if node["resource_type"] == "test"]
    tested = {
        test["attached_node"].split(".")[-1]
        for test in tests
        if test.get("test_metadata") and test["test_metadata"]["name"] in ("unique", "unique_together")
    }
    assert all(mart["config"]["contract"]["enforced"] for mart in marts.values())
    assert tested >= set(marts)
    exported = {name for name, mart in marts.items() if mart["config"]["meta"].get("export_order")}
    assert {path.stem for path in (built_home / "features").glob("*.parquet")} == exported


def test_the_manifest_is_written_once_and_again_when_it_is_older_than_the_project(built_home, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(built_home, home)
    manifest = ensure_manifest(home)
    assert not manifest.samefile(target_path(home) / "manifest.json")  # which is half a file while dbt builds
    written_at = manifest.stat().st_mtime_ns
    assert read_manifest(home)["nodes"] == json.loads(manifest.read_text())["nodes"]
    ensure_manifest(home)
    assert manifest.stat().st_mtime_ns == written_at
    os.utime(manifest, (0, 0))
    ensure_manifest(home)
    assert manifest.stat().st_mtime_ns > written_at
