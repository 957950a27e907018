import json
import os
import pickle
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from training import bundle
from training.bundle import BundleError, verify, write_manifest

LINEAGE = {
    "text_encoder": {"name": "minilm"},
    "data": {"hash": "abc", "until_us": 1},
    "config": {"seed": 0},
    "created_from": {"run_id": "r"},
}


def fill(folder: Path) -> Path:
    (folder / "recommender").mkdir(parents=True)
    np.save(folder / "recommender" / "vectors.npy", np.eye(3, dtype=np.float32))
    save_file({"weight": np.ones((2, 2), dtype=np.float32)}, folder / "recommender" / "head.safetensors")
    pq.write_table(pa.table({"item_id": ["a", "b", "c"]}), folder / "items.parquet")
    (folder / "model_card.md").write_text("# A card\n")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = fill(tmp_path / "bundle")
    write_manifest(folder, **LINEAGE, sizes={"n_items": 3})
    return folder


def rewrite_manifest(folder: Path, change) -> None:
    content = json.loads((folder / "manifest.json").read_text())
    change(content)
    (folder / "manifest.json").write_text(json.dumps(content))


def test_a_bundle_says_where_it_comes_from(folder):
    manifest = verify(folder)
    assert manifest.text_encoder == {"name": "minilm"}
    assert manifest.sizes == {"n_items": 3}
    assert len(manifest.git_commit.removesuffix("-dirty")) == 40 or manifest.git_commit == "unknown"
    assert set(manifest.files) == {
        "items.parquet",
        "model_card.md",
        "recommender/head.safetensors",
        "recommender/vectors.npy",
    }


def test_the_same_content_gives_the_same_manifest(folder, tmp_path):
    other = fill(tmp_path / "other")
    write_manifest(other, **LINEAGE, sizes={"n_items": 3})
    assert (other / "manifest.json").read_bytes() == (folder / "manifest.json").read_bytes()


