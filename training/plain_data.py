"""Is a file only data? Looked at before anything loads it, for the two endings that can carry more than numbers.

A ``.npy`` file may hold pickled Python objects. A tensor in an ONNX file may say that its numbers lie in another file,
by path; what a bundle computes with must be what its manifest's sha256 covers. The ONNX check walks the protobuf
messages that can hold a tensor, so that reading needs no onnx package.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

# Fields by number that lead from a message to tensors, as in onnx.proto.
_MESSAGES: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 20: "TrainingInfo", 25: "Function"},
    "TrainingInfo": {1: "Graph", 2: "Graph"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Function": {7: "Node", 11: "Attribute"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {13: "external", 14: "external"},
}
_MAX_DEPTH = 64


def check_plain_data(path: Path) -> None:
    """Raise ValueError saying why the file is not only data; other endings than .npy and .onnx pass."""
    if path.suffix == ".npy":
        _check_npy(path)
    elif path.suffix == ".onnx" and has_external_data(path.read_bytes()):
        raise ValueError("a tensor's data lies in another file: export the model with its weights inside")


def has_external_data(model: bytes) -> bool:
    """Whether some tensor's numbers lie outside the file. Raises ValueError where the bytes are no protobuf."""
    return _points_outside(memoryview(model), "Model", 0)


def _check_npy(path: Path) -> None:
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, _, dtype = np.lib.format.read_array_header_2_0(file)
        else:
            raise ValueError(f"its format version {version} is unknown")
        if dtype.hasobject:
            raise ValueError("it holds pickled Python objects")
        expected = file.tell() + int(np.prod(shape, dtype=object)) * dtype.itemsize
    if path.stat().st_size != expected:
        raise ValueError(f"its header describes {expected} bytes, it has {path.stat().st_size}")


def _points_outside(message: memoryview, kind: str, depth: int) -> bool:
    if depth > _MAX_DEPTH:
        raise ValueError(f"messages are nested deeper than {_MAX_DEPTH}")
    for field, value in _fields(message):
        child = _MESSAGES[kind].get(field)
        if child == "external":
            if value != 0:  # data_location 0 is the default: inside
                return True
        elif child is not None:
            if not isinstance(value, memoryview):
                raise ValueError(f"field {field} of {kind} is a number where a message belongs")
            if _points_outside(value, child, depth + 1):
                return True
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        field, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            value, position = _varint(message, position)
            yield field, value
            continue
        if wire_type == 2:
            length, position = _varint(message, position)
        elif wire_type in (1, 5):
            length = 8 if wire_type == 1 else 4
        else:
            raise ValueError(f"unknown wire type {wire_type} at byte {position}")
        if position + length > len(message):
            raise ValueError(f"a field ends {position + length - len(message)} bytes after the message")
        yield field, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            break
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError(f"a number does not end at byte {position}")
