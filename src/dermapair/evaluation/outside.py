"""How many lesions of a part are flagged as unlike those of the training part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dermapair.evaluation.evaluate import plain
from dermapair.inference.decisions import OutsideRule
from dermapair.inference.scores import Scores
from dermapair.metrics.bootstrap import share


def evaluate_outside(
    scores: Scores, groups: Mapping[str, int], rule: OutsideRule | None
) -> dict[str, Any] | None:
    """Return by view the share of lesions above the threshold, diagnosis or none; None where it is unknown.

    On lesions of the same kind as validation's this is the share of false alarms, expected at `allowed`.

    Args:
        scores: of the part, with `outside`.
        groups: lesion id -> a number equal for lesions of one patient; Wilson's interval counts these.
        rule: of the model.
    """
    if rule is None or not scores.outside:
        return None
    of = np.array([groups[lesion] for lesion in scores.ids])
    views = {}
    for view, limits in rule.views.items():
        score = scores.outside[view]
        there = ~np.isnan(score)
        flagged = score[there] > limits.threshold
        views[view] = {
            "n": int(there.sum()),
            "flagged": plain(share(flagged, of[there])),
            "threshold": limits.threshold,
            "allowed": rule.allowed,
        }
    return {"method": rule.method, "views": views}
