import numpy as np
import pytest

from training.whitening import Whitening, fit_whitening


@pytest.fixture
def cone() -> np.ndarray:
    """Vectors crowded into a narrow cone, as language models make them: one common direction, few strong ones."""
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(2_000, 12)) * np.array([3, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]) * 0.1 + 1
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_whitened_vectors_use_the_whole_space(cone):
    assert (cone @ cone[0]).mean() > 0.8
    whitened = fit_whitening(cone, size=8).apply(cone)
    assert whitened.shape == (2_000, 8)
    assert np.allclose(np.linalg.norm(whitened, axis=1), 1, atol=1e-5)
    assert abs((whitened @ whitened[0]).mean()) < 0.05


def test_without_shrinkage_all_directions_vary_alike(cone):
    whitening = fit_whitening(cone, size=5, shrinkage=0)
    projected = (cone - whitening.mean) @ whitening.projection
    assert np.allclose(np.cov(projected.T), np.eye(5), atol=0.02)


def test_no_more_directions_than_the_vectors_span(cone):
    few = cone[:4]
    assert fit_whitening(few, size=256).apply(few).shape == (4, 3)


def test_the_same_vectors_give_the_same_bytes(cone, tmp_path):
    fit_whitening(cone, size=8).save(tmp_path / "one.safetensors")
    fit_whitening(cone.copy(), size=8).save(tmp_path / "two.safetensors")
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()
    loaded = Whitening.load(tmp_path / "one.safetensors")
    assert np.array_equal(loaded.apply(cone), fit_whitening(cone, size=8).apply(cone))


def test_the_mean_itself_stays_without_direction(cone):
    whitening = fit_whitening(cone, size=8)
    assert not whitening.apply(whitening.mean[None]).any()


def test_equal_vectors_do_not_divide_by_zero():
    equal = np.ones((5, 3), dtype=np.float32)
    assert not fit_whitening(equal).apply(equal).any()


def test_one_vector_is_too_few():
    with pytest.raises(ValueError, match=r"at least 2 vectors, got an array of shape \(1, 3\)"):
        fit_whitening(np.ones((1, 3), dtype=np.float32))
