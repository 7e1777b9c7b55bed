"""What the limits of a report say of groups, thresholds and unfamiliar images."""

from __future__ import annotations

import json

import pytest

from dermapair.report.limits import limits
from dermapair.report.read import read_run
from report.grouped import SUBGROUPS
from report.run_folder import make_run, manifest


@pytest.fixture
def limits_of(tmp_path):
    """Return the limits, as one text, of a run whose results have these keys besides."""

    def of(**keys: object) -> str:
        run = make_run(tmp_path / "run")
        path = run / "results.json"
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | keys), encoding="utf-8")
        told = manifest()
        return "\n".join(limits(read_run(run, manifest=told | {"data": told["data"] | {"adapter": "own"}})))

    return of


def test_without_groups_the_source_is_not_broken_down(limits_of):
    text = limits_of()
    assert "the results are not broken down by skin tone, age or sex" in text
    assert "chosen on validation lesions of this source" not in text
    assert "unlike those it was trained on is unknown" in text


def test_compared_small_and_unknown_groups_are_named(limits_of):
    text = limits_of(subgroups=SUBGROUPS)
    assert "within it the results are broken down by sex." in text
    assert "not broken down" not in text
    assert "Too few lesions to be measured as a group: sex other (3)." in text
    assert "Not recorded, and so not compared: skin tone, age, site." in text


def test_thresholds_hold_at_their_source_and_prevalence(limits_of):
    text = limits_of(operating_points={"mel_youden": {}})
    assert "chosen on validation lesions of this source" in text
    assert "PPV and NPV hold at this part's share of cases only." in text


def test_measured_unfamiliar_images_are_not_called_unknown(limits_of):
    text = limits_of(outside={"method": "mahalanobis", "views": {}})
    assert "unlike those it was trained on" not in text
