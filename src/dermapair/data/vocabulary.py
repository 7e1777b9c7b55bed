"""The common vocabulary: which of each set's words mean the same, so that sets can be mixed on purpose.

A set's own values stay in `diagnosis`, `sex`, `site` and `skin_tone`; the common ones go into columns beside
them. A term says what the set's code can hold, and no more. Two terms overlap when one lesion may bear
either: a class of each would teach two names for one thing (`overlapping`). Terms and their limits:
docs/data.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import combinations

import polars as pl

from dermapair.data.cases import CaseTable

_BENIGN_KERATOSES = ("seborrheic_keratosis", "solar_lentigo", "lichenoid_keratosis")
_BENIGN = (
    "nevus",
    *_BENIGN_KERATOSES,
    "lentigo_simplex",
    "dermatofibroma",
    "vascular_lesion",
    "inflammatory",
)

COMMON: dict[str, tuple[str, ...]] = {
    "melanoma": ("melanoma",),
    "nevus": ("nevus",),
    "basal_cell_carcinoma": ("basal_cell_carcinoma",),
    "squamous_cell_carcinoma": ("invasive_squamous_cell_carcinoma", "bowen"),
    "invasive_squamous_cell_carcinoma": ("invasive_squamous_cell_carcinoma",),
    "actinic_keratosis": ("actinic_keratosis",),
    "actinic_keratosis_or_bowen": ("actinic_keratosis", "bowen"),
    "benign_keratosis": _BENIGN_KERATOSES,
    "seborrheic_keratosis": ("seborrheic_keratosis",),
    "solar_lentigo": ("solar_lentigo",),
    "lichenoid_keratosis": ("lichenoid_keratosis",),
    "lentigo": ("solar_lentigo", "lentigo_simplex"),
    "dermatofibroma": ("dermatofibroma",),
    "vascular_lesion": ("vascular_lesion",),
    "inflammatory": ("inflammatory",),
    "other_benign": ("other_benign",),
    "other_malignant": ("other_malignant",),
    "benign": (*_BENIGN, "other_benign", "actinic_keratosis"),
    "malignant": (
        "melanoma",
        "basal_cell_carcinoma",
        "invasive_squamous_cell_carcinoma",
        "bowen",
        "other_malignant",
    ),
}
"""Term of `diagnosis_common` -> the entities that a lesion with that term may be."""

_ISIC2018 = {
    "MEL": "melanoma",
    "NV": "nevus",
    "BCC": "basal_cell_carcinoma",
    "AKIEC": "actinic_keratosis_or_bowen",
    "BKL": "benign_keratosis",
    "DF": "dermatofibroma",
    "VASC": "vascular_lesion",
}
_ISIC2017 = {"nevus": "nevus", "melanoma": "melanoma", "seborrheic_keratosis": "seborrheic_keratosis"}
_UNNAMED = {"benign": "benign", "malignant": "malignant"}

DIAGNOSES: dict[str, dict[str, str | None]] = {
    "milk10k": {
        **_ISIC2018,
        "SCCKA": "invasive_squamous_cell_carcinoma",
        "INF": "inflammatory",
        "BEN_OTH": "other_benign",
        "MAL_OTH": "other_malignant",
    },
    "ham10000": {code.lower(): term for code, term in _ISIC2018.items()},
    "isic2016": {**_UNNAMED},
    "isic2017": {**_ISIC2017},
    "isic2017-masks": {**_ISIC2017},
    "isic2018": {**_ISIC2018},
    "isic2019": {
        **{code: term for code, term in _ISIC2018.items() if code != "AKIEC"},
        "AK": "actinic_keratosis",
        "SCC": "squamous_cell_carcinoma",
        "UNK": None,
    },
    "isic2020": {
        "nevus": "nevus",
        "melanoma": "melanoma",
        "seborrheic keratosis": "seborrheic_keratosis",
        "solar lentigo": "solar_lentigo",
        "lichenoid keratosis": "lichenoid_keratosis",
        "lentigo NOS": "lentigo",
        "cafe-au-lait macule": "other_benign",
        "atypical melanocytic proliferation": None,
        "unknown": "benign",
    },
    "isic2024": {**_UNNAMED},
    "derm7pt": {
        "basal cell carcinoma": "basal_cell_carcinoma",
        "blue nevus": "nevus",
        "clark nevus": "nevus",
        "combined nevus": "nevus",
        "congenital nevus": "nevus",
        "dermal nevus": "nevus",
        "recurrent nevus": "nevus",
        "reed or spitz nevus": "nevus",
        "melanoma": "melanoma",
        "melanoma (in situ)": "melanoma",
        "melanoma (less than 0.76 mm)": "melanoma",
        "melanoma (0.76 to 1.5 mm)": "melanoma",
        "melanoma (more than 1.5 mm)": "melanoma",
        "melanoma metastasis": "melanoma",
        "dermatofibroma": "dermatofibroma",
        "lentigo": "lentigo",
        "melanosis": "other_benign",
        "miscellaneous": None,
        "seborrheic keratosis": "seborrheic_keratosis",
        "vascular lesion": "vascular_lesion",
    },
    "pad-ufes-20": {
        "ACK": "actinic_keratosis",
        "BCC": "basal_cell_carcinoma",
        "MEL": "melanoma",
        "NEV": "nevus",
        "SCC": "squamous_cell_carcinoma",
        "SEK": "seborrheic_keratosis",
    },
    "ph2": {"Common Nevus": "nevus", "Atypical Nevus": "nevus", "Melanoma": "melanoma"},
}
"""Adapter -> its code -> common term, None where the set cannot say. Other adapters: the terms themselves."""

SEXES = {"male": "male", "m": "male", "female": "female", "f": "female"}
"""Word -> term of `sex_common`."""

_SITE_WORDS = {
    "head_neck": "head/neck, head neck, head, neck, face, head_neck_face, scalp, ear, nose, lip",
    "torso": "torso, trunk",
    "anterior_torso": "anterior torso, chest, abdomen",
    "posterior_torso": "posterior torso, back, buttocks",
    "lateral_torso": "lateral torso",
    "upper_extremity": "upper extremity, upper limbs, arm, forearm, hand",
    "lower_extremity": "lower extremity, lower limbs, leg, thigh, foot",
    "palms_soles": "palms/soles, acral",
    "oral_genital": "oral/genital, genital, genital areas",
}


def _plain(word: str) -> str:
    """Return a word in lower case, whatever is no letter or digit as one underscore."""
    return re.sub(r"[\W_]+", "_", word.lower()).strip("_")


SITES = {_plain(word): term for term, words in _SITE_WORDS.items() for word in (*words.split(", "), term)}
"""Word -> term of `site_common`."""

OWN_AND_COMMON = {"diagnosis": "diagnosis_common", "sex": "sex_common", "site": "site_common"}
SKIN_TONE_SCALE = "skin_tone_scale"


def with_common_terms(table: CaseTable) -> CaseTable:
    """Return the table with `diagnosis_common`, `sex_common`, `site_common` and `skin_tone_scale`.

    The scale is the manifest's, in the rows whose skin tone is known; scales are never converted into each
    other. A column of such a name that is already there stays as it is.
    """
    codes = DIAGNOSES.get(str(table.manifest.get("adapter"))) or dict(zip(COMMON, COMMON, strict=True))
    known: dict[str, Mapping[str, str | None]] = {"diagnosis": codes, "sex": SEXES, "site": SITES}
    made = [_common(own, known[own]).alias(common) for own, common in OWN_AND_COMMON.items()]
    scale = pl.lit(table.manifest.get(SKIN_TONE_SCALE), dtype=pl.String)
    made.append(pl.when(pl.col("skin_tone").is_not_null()).then(scale).alias(SKIN_TONE_SCALE))
    new = [column for column in made if column.meta.output_name() not in table.frame.columns]
    return replace(table, frame=table.frame.with_columns(new))


def _common(own: str, terms: Mapping[str, str | None]) -> pl.Expr:
    """Return the common term of each of a column's words, null where there is none."""
    plain = pl.col(own).str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", "_").str.strip_chars("_")
    known = {_plain(word): term for word, term in terms.items()}
    return plain.replace_strict(known, default=None, return_dtype=pl.String)


def without_common_term(frame: pl.DataFrame) -> dict[str, dict[str, int]]:
    """Return by column how many rows hold each value without a common term; nothing of other columns."""
    found = {
        own: dict(
            frame.filter(pl.col(own).is_not_null(), pl.col(common).is_null())
            .group_by(own)
            .len()
            .sort("len", own, descending=[True, False])
            .rows()
        )
        for own, common in OWN_AND_COMMON.items()
    }
    return {own: counts for own, counts in found.items() if counts}


def overlapping(terms: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs of terms of which one lesion may bear either; other words overlap nothing."""
    known = [term for term in COMMON if term in set(terms)]
    return [(a, b) for a, b in combinations(known, 2) if set(COMMON[a]) & set(COMMON[b])]
