"""Groups of lesions as `results.json` has them, with numbers that are easy to find again."""

from __future__ import annotations

from typing import Any

from dermapair.evaluation.subgroups import MEANS
from dermapair.metrics import METRICS
from report.run_folder import CLASSES, HOSTILE

ECE = "expected_calibration_error"


def figure(value: float | None, half: float = 0.1) -> dict[str, float | None]:
    """Return a value with its interval."""
    if value is None:
        return {"value": None, "low": None, "high": None}
    return {"value": value, "low": value - half, "high": value + half}


def _group(
    n: int, accuracy: float, auc: dict[str, Any], ece: float, compared: float | None
) -> dict[str, Any]:
    recalls = {CLASSES[0]: (n, accuracy), HOSTILE: (5, 0.4), "absent": (0, None)}
    return {
        "n": n,
        "patients": n,
        "too_few": False,
        "metrics": {m: figure(accuracy) for m in METRICS} | {"macro_auc": auc, ECE: figure(ece, 0.05)},
        "compared": {} if compared is None else {m: figure(compared) for m in MEANS},
        "per_class": {name: {"n": k, "recall": figure(r)} for name, (k, r) in recalls.items()},
        "points": {
            "mel_youden": {
                "cases": 10 if n == 40 else 0,
                "others": 30,
                "sensitivity": figure(0.5, 0.2) if n == 40 else figure(None),
                "specificity": figure(0.9, 0.05),
            }
        },
    }


def _gap(value: float, half: float, p: float, holm: float) -> dict[str, Any]:
    return {"a": "female", "b": "male", **figure(value, half), "p_value": p, "p_holm": holm}


_UNKNOWN: dict[str, Any] = {
    "scale": None, "unknown": 100, "disagreeing": 0, "least": 20, "groups": {},
    "compared_groups": [], "compared_classes": [], "gaps": {},
}  # fmt: skip
_EARLY, _LATE = {"value": 0.9, "low": 0.8, "high": 0.95}, {"value": 0.7, "low": 0.6, "high": 0.8}
_NONE = dict.fromkeys(("low", "high", "p_value", "p_holm"))

SUBGROUPS: dict[str, Any] = {
    "skin_tone": _UNKNOWN,
    "sex": {
        **_UNKNOWN,
        "unknown": 7,
        "disagreeing": 2,
        "groups": {
            "female": _group(40, 0.6, _EARLY, 0.1, 0.75),
            "male": _group(50, 0.8, _LATE, 0.2, 0.76),
            "other": {"n": 3, "patients": 3, "too_few": True},
        },
        "compared_groups": ["female", "male"],
        "compared_classes": [CLASSES[0], HOSTILE],
        "gaps": {m: _gap(0.01, 0.11, 0.8, 1.0) for m in METRICS}
        | {
            "accuracy": _gap(0.2, 0.15, 0.004, 0.036),
            ECE: {"a": "female", "b": "male", "value": 0.1, **_NONE},
        },
    },
    "age": _UNKNOWN,
    "site": _UNKNOWN,
    "source": {**_UNKNOWN, "unknown": 0, "groups": {HOSTILE: _group(100, 0.7, _LATE, 0.1, None)}},
}
