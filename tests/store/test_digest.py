"""Digests: equal values have equal digests, whatever their containers; anything without fixed bytes is refused."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpcm.store.digest import canonical_json, digest_of, file_digest

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_the_order_of_keys_does_not_matter(value):
    def reversed_keys(v):
        if isinstance(v, dict):
            return {k: reversed_keys(v[k]) for k in reversed(list(v))}
        return [reversed_keys(x) for x in v] if isinstance(v, list) else v

    assert digest_of(value) == digest_of(reversed_keys(value))


@given(json_values, json_values)
def test_values_with_different_json_have_different_digests(first, second):
    assert (digest_of(first) == digest_of(second)) == (canonical_json(first) == canonical_json(second))


def test_dataclasses_enums_and_paths_have_digests():
    class Colour(Enum):
        RED = "red"

    @dataclass(frozen=True)
    class Thing:
        colour: Colour
        path: Path

    assert digest_of(Thing(Colour.RED, Path("a/b"))) == digest_of({"colour": "red", "path": "a/b"})


@pytest.mark.parametrize("value", [object(), b"bytes", 1j, lambda: 0, float("nan"), {"a": float("inf")}])
def test_values_without_fixed_text_are_refused(value):
    with pytest.raises((TypeError, ValueError)):
        digest_of(value)


def test_a_files_digest_is_that_of_its_bytes(tmp_path):
    import hashlib

    data = bytes(range(256)) * 5000  # more than one chunk
    (tmp_path / "f").write_bytes(data)
    assert file_digest(tmp_path / "f") == hashlib.sha256(data).hexdigest()
