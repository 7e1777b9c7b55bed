"""All that is said of one part: metrics, what the stored decisions reach there, subgroups."""

from __future__ import annotations

from typing import Any

from dermapair.data.cases import CaseTable
from dermapair.evaluation.decisions import evaluate_decisions
from dermapair.evaluation.evaluate import ByReadout, Truth, evaluate
from dermapair.evaluation.subgroups import subgroups
from dermapair.inference.model import ModelFacts


def judge(scores: ByReadout, truth: Truth, table: CaseTable, facts: ModelFacts | None) -> dict[str, Any]:
    """Return results.

    Args:
        scores: by readout, the lesion ids and their (n, K) probabilities, calibrated where the model is.
        truth: labels.
        table: the cases that the truth is of.
        facts: of the model that said the scores; None: there are no decisions to judge.

    Raises:
        TableError: see `evaluate`.
    """
    results = evaluate(scores, truth)
    if "both" in scores:
        results |= evaluate_decisions(scores["both"], truth, facts) if facts else {}
        results["subgroups"] = subgroups(scores["both"], truth, table, facts)
    return results
