"""Who the lesions of a part come from: skin tone, sex, age band, site and source, one value a lesion.

Letters: n lesions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from dermapair.data.cases import CaseTable
from dermapair.data.vocabulary import SKIN_TONE_SCALE, with_common_terms

BANDS = {"<30": 30, "30-49": 50, "50-69": 70, "70+": math.inf}
"""Age band -> the age in years below which it ends."""
NOT_NAMED = "scale not named"


@dataclass(frozen=True)
class Attribute:
    """One attribute of n lesions.

    Attributes:
        values: n values, None where unknown.
        scale: what the values mean, where a word alone does not say it.
        disagreeing: lesions whose rows of the case table differ; their value is None.
    """

    values: tuple[str | None, ...]
    scale: str | None
    disagreeing: int

    @property
    def groups(self) -> list[str]:
        """Values that occur, in order: age bands by age, others by name."""
        there = {value for value in self.values if value is not None}
        return [band for band in BANDS if band in there] + sorted(there - set(BANDS))


def attributes_of(table: CaseTable, ids: Sequence[str]) -> dict[str, Attribute]:
    """Return `skin_tone`, `sex`, `age`, `site` and `source` of some lesions, from all their rows.

    Sexes and sites are in common terms, so that sets can be merged, and in the set's own word where there is
    none. Skin tones stay on their own scales: where the table has several, each value names its scale.

    Args:
        table: the cases.
        ids: n lesion ids.
    """
    rows = with_common_terms(table).frame.filter(pl.col("lesion_id").is_in(list(ids)))
    scales = rows.filter(pl.col("skin_tone").is_not_null())[SKIN_TONE_SCALE].fill_null(NOT_NAMED).unique()
    tone, scale, several = pl.col("skin_tone"), pl.col(SKIN_TONE_SCALE).fill_null(NOT_NAMED), len(scales) > 1
    columns = {
        "skin_tone": pl.format("{} ({})", tone, scale) if several else tone,
        "sex": pl.coalesce("sex_common", "sex"),
        "age": pl.coalesce(pl.when(pl.col("age") < end).then(pl.lit(band)) for band, end in BANDS.items()),
        "site": pl.coalesce("site_common", "site"),
        "source": pl.col("source"),
    }
    meant = {
        "skin_tone": "several scales, named with each value" if several else next(iter(scales), None),
        "age": "years",
        "site": "common terms, else the set's own words",
    }
    by_lesion = rows.select("lesion_id", **columns).group_by("lesion_id").agg(pl.all().drop_nulls().unique())
    wanted = pl.DataFrame({"lesion_id": list(ids)}, schema={"lesion_id": pl.String})
    found = wanted.join(by_lesion, on="lesion_id", how="left", maintain_order="left")
    return {name: _attribute(found[name], meant.get(name)) for name in columns}


def _attribute(known: pl.Series, scale: str | None) -> Attribute:
    """Return an attribute from the list of known values of each lesion."""
    n = known.list.len().fill_null(0)
    first = pl.DataFrame({"known": known, "n": n}).select(
        pl.when(pl.col("n") == 1).then(pl.col("known").list.first())
    )
    return Attribute(tuple(first.to_series()), scale, int((n > 1).sum()))
