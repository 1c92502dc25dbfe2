"""Keys: the same names give the same numbers, and nothing global moves."""

import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpcm.keys import Key

names = st.lists(st.one_of(st.text(max_size=8), st.integers(-5, 5)), max_size=4)


@given(st.integers(0, 2**40), names, names)
def test_folding_twice_is_folding_the_whole_path(seed, first, second):
    assert Key.of(seed).fold(*first).fold(*second) == Key.of(seed).fold(*first, *second)


@given(names, names)
def test_different_paths_give_different_keys(first, second):
    same = [(type(a), a) for a in first] == [(type(b), b) for b in second]
    assert (Key.of(0).fold(*first) == Key.of(0).fold(*second)) == same


def test_a_number_and_its_text_are_different_names():
    assert Key.of(0).fold(1) != Key.of(0).fold("1")


def test_a_key_is_the_same_in_another_process():
    code = "from lpcm.keys import Key; print(Key.of(3).fold('shots', 16).generator().integers(0, 10**9))"
    runs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert runs == {f"{Key.of(3).fold('shots', 16).generator().integers(0, 10**9)}\n"}


def test_generators_of_one_key_are_independent_objects_with_equal_streams():
    key = Key.of(1).fold("a")
    first, second = key.generator(), key.generator()
    first.random(100)
    assert second.random() == key.generator().random()


def test_no_global_generator_moves():
    state, numpy_state = random.getstate(), np.random.get_state()[1].copy()
    key = Key.of(0).fold("x")
    key.generator().random(10)
    key.torch_generator()
    key.random_state()
    assert random.getstate() == state
    assert (np.random.get_state()[1] == numpy_state).all()


@given(st.integers(0, 10_000))
def test_random_state_fits_scikit_learn(seed):
    assert 0 <= Key.of(seed).random_state() < 2**31


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="seed is -1"):
        Key.of(-1)


def test_draws_look_uniform_across_seeds():
    draws = np.array([Key.of(seed).fold("u").generator().random() for seed in range(2000)])
    # Standard error of a mean of 2,000 uniforms is 0.0065; five of them make a false alarm a one in a million.
    assert abs(draws.mean() - 0.5) < 5 * 0.0065
