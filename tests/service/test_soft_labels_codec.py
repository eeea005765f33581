"""Soft labels come out of their bytes as they went in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from service.soft_labels import FLOOR, NO_TOKEN, STEPS, TopK, bytes_max, pack, unpack

LIKELY = st.floats(FLOOR, 0, width=32)
SHAPES = array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=24)


@st.composite
def labels(draw):
    shape = draw(SHAPES)
    ids = draw(arrays(np.uint32, shape, elements=st.integers(0, NO_TOKEN)))
    return TopK(ids, draw(arrays(np.float32, shape, elements=LIKELY)))


@given(labels())
def test_ids_are_exact_and_logprobs_within_half_a_step(made):
    found = unpack(pack(made))
    assert (found.tokens, found.k) == made.ids.shape
    assert np.array_equal(found.ids, made.ids)
    assert np.all(np.abs(found.logprobs - made.logprobs) <= 0.5 / STEPS + 1e-6)


@given(labels())
def test_what_was_unpacked_packs_to_the_same_bytes(made):
    data = pack(made)
    assert pack(unpack(data)) == data


@pytest.mark.parametrize(("given_", "kept"), [(-9999.0, FLOOR), (-64.5, FLOOR), (0.0, 0.0), (1e-3, 0.0), (-1e-5, 0.0)])
def test_logprobs_beyond_the_ends_are_kept_at_them(given_, kept):
    made = TopK(np.array([[7, 8, 9, 10]], np.uint32), np.array([[-1.0, given_, -2.0, given_]], np.float32))
    assert unpack(pack(made)).logprobs[0] == pytest.approx([-1.0, kept, -2.0, kept], abs=1 / STEPS)


@pytest.mark.parametrize("data", [b"", b"nothing of the kind", pack(TopK(*2 * (np.zeros((2, 3)),)))[:-3]])
def test_other_bytes_are_refused(data):
    with pytest.raises(ValueError, match="no soft labels"):
        unpack(data)


def test_arrays_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(2, 4\)"):
        pack(TopK(np.zeros((2, 3), np.uint32), np.zeros((2, 4), np.float32)))


@pytest.mark.parametrize("k", [1, 8, 20, 128])
@pytest.mark.parametrize("tokens", [1, 40, 400])
def test_ids_without_any_pattern_keep_to_the_bound_that_is_told_before_a_run(k, tokens):
    chance = np.random.default_rng(k * tokens)
    ids = chance.integers(0, 151_936, (tokens, k)).astype(np.uint32)
    logprobs = -np.sort(chance.gamma(2, 4, (tokens, k)), axis=1).astype(np.float32)
    assert len(pack(TopK(ids, logprobs))) <= bytes_max(k, answers=1, tokens=tokens)
