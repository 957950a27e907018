import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from training.vector_cache import VectorCache, text_key

KEYS = [text_key(f"text {number}") for number in range(1_500)]
VECTORS = np.random.default_rng(0).normal(size=(1_500, 8)).astype(np.float32)


def test_vectors_come_back_exactly(tmp_path):
    with VectorCache(tmp_path / "space.sqlite", 8) as cache:
        cache.put(KEYS, VECTORS)
    with VectorCache(tmp_path / "space.sqlite", 8) as cache:
        found = cache.get([*KEYS, text_key("never seen")])
    assert len(found) == 1_500
    assert np.array_equal(np.stack([found[key] for key in KEYS]), VECTORS)


def test_a_kill_in_the_middle_keeps_finished_chunks(tmp_path):
    path = tmp_path / "space.sqlite"
    program = f"""
import os, signal, numpy as np
from training.vector_cache import VectorCache, text_key
class Dying(np.ndarray):
    def astype(self, *args):
        os.kill(os.getpid(), signal.SIGKILL)
keys = [text_key(f"text {{number}}") for number in range(4)]
cache = VectorCache(__import__("pathlib").Path({str(path)!r}), 8)
cache.put(keys[:2], np.ones((2, 8), dtype=np.float32))
cache.put(keys[2:], [np.ones(8, dtype=np.float32), np.ones(8).view(Dying)])
"""
    died = subprocess.run([sys.executable, "-c", program], env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert died.returncode == -signal.SIGKILL
    with VectorCache(path, 8) as cache:
        assert cache.get(KEYS[:4]).keys() == set(KEYS[:2])
        cache.put(KEYS[2:4], VECTORS[2:4])
        assert len(cache.get(KEYS[:4])) == 4


def test_a_vector_of_another_width_counts_as_absent(tmp_path):
    with VectorCache(tmp_path / "space.sqlite", 4) as cache:
        cache.put(KEYS[:1], VECTORS[:1, :4])
    with VectorCache(tmp_path / "space.sqlite", 8) as cache:
        assert cache.get(KEYS[:1]) == {}


def test_a_file_that_is_no_cache_says_so(tmp_path):
    path = tmp_path / "space.sqlite"
    path.write_text("these are not the vectors you are looking for" * 100)
    with pytest.raises(OSError, match="delete it, it will be rebuilt"):
        VectorCache(path, 8)
