"""One value a lesion: unknown stays unknown, rows that differ are counted, scales are never mixed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dermapair.data.cases import CaseTable, case_frame
from dermapair.evaluation.attributes import attributes_of


def table(*rows: dict[str, Any], **manifest: Any) -> CaseTable:
    """Return a table of rows with a lesion each, or the one that they name."""
    filled = [
        {"image_id": f"i{n}", "lesion_id": f"l{n}", "view": "clinical", "path": f"{n}.jpg", **row}
        for n, row in enumerate(rows)
    ]
    return CaseTable(case_frame(filled), Path(), (), manifest)


@pytest.mark.parametrize(
    ("age", "band"),
    [(0, "<30"), (29.9, "<30"), (30, "30-49"), (49, "30-49"), (50, "50-69"), (70, "70+"), (None, None)],
)
def test_age_bands_begin_with_their_first_year(age: float | None, band: str | None) -> None:
    assert attributes_of(table({"age": age, "sex": "male"}), ["l0"])["age"].values == (band,)


def test_values_come_in_the_order_of_the_lesions_asked_for() -> None:
    cases = table({"sex": "male"}, {"sex": "female"}, {"sex": "male"})
    assert attributes_of(cases, ["l2", "l1"])["sex"].values == ("male", "female")


def test_a_lesion_whose_rows_differ_is_unknown_and_counted() -> None:
    cases = table(
        {"lesion_id": "a", "site": "back"},
        {"lesion_id": "a", "site": "arm"},
        {"lesion_id": "b", "site": "back"},
        {"lesion_id": "b"},
    )
    site = attributes_of(cases, ["a", "b"])["site"]
    assert (site.values, site.disagreeing) == ((None, "posterior_torso"), 1)


def test_ages_of_one_band_do_not_differ() -> None:
    cases = table({"lesion_id": "a", "age": 51}, {"lesion_id": "a", "age": 52})
    assert attributes_of(cases, ["a"])["age"].values == ("50-69",)


def test_words_for_one_sex_or_site_are_one_group_and_others_stay() -> None:
    cases = table({"sex": "M", "site": "trunk"}, {"sex": "male", "site": "left flank"}, {"sex": None})
    found = attributes_of(cases, ["l0", "l1", "l2"])
    assert found["sex"].values == ("male", "male", None)
    assert found["site"].values == ("torso", "left flank", None)
    assert found["site"].groups == ["left flank", "torso"]


def test_skin_tones_name_the_scale_of_the_set() -> None:
    tone = attributes_of(table({"skin_tone": "3"}, skin_tone_scale="MILK10k, 0 dark to 5 light"), ["l0"])[
        "skin_tone"
    ]
    assert (tone.values, tone.scale) == (("3",), "MILK10k, 0 dark to 5 light")
    assert attributes_of(table({"skin_tone": "3"}), ["l0"])["skin_tone"].scale == "scale not named"
    assert attributes_of(table({"skin_tone": None}), ["l0"])["skin_tone"].scale is None


def test_skin_tones_of_two_scales_are_never_one_group() -> None:
    cases = table(
        {"skin_tone": "3", "skin_tone_scale": "own"}, {"skin_tone": "3", "skin_tone_scale": "Fitzpatrick"}
    )
    tone = attributes_of(cases, ["l0", "l1"])["skin_tone"]
    assert tone.values == ("3 (own)", "3 (Fitzpatrick)")
    assert tone.scale == "several scales, named with each value"


def test_age_bands_are_in_the_order_of_age() -> None:
    cases = table({"age": 80}, {"age": 3}, {"age": 40})
    assert attributes_of(cases, ["l0", "l1", "l2"])["age"].groups == ["<30", "30-49", "70+"]
