"""Fits what tells pictures unlike the training part: Gaussians on training, thresholds on validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from sklearn.covariance import LedoitWolf

from dermapair.data.lesions import Lesions
from dermapair.data.store import PixelSource
from dermapair.inference.decisions import OutsideRule, OutsideView
from dermapair.inference.forward import Scorer
from dermapair.inference.ood import Gaussian, Outside
from dermapair.inference.scores import Array
from dermapair.types import VIEWS, View

MOST = 2048
"""Training lesions that Gaussians are fitted on; of more, so many are drawn."""


def with_gaussians(scorer: Scorer, lesions: Lesions, source: PixelSource, *, seed: int) -> Scorer:
    """Return a scorer that also says how unlike training each lesion is.

    Args:
        scorer: of the network that sees the whole image: the only one, or stage one.
        lesions: of the training part; one image of each view is taken.
        source: of their pixels.
        seed: of the draw.
    """
    rng = np.random.default_rng([seed, 6151])
    if len(lesions) > MOST:
        lesions = lesions.take(np.sort(rng.choice(len(lesions), MOST, replace=False)))
    lesions, network = lesions.one_image_each(seed=seed), scorer.network
    own = _gaussians(scorer, lesions, source)
    if len(network.views) < len(VIEWS):
        return replace(scorer, outside=Outside(own))
    if len(network.trunks) == 1:  # in the wrong slot a picture has the same features
        other = {a: own[b] for a, b in zip(VIEWS, VIEWS[::-1], strict=True) if b in own}
    else:
        other = _gaussians(scorer, lesions.swapped(), source)
    return replace(scorer, outside=Outside(own, other))


def _gaussians(scorer: Scorer, lesions: Lesions, source: PixelSource) -> dict[View, Gaussian]:
    """Return the Gaussian of what is in each view's slot, as far as its images differ enough to have one."""
    found: dict[View, list[Array]] = {}
    for features in scorer.features(lesions, source):
        for view, values in features.items():
            found.setdefault(view, []).append(values)
    each = {view: np.concatenate(values) for view, values in found.items()}
    fitted = {view: gaussian(x) for view, x in each.items()}
    return {view: of for view, of in fitted.items() if of is not None}


def gaussian(features: Array) -> Gaussian | None:
    """Return the Gaussian of features (n, D); its covariance is shrunk (Ledoit & Wolf 2004).

    None where there are too few images, or all are alike, so that the covariance has no inverse.
    """
    if len(features) < 3:
        return None
    fitted = LedoitWolf().fit(features)
    try:
        whitening = np.linalg.cholesky(fitted.precision_)
    except np.linalg.LinAlgError:
        return None
    return Gaussian(fitted.location_.astype(np.float32), whitening.astype(np.float32))


def fit_rule(
    outside: Outside, scores: Mapping[View, Array], *, allowed: float
) -> tuple[Outside, OutsideRule] | None:
    """Return what judges, and the thresholds that at most a share `allowed` of validation's lesions exceeds.

    Args:
        outside: with Gaussians.
        scores: by view, (N,) of validation's lesions, NaN where they lack it.
        allowed: in (0, 1).

    Returns:
        None where no view has images in both parts.
    """
    own = {view: np.sort(s[~np.isnan(s)]) for view, s in scores.items()}
    known = {view: own[view] for view in outside.own if len(own[view])}
    if not known:
        return None
    views = {
        view: OutsideView(
            threshold=float(s[-1 - int(allowed * len(s) + 1e-9)]),
            n_lesions=len(s),
            other=view in outside.other,
        )
        for view, s in known.items()
    }
    rule = OutsideRule(method="mahalanobis", allowed=allowed, views=views)
    return replace(outside, validation=known), rule
