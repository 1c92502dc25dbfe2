"""Naming components: planted words are found, noise is not named, and the words are where they should be."""

import subprocess
import sys

import numpy as np
import pytest

from lpcm.disentanglers.certificate import Effort
from lpcm.disentanglers.haar import haar
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.tasks.concepts_stability import chance_identified
from lpcm.tasks.concepts_texts import name_components
from lpcm.tasks.concepts_vocabulary import Words, imagenet_words, read_words, without_repeats

D = 33


def words(source, count):
    return Words(source, tuple(f"{source} {i}" for i in range(count)))


def texts(count, *names):
    return Key.of(0).fold("texts", *names).generator().standard_normal((count, D))


NO_CLASSES = np.full((1, 0), np.nan)


def name(directions, groups, values=None, key=0):
    if values is None:
        values = np.full((len(directions), len(groups[0][1])), np.nan)
    return name_components(directions, groups, values, Key.of(key))


def test_a_planted_text_is_nearest_and_stands_out_at_its_end_alone():
    features = texts(257)
    directions = haar(D, Key.of(1).generator())[:5]
    features[31] = 9 * directions[2]
    features[77] = -9 * directions[4]
    naming = name(directions, [((words("w", 257),), features)])
    assert (naming.upper[2][0].text, naming.lower[4][0].text) == ("w 31", "w 77")
    assert naming.upper[2][0].score > naming.upper[2][1].score
    assert naming.upper_out.tolist() == [False, False, True, False, False]
    assert naming.lower_out.tolist() == [False, False, False, False, True]


def test_noise_is_named_no_more_often_than_chance():
    features, found = texts(301), []
    for seed in range(12):
        directions = haar(D, Key.of(seed).generator())
        found += name(directions, [((words("w", 301),), features)], key=seed).upper_p.tolist()
    # 396 p-values, evenly spread: their share below 0.05 has a standard error of 0.011.
    assert 0.05 - 0.033 < np.mean(np.array(found) <= 0.05) < 0.05 + 0.033
    assert np.mean(found) == pytest.approx(0.5, abs=0.06)  # four standard errors


def test_the_gap_between_modalities_and_templates_of_groups_do_not_name_anything():
    directions = haar(D, Key.of(1).generator())[:5]
    groups = [((words("classes", 33),), texts(33, "c")), ((words("more", 257),), texts(257, "m"))]
    moved = [(parts, _unit(features) + 2 * directions[i]) for i, (parts, features) in enumerate(groups)]
    plain = name(directions, [(parts, _unit(features)) for parts, features in groups])
    naming = name(directions, [(parts, features) for parts, features in moved])
    assert not naming.upper_out.any()
    assert not plain.upper_out.any()
    # An offset changes norms, which are scaled to 1, so that scores are not the same to the digit.
    assert {near[0].source for near in naming.upper} == {"classes", "more"}


def test_class_names_that_agree_with_their_images_are_told_from_permuted_ones():
    directions, features = haar(D, Key.of(1).generator())[:3], texts(15)
    unit = _unit(features) - _unit(features).mean(0)
    values = directions @ unit.T
    values[1] = Key.of(5).generator().standard_normal(15)
    naming = name(directions, [((words("classes", 15),), features)], values)
    assert naming.agreement[[0, 2]] == pytest.approx([1, 1])
    assert naming.agreement_p[0] < 0.01 < naming.agreement_p[1]


def test_a_correlation_over_few_classes_is_not_given():
    naming = name(np.eye(3, D), [((words("classes", 4),), texts(4))], np.ones((3, 4)))
    assert naming.of(0)["text_image_correlation"] is None


def test_words_of_several_places_keep_their_place():
    groups = [((words("classes", 3),), texts(3)), ((words("a", 7), words("b", 15)), texts(22, "m"))]
    naming = name(np.eye(3, D), groups)
    assert naming.words == {"classes": 3, "a": 7, "b": 15}
    for near in (part for line in naming.upper for part in line):
        assert near.text.startswith(near.source)


def test_the_imagenet_names_are_those_of_open_clip_without_its_code():
    names = imagenet_words().words
    assert {"goldfish", "tiger cat", "toilet paper"} <= set(names)
    assert 950 < len(names) <= 1000  # a few of the 1,000 classes share a name
    code = "from lpcm.tasks.concepts_vocabulary import imagenet_words; imagenet_words(); import sys; "
    code += "print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_words_of_a_file_are_its_lines(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("\ufeffred\n\n# a remark\n Größe \nred\n猫\n", encoding="utf-8")
    assert read_words(file) == Words("words.txt", ("red", "Größe", "猫"))


def test_a_file_without_words_says_why(tmp_path):
    with pytest.raises(UsageError, match="not a file"):
        read_words(tmp_path / "nowhere.txt")
    (tmp_path / "empty.txt").write_text("# nothing\n\n")
    with pytest.raises(DataError, match="holds no word"):
        read_words(tmp_path / "empty.txt")
    (tmp_path / "latin.txt").write_bytes("Größe".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        read_words(tmp_path / "latin.txt")


def test_a_word_belongs_to_the_first_place_that_has_it():
    kept = without_repeats(
        Words("classes", ("Cat",)), Words("file", ("cat",)), Words("imagenet", ("CAT", "dog"))
    )
    assert kept == (Words("classes", ("Cat",)), Words("imagenet", ("dog",)))


def test_rotations_are_hardly_ever_identified_and_the_less_the_more_there_are():
    assert chance_identified(1, Effort.QUICK) == 0
    for effort in (Effort.QUICK, Effort.FULL):
        two, eight = chance_identified(2, effort), chance_identified(8, effort)
        assert two < 0.05  # alpha of the certificate; other seeds are asked as well, so less
        assert eight <= two
    assert chance_identified(1000, Effort.QUICK) == chance_identified(64, Effort.QUICK) == 0


def _unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
