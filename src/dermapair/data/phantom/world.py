"""The phantom world: which diagnoses exist, what they look like, how likely, and how well one can do.

A diagnosis is drawn from its prior, then each attribute independently from a categorical that the
diagnosis fixes, so the best accuracy that any classifier can reach is known exactly. Drawing the
attributes into pictures is left to the siblings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from dermapair.errors import UsageError, unknown_choice

Floats = NDArray[np.float64]

CLINICAL, DERMOSCOPIC = "clinical", "dermoscopic"
VIEWS = (CLINICAL, DERMOSCOPIC)
READOUTS: dict[str, tuple[str, ...]] = {
    CLINICAL: (CLINICAL,),
    DERMOSCOPIC: (DERMOSCOPIC,),
    "cross": VIEWS,
    "both": VIEWS,
}
"""The views that each readout sees."""


@dataclass(frozen=True)
class Attribute:
    """One discrete property of a lesion: its values and the views in which it shows."""

    name: str
    values: tuple[str, ...]
    views: tuple[str, ...]


@dataclass(frozen=True)
class Diagnosis:
    """One diagnosis: code, name, prior, and for each attribute the probabilities of some values.

    Values that `looks` does not list share what is left of 1 equally.
    """

    code: str
    name: str
    prior: float
    cancer: bool
    looks: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class World:
    """Diagnoses, in class order, and attributes.

    Raises:
        UsageError: the priors or the probabilities of one attribute do not sum to 1, or a name is unknown.
    """

    diagnoses: tuple[Diagnosis, ...]
    attributes: tuple[Attribute, ...]

    def __post_init__(self) -> None:
        known = {a.name for a in self.attributes}
        for diagnosis in self.diagnoses:
            for name in set(diagnosis.looks) - known:
                raise UsageError(f"diagnosis {diagnosis.code}: {unknown_choice('attribute', name, known)}")
            for attribute in self.attributes:
                _probabilities(diagnosis, attribute)
        if abs(self.priors.sum() - 1) > 1e-9:
            raise UsageError(
                f"priors must sum to 1, got {self.priors.sum():.6g}; change the diagnoses' priors"
            )

    @property
    def priors(self) -> Floats:
        """P(diagnosis), (K,)."""
        return np.array([d.prior for d in self.diagnoses])

    def table(self, attribute: Attribute) -> Floats:
        """P(value | diagnosis), (K, number of values)."""
        return np.array([_probabilities(d, attribute) for d in self.diagnoses])

    def visible(self, readout: str) -> tuple[Attribute, ...]:
        """Return the attributes that a readout sees.

        Raises:
            UsageError: the readout is unknown.
        """
        if readout not in READOUTS:
            raise UsageError(unknown_choice("readout", readout, READOUTS))
        return tuple(a for a in self.attributes if set(a.views) & set(READOUTS[readout]))


def _probabilities(diagnosis: Diagnosis, attribute: Attribute) -> list[float]:
    listed = diagnosis.looks.get(attribute.name, {})
    for value in set(listed) - set(attribute.values):
        raise UsageError(
            f"diagnosis {diagnosis.code}: {unknown_choice(attribute.name, value, attribute.values)}"
        )
    others = len(attribute.values) - len(listed)
    left = 1.0 - sum(listed.values())
    if left < -1e-9 or (not others and abs(left) > 1e-9):
        raise UsageError(
            f"diagnosis {diagnosis.code}: the probabilities of {attribute.name} must sum to 1, "
            f"got {1 - left:.6g}; change its looks"
        )
    return [listed.get(value, max(left, 0.0) / others if others else 0.0) for value in attribute.values]


def joint(world: World, readout: str) -> Floats:
    """Return P(diagnosis, combination) of every combination that a readout can see, (K, combinations)."""
    start = world.priors[:, None]
    tables = (world.table(a) for a in world.visible(readout))
    return reduce(lambda p, t: (p[:, :, None] * t[:, None, :]).reshape(len(p), -1), tables, start)


def sample(world: World, rng: np.random.Generator) -> tuple[Diagnosis, dict[str, str]]:
    """Draw a diagnosis and its attributes."""
    diagnosis = world.diagnoses[rng.choice(len(world.diagnoses), p=world.priors)]
    draws = {a.name: rng.choice(a.values, p=_probabilities(diagnosis, a)) for a in world.attributes}
    return diagnosis, {name: str(value) for name, value in draws.items()}


# ---- The built-in world: the diagnoses of Ge et al. 2017, section 3, in a fixed class order ----

ATTRIBUTES = (
    Attribute("colour", ("brown", "dark", "red", "blue", "yellow"), VIEWS),
    Attribute("border", ("regular", "irregular"), VIEWS),
    Attribute("elevation", ("flat", "raised", "nodule"), (CLINICAL,)),
    Attribute("surface", ("smooth", "scaly", "crusted"), (CLINICAL,)),
    Attribute("surroundings", ("plain", "reddened", "freckled"), (CLINICAL,)),
    Attribute("pattern", ("structureless", "network", "globules", "streaks", "ridges"), (DERMOSCOPIC,)),
    Attribute("vessels", ("none", "arborising", "dotted"), (DERMOSCOPIC,)),
    Attribute("white", ("none", "cysts", "scar", "veil"), (DERMOSCOPIC,)),
)


def _diagnosis(
    name: str, prior: float, *looks: str, code: str | None = None, cancer: bool = False
) -> Diagnosis:
    """Read looks such as "dark .8 brown .1", one text per attribute, in the order of `ATTRIBUTES`."""
    pairs = [text.split() for text in looks]
    weights = [{v: float(p) for v, p in zip(words[::2], words[1::2], strict=True)} for words in pairs]
    by_name = dict(zip((a.name for a in ATTRIBUTES), weights, strict=True))
    return Diagnosis(code or name.lower().replace(" ", "_"), name, prior, cancer, by_name)


# fmt: off
PHANTOM = World((
    _diagnosis("Melanoma", .10, "dark .5 brown .3 blue .16", "irregular .8", "raised .85 flat .1",
               "smooth .75 scaly .2", "plain .85", "streaks .62 network .3", "none .94", "veil .85",
               cancer=True),
    _diagnosis("Basal Cell Carcinoma", .10, "red .85 yellow .1", "regular .6", "nodule .85 raised .1",
               "crusted .6 smooth .36", "freckled .4 reddened .36", "structureless .9",
               "arborising .9 dotted .06", "none .9", code="bcc", cancer=True),
    _diagnosis("Squamous Cell Carcinoma", .07, "red .85 yellow .1", "irregular .85", "nodule .9",
               "crusted .85 scaly .12", "reddened .5 freckled .36", "structureless .9",
               "dotted .8 arborising .15", "none .5 scar .46", code="scc", cancer=True),
    _diagnosis("Actinic Keratosis", .07, "red .86 yellow .1", "irregular .85", "flat .88", "scaly .9",
               "freckled .8 reddened .16", "network .5 structureless .46", "none .5 dotted .46", "none .92"),
    _diagnosis("Blue Naevus", .06, "blue .55 dark .4", "regular .75", "raised .92", "smooth .95", "plain .92",
               "structureless .92", "none .95", "none .5 veil .46"),
    _diagnosis("Bowens Disease", .06, "red .88", "irregular .85", "flat .9", "scaly .84 crusted .12",
               "reddened .85 freckled .1", "structureless .88", "dotted .9", "none .7 scar .26"),
    _diagnosis("Compound Naevus", .08, "brown .85 dark .12", "regular .9", "raised .92", "smooth .95",
               "plain .92", "globules .8 network .16", "none .95", "none .94"),
    _diagnosis("Dermal Naevus", .07, "yellow .5 brown .46", "regular .92", "nodule .92", "smooth .95",
               "plain .92", "globules .85 structureless .1", "none .62 arborising .34", "none .92"),
    _diagnosis("Dermatofibroma", .06, "brown .88 red .08", "regular .9", "raised .92", "smooth .9 scaly .07",
               "plain .8 reddened .16", "network .9", "none .94", "scar .85 none .1"),
    _diagnosis("Hemangioma", .06, "red .85 blue .1", "regular .9", "nodule .8 raised .16",
               "smooth .75 crusted .2", "plain .7 freckled .2", "globules .92", "none .94", "none .92"),
    _diagnosis("Junctional Naevus", .07, "brown .85 dark .12", "regular .9", "flat .94", "smooth .95",
               "plain .92", "network .6 globules .36", "none .95", "none .92"),
    _diagnosis("Keratotic Lesion", .05, "brown .6 yellow .36", "irregular .8", "raised .92",
               "scaly .8 smooth .16", "plain .7 freckled .26", "structureless .65 ridges .3", "none .92",
               "scar .6 cysts .34"),
    _diagnosis("Seborrheic Keratosis", .07, "brown .7 dark .26", "irregular .8", "raised .92",
               "scaly .6 smooth .36", "plain .6 freckled .36", "ridges .85 structureless .1", "none .95",
               "cysts .6 none .36"),
    _diagnosis("Sebaceous Hyperplasia", .04, "yellow .94", "regular .92", "raised .92", "smooth .94",
               "freckled .6 plain .36", "globules .8 structureless .16", "arborising .5 none .46",
               "cysts .5 none .46"),
    _diagnosis("Solar Lentigo", .04, "brown .92", "irregular .8", "flat .95", "smooth .94", "freckled .9",
               "ridges .8 network .16", "none .95", "none .7 cysts .26"),
), ATTRIBUTES)
# fmt: on


def bayes_accuracies(world: World = PHANTOM) -> dict[str, float]:
    """Return by readout the accuracy that no classifier can exceed.

    It is the sum of max_d P(d, c) over all combinations c of attribute values that the readout sees.
    """
    return {readout: float(joint(world, readout).max(axis=0).sum()) for readout in READOUTS}


def cancer_bayes_accuracies(world: World = PHANTOM) -> dict[str, float]:
    """Return by readout the best accuracy of the two-class task cancer against the rest."""
    cancer = np.array([d.cancer for d in world.diagnoses])
    tables = {readout: joint(world, readout) for readout in READOUTS}
    return {r: float(np.maximum(p[cancer].sum(0), p[~cancer].sum(0)).sum()) for r, p in tables.items()}


def posterior(attributes: Mapping[str, str], visible: str, world: World = PHANTOM) -> Floats:
    """Return P(diagnosis | the attributes that a readout sees), (K,), in class order.

    Args:
        attributes: value by name; those that the readout does not see may be absent.
        visible: a readout: clinical, dermoscopic, cross or both.
        world: the probabilities.

    Raises:
        UsageError: a value is unknown or missing, or the combination cannot occur.
    """
    p = world.priors
    for attribute in world.visible(visible):
        value = attributes.get(attribute.name)
        if value not in attribute.values:
            raise UsageError(unknown_choice(attribute.name, value, attribute.values))
        p = p * world.table(attribute)[:, attribute.values.index(value)]
    if not p.sum():
        raise UsageError(f"no diagnosis of this world can look like {dict(attributes)}; check the attributes")
    return np.asarray(p / p.sum())