class Planted:
    """Unpickling it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_bundles_from_before_text_encoders_are_still_read(folder):
    rewrite_manifest(folder, lambda content: content.update(schema_version=1))
    assert verify(folder).schema_version == 1


@pytest.mark.parametrize(
    "name", ["weights.pkl", "model.py", "weights.pt", "lib.so", "recommender/__init__.py", "weights"]
)
def test_a_planted_file_is_refused_by_its_ending(folder, tmp_path, name):
    (folder / name).write_bytes(pickle.dumps(Planted(tmp_path / "executed")))
    with pytest.raises(BundleError, match=f"{name}' is not allowed"):
        verify(folder)
    with pytest.raises(BundleError, match=f"{name}' is not allowed"):
        write_manifest(folder, **LINEAGE)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("as_array", [True, False])
def test_a_pickle_inside_an_npy_file_is_refused(folder, tmp_path, as_array):
    planted, path = Planted(tmp_path / "executed"), folder / "recommender" / "vectors.npy"
    if as_array:
        np.save(path, np.array([planted], dtype=object), allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(planted))
    with pytest.raises(BundleError, match=r"vectors\.npy is refused"):
        write_manifest(folder, **LINEAGE)
    assert not (tmp_path / "executed").exists()


def test_an_onnx_model_with_outside_data_is_refused(folder):
    weight = onnx.numpy_helper.from_array(np.ones((4, 4), dtype=np.float32), "weight")
    node = onnx.helper.make_node("MatMul", ["x", "weight"], ["y"])
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [node], "head", [value("x", 1, [1, 4])], [value("y", 1, [1, 4])], initializer=[weight]
    )
    onnx.save(onnx.helper.make_model(graph), folder / "recommender" / "head.onnx")
    assert "recommender/head.onnx" in write_manifest(folder, **LINEAGE).files
    external = onnx.helper.make_model(graph)
    onnx.external_data_helper.set_external_data(external.graph.initializer[0], "../../../etc/passwd")
    (folder / "recommender" / "head.onnx").write_bytes(external.SerializeToString())
    with pytest.raises(BundleError, match=r"head\.onnx is refused: a tensor's data lies in another file"):
        write_manifest(folder, **LINEAGE)


def test_an_onnx_tensor_inside_a_node_cannot_hide(folder):
    constant = onnx.numpy_helper.from_array(np.ones(4, dtype=np.float32))
    onnx.external_data_helper.set_external_data(constant, "elsewhere")
    node = onnx.helper.make_node("Constant", [], ["y"], value=constant)
    graph = onnx.helper.make_graph([node], "head", [], [onnx.helper.make_tensor_value_info("y", 1, [4])])
    (folder / "head.onnx").write_bytes(onnx.helper.make_model(graph).SerializeToString())
    with pytest.raises(BundleError, match="another file"):
        write_manifest(folder, **LINEAGE)


def test_bytes_that_are_no_onnx_are_refused(folder):
    (folder / "head.onnx").write_bytes(b"\xff" * 100)
    with pytest.raises(BundleError, match=r"head\.onnx is refused"):
        write_manifest(folder, **LINEAGE)


def test_an_altered_file_is_refused(folder):
    path = folder / "recommender" / "vectors.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"recommender/vectors\.npy was altered"):
        verify(folder)


def test_a_longer_file_is_refused(folder):
    with (folder / "model_card.md").open("a") as file:
        file.write("It is perfect.")
    with pytest.raises(BundleError, match=r"model_card\.md was altered: 23 bytes .* says 9 bytes"):
        verify(folder)


def test_a_missing_file_is_refused(folder):
    (folder / "items.parquet").unlink()
    with pytest.raises(BundleError, match=r"items\.parquet is in the manifest but not in the bundle"):
        verify(folder)


def test_an_unknown_file_is_refused(folder):
    (folder / "extra.json").write_text("{}")
    with pytest.raises(BundleError, match=r"extra\.json is not in the manifest"):
        verify(folder)


@pytest.mark.parametrize("target", ["outside.json", "recommender"])
def test_a_link_is_refused(folder, tmp_path, target):
    (tmp_path / "outside.json").write_text("{}")
    (folder / "link.json").symlink_to(tmp_path / target if target == "outside.json" else folder / target)
    with pytest.raises(BundleError, match=r"link\.json is a link or a special file"):
        verify(folder)


def test_a_pipe_is_refused_without_waiting_for_it(folder):
    os.mkfifo(folder / "pipe.json")
    with pytest.raises(BundleError, match=r"pipe\.json is a link or a special file"):
        verify(folder)


@pytest.mark.parametrize(
    "name", ["../outside.json", "/etc/hosts.json", "a/../../b.json", "a\\b.json", "./a.json", "a//b.json"]
)
def test_a_name_that_leads_outside_is_refused(folder, name):
    rewrite_manifest(folder, lambda content: content["files"].update({name: {"size": 0, "sha256": ""}}))
    with pytest.raises(BundleError, match="leads outside the bundle or is no plain relative path"):
        verify(folder)


def test_a_file_too_large_is_refused(folder, monkeypatch):
    monkeypatch.setattr(bundle, "MAX_FILE_BYTES", 100)
    with pytest.raises(BundleError, match="more than the 100"):
        verify(folder)


def test_too_many_files_are_refused(folder, monkeypatch):
    monkeypatch.setattr(bundle, "MAX_FILES", 3)
    with pytest.raises(BundleError, match="5 files are more than the 3"):
        verify(folder)


def test_a_later_schema_is_refused(folder):
    rewrite_manifest(folder, lambda content: content.update(schema_version=99))
    with pytest.raises(BundleError, match="schema version 99 is unknown, this Freshet reads 1"):
        verify(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"schema_version": 1}', '{"schema_version": 1, "files": {"a": 3}}', "\x00"]
)
def test_a_broken_manifest_is_refused(folder, text):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        verify(folder)


def test_a_folder_without_manifest_is_no_bundle(tmp_path):
    with pytest.raises(BundleError, match=r"manifest\.json is missing"):
        verify(fill(tmp_path / "bundle"))
    with pytest.raises(BundleError, match=r"nowhere/manifest\.json is missing"):
        verify(tmp_path / "nowhere")
