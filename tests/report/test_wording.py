"""Numbers and texts as they are shown."""

from __future__ import annotations

import math

import pytest

from dermapair.report.wording import (
    breakable,
    interval,
    metric_name,
    network_sentence,
    number,
    prose,
    without_folders,
)
from inference.runs import tiny_facts


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.58823, "0.588"), (1.0, "1.000"), (7, "7"), (None, "not defined"), (math.nan, "not defined")],
)
def test_numbers_have_three_digits_and_undefined_ones_say_so(value, shown):
    assert number(value) == shown


def test_an_interval_that_is_not_defined_is_left_out():
    assert interval(None, None) == ""
    assert interval(0.1, 0.25) == "[0.100, 0.250]"


@pytest.mark.parametrize(
    ("key", "name"), [("macro_auc", "Macro AUC"), ("macro_f1", "Macro F1"), ("melanoma_auc", "Melanoma AUC")]
)
def test_metrics_are_named_in_words(key, name):
    assert metric_name(key) == name


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("cannot read /home/me/pics/a.jpg: empty", "cannot read a.jpg: empty"),
        ("weights (/home/John Doe/w.safetensors)", "weights (w.safetensors)"),
        (r"C:\Users\me\a.jpg", "a.jpg"),
        ("'~/pics/a.jpg'", "'a.jpg'"),
        ("291 images/s, 1 / 2 and AK/Bowen", "291 images/s, 1 / 2 and AK/Bowen"),
    ],
)
def test_folders_are_cut_and_other_slashes_kept(text, kept):
    assert without_folders(text) == kept


def test_prose_marks_code_and_escapes_the_rest():
    assert prose("`both` of <b>") == "<code>both</code> of &lt;b&gt;"


def test_long_names_may_break_behind_underscores():
    assert breakable("basal_<b>") == "basal_<wbr>&lt;b&gt;"


@pytest.mark.parametrize(
    ("predict", "said"),
    [
        ({}, "Input 32 × 32 px; 1,234 parameters; started from random weights."),
        ({"input": 32}, "Input 32 × 32 px; 1,234"),
        ({"input": 40}, "Input 32 × 32 px in training, 40 × 40 px in scoring; 1,234"),
        ({"views": 8}, "Input 32 × 32 px; scores are means over 8 orientations of each image; 1,234"),
        ({"input": 40, "views": 2}, "40 × 40 px in scoring; scores are means over 2 orientations"),
    ],
)
def test_the_network_is_said_with_the_size_and_the_orientations_that_it_was_scored_with(predict, said):
    assert said in network_sentence(tiny_facts(predict=predict), 1234)
