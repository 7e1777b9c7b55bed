"""The common terms: every code of every set has one, and what is made of sexes, sites and skin tones."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import polars as pl
import pytest

from data.adapters.fake_isic2017 import write_isic2017
from data.adapters.fake_milk10k import write_milk10k
from data.tables import row, table
from dermapair.data.adapters import ADAPTERS, import_cases
from dermapair.data.adapters.phantom import draw
from dermapair.data.cases import CaseTable, case_frame
from dermapair.data.vocabulary import (
    COMMON,
    DIAGNOSES,
    SEXES,
    SITES,
    overlapping,
    with_common_terms,
    without_common_term,
)

WITHOUT_CODES = ("csv", "folder")
"""Adapters of one's own images: their diagnoses are the user's."""
DOCS = Path(__file__).resolve().parents[2] / "docs" / "data.md"


def terms(adapter: str, **columns: list[str | None]) -> pl.DataFrame:
    """Return the common terms of rows of an adapter, each a lesion of its own."""
    rows = [
        row(f"i{i}", **dict(zip(columns, values, strict=True)))
        for i, values in enumerate(zip(*columns.values(), strict=True))
    ]
    frame = case_frame(rows)
    diagnoses = tuple(frame["diagnosis"].drop_nulls().unique().sort())
    return with_common_terms(CaseTable(frame, Path("nowhere"), diagnoses, {"adapter": adapter})).frame


@pytest.mark.parametrize("adapter", [name for name in ADAPTERS if name not in WITHOUT_CODES])
def test_every_code_of_an_adapter_has_a_common_term_or_says_that_it_has_none(adapter: str) -> None:
    codes = sys.modules[ADAPTERS[adapter].__module__].DIAGNOSES
    mapped = DIAGNOSES[adapter]
    assert set(mapped.values()) - {None} <= set(COMMON)
    named = terms(adapter, diagnosis=[*mapped, *codes]).select("diagnosis", "diagnosis_common").unique()
    assert set(named["diagnosis"]) == set(mapped) | set(codes)
    nameless = named.filter(pl.col("diagnosis_common").is_null())["diagnosis"]
    assert set(nameless) <= {code for code, term in mapped.items() if term is None}


@pytest.mark.parametrize(
    ("adapter", "code", "term"),
    [
        ("milk10k", "AKIEC", "actinic_keratosis_or_bowen"),
        ("milk10k", "SCCKA", "invasive_squamous_cell_carcinoma"),
        ("ham10000", "akiec", "actinic_keratosis_or_bowen"),
        ("ham10000", "bkl", "benign_keratosis"),
        ("isic2017", "seborrheic_keratosis", "seborrheic_keratosis"),
        ("isic2019", "AK", "actinic_keratosis"),
        ("isic2019", "SCC", "squamous_cell_carcinoma"),
        ("isic2019", "UNK", None),
        ("isic2020", "unknown", "benign"),
        ("isic2020", "Cafe_au_lait macule", "other_benign"),
        ("derm7pt", "melanoma (0.76 to 1.5 mm)", "melanoma"),
        ("derm7pt", "melanoma_0_76_to_1_5_mm", "melanoma"),
        ("pad-ufes-20", "SCC", "squamous_cell_carcinoma"),
        ("ph2", "atypical_nevus", "nevus"),
        ("csv", "Basal-cell  Carcinoma ", "basal_cell_carcinoma"),
        ("csv", "MEL", None),
        ("folder", "nevus", "nevus"),
        ("phantom", "melanoma", "melanoma"),
    ],
)
def test_a_code_means_what_its_own_set_says(adapter: str, code: str, term: str | None) -> None:
    assert terms(adapter, diagnosis=[code, None])["diagnosis_common"].to_list() == [term, None]


def test_the_table_of_the_docs_is_the_mapping() -> None:
    section = DOCS.read_text("utf-8").split("## Common terms")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|([^|]*)\|", section, re.M)
    documented = {
        (adapter, code, term)
        for term, cell in rows
        for group in cell.split(";")
        if ":" in group
        for adapter in re.findall(r"`([\w-]+)`", group.partition(":")[0])
        for code in re.findall(r"`([^`]+)`", group.partition(":")[2])
    }
    mapped = {(a, code, term or "null") for a, codes in DIAGNOSES.items() for code, term in codes.items()}
    assert documented == mapped
    assert [term for term, _ in rows if term in COMMON] == list(COMMON)


@pytest.mark.parametrize(
    ("sex", "term"), [("male", "male"), ("FEMALE", "female"), ("F", "female"), ("x", None), (None, None)]
)
def test_sexes_have_two_terms_or_none(sex: str | None, term: str | None) -> None:
    assert terms("csv", sex=[sex])["sex_common"].to_list() == [term]


@pytest.mark.parametrize(
    ("site", "term"),
    [
        ("anterior torso", "anterior_torso"),
        ("head/neck", "head_neck"),
        ("head_neck_face", "head_neck"),
        ("palms/soles", "palms_soles"),
        ("oral/genital", "oral_genital"),
        ("back", "posterior_torso"),
        ("chest", "anterior_torso"),
        ("trunk", "torso"),
        ("FOREARM", "upper_extremity"),
        ("lower limbs", "lower_extremity"),
        ("acral", "palms_soles"),
        ("genital areas", "oral_genital"),
        ("left elbow", None),
        (None, None),
    ],
)
def test_sites_are_named_as_far_as_they_can_be_told(site: str | None, term: str | None) -> None:
    assert terms("csv", site=[site])["site_common"].to_list() == [term]


def test_a_common_term_stands_for_itself() -> None:
    assert {SITES[term] for term in SITES.values()} == set(SITES.values())
    assert {SEXES[term] for term in SEXES.values()} == {"male", "female"}


def test_import_leaves_the_sets_own_values_and_names_the_scale_of_known_skin_tones(tmp_path: Path) -> None:
    root = write_milk10k(tmp_path / "m")
    own = ADAPTERS["milk10k"](root).frame
    frame = import_cases("milk10k", root).frame
    assert frame.select(own.columns).equals(own)
    added = ["diagnosis_common", "sex_common", "site_common", "skin_tone_scale"]
    assert frame.columns == [*own.columns, *added]
    assert frame["skin_tone_scale"].unique().to_list() == ["MILK10k, 0 dark to 5 light"]
    other = import_cases("isic2017", write_isic2017(tmp_path / "i")).frame
    assert other["skin_tone_scale"].to_list() == [None] * len(other)
    assert other.select(added).dtypes == [pl.String] * 4


def test_phantoms_have_the_terms_and_their_own_scale(tmp_path: Path) -> None:
    frame = draw(tmp_path, lesions=2, seed=0, size_px=64).frame
    assert frame["skin_tone_scale"].to_list() == ["phantom, 1 light to 6 dark"] * 4
    assert frame["site_common"].null_count() == 0


def test_a_scale_is_given_to_known_skin_tones_alone_and_a_users_columns_stay() -> None:
    made = table([row("a", skin_tone="3"), row("b"), row("c", skin_tone="9", sex="male")])
    scaled = CaseTable(made.frame, made.root, made.diagnoses, {"skin_tone_scale": "Fitzpatrick"})
    assert with_common_terms(scaled).frame["skin_tone_scale"].to_list() == [
        "Fitzpatrick",
        None,
        "Fitzpatrick",
    ]
    theirs = made.frame.with_columns(skin_tone_scale=pl.lit("Monk"), sex_common=pl.lit("they said"))
    kept = with_common_terms(CaseTable(theirs, made.root, made.diagnoses, scaled.manifest)).frame
    assert kept["skin_tone_scale"].to_list() == ["Monk"] * 3
    assert kept["sex_common"].to_list() == ["they said"] * 3


def test_values_without_a_term_are_counted_the_most_frequent_first() -> None:
    frame = terms("csv", site=["elbow", "knee", "knee", "back", None], sex=["male"] * 5)
    assert without_common_term(frame) == {"diagnosis": {"NV": 5}, "site": {"knee": 2, "elbow": 1}}


@pytest.mark.parametrize(
    ("words", "pairs"),
    [
        (["melanoma", "nevus", "seborrheic_keratosis"], []),
        (["seborrheic_keratosis", "benign_keratosis"], [("benign_keratosis", "seborrheic_keratosis")]),
        (
            ["actinic_keratosis_or_bowen", "squamous_cell_carcinoma", "basal_cell_carcinoma"],
            [("squamous_cell_carcinoma", "actinic_keratosis_or_bowen")],
        ),
        (["actinic_keratosis_or_bowen", "invasive_squamous_cell_carcinoma"], []),
        (["benign", "malignant"], []),
        (["melanoma", "malignant", "benign", "nevus"], [("melanoma", "malignant"), ("nevus", "benign")]),
        (["mine", "mine too"], []),
    ],
)
def test_terms_overlap_where_one_lesion_may_bear_either(
    words: list[str], pairs: list[tuple[str, str]]
) -> None:
    assert overlapping(words) == pairs


def test_every_value_of_the_real_sets_has_a_term(shared: Path) -> None:
    folders = {"isic2017-masks": "isic2017_lesion_masks"}
    for adapter in ("milk10k", "isic2017", "isic2017-masks", "ham10000"):
        frame = import_cases(adapter, shared / "data" / folders.get(adapter, adapter)).frame
        assert without_common_term(frame) == {}
