"""Phantom lesions as a case table; they are drawn into the case folder itself."""

from __future__ import annotations

import os
from pathlib import Path

from dermapair.data.cases import CaseTable, case_frame
from dermapair.data.phantom import PHANTOM, generate
from dermapair.data.vocabulary import SKIN_TONE_SCALE, with_common_terms


def draw(out: Path, *, lesions: int, seed: int, size_px: int = 256) -> CaseTable:
    """Draw lesions into `out` and return their case table, with the Bayes accuracies in its manifest."""
    workers = os.cpu_count() or 1
    rows, manifest = generate(out, lesions=lesions, seed=seed, size_px=size_px, workers=workers)
    diagnoses = tuple(d.code for d in PHANTOM.diagnoses)
    facts = {"adapter": "phantom", **manifest, SKIN_TONE_SCALE: "phantom, 1 light to 6 dark"}
    return with_common_terms(CaseTable(case_frame(rows), out, diagnoses, facts))
