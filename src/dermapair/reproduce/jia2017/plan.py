"""What the reproduction trains, as changes of one recipe, and what the paper says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dermapair.config import Recipe
from dermapair.reproduce.ablations import chosen

CLASSES = ("melanoma", "seborrheic_keratosis")
AUCS = ("melanoma_auc", "seborrheic_keratosis_auc", "mean_auc")
TABLE_1 = {"stage1": dict(zip(AUCS, (0.782, 0.860, 0.821), strict=True)),
           "stage2": dict(zip(AUCS, (0.807, 0.909, 0.858), strict=True))}  # fmt: skip
"""Stage -> AUC on the 150 validation images (Table 1); its row "Stage1,2" is our stage 2."""
TEST = dict(zip(AUCS, (0.804, 0.855, 0.829), strict=True))
"""The leaderboard on the 600 test images: the entry "x j, CVI", very likely the paper's authors."""
GAINS = {"abstract": (0.857, 0.04), "table": (0.858, 0.037)}
"""Mean AUC of both stages and its gain over stage 1, as the paper's abstract and table have it."""

FIRST, SECOND, CONTROL = "stage1", "stage2", "control"
SCRATCH = "scratch"
CROSS_FITTED = "crops cross-fitted"
FOLDS = 5

Keys = Mapping[str, Any]


@dataclass(frozen=True)
class First:
    """One training on whole images.

    Attributes:
        name: of its folder.
        keys: recipe keys that it changes, `section.key` -> value.
    """

    name: str
    keys: Keys


@dataclass(frozen=True)
class Second:
    """One training that goes on from a stage one, on the parts that its maps point at.

    Attributes:
        name: of its folder.
        first: of its stage one.
        keys: as for First.
        change: what an ablation changes; "" for the paper's.
        cross_fitted: training images are cut by runs that have not seen them.
    """

    name: str
    first: str
    keys: Keys
    change: str = ""
    cross_fitted: bool = False


@dataclass(frozen=True)
class Plan:
    """All trainings: those on whole images, those on parts, each after what it needs."""

    firsts: tuple[First, ...]
    seconds: tuple[Second, ...]

    @property
    def cross_fitted(self) -> bool:
        """Whether runs of a cross-validation inside the training part are needed."""
        return any(second.cross_fitted for second in self.seconds)


def planned(base: Recipe, ablations: tuple[str, ...]) -> Plan:
    """Return what is trained.

    Args:
        base: recipe of all.
        ablations: changes that are trained too, or how their names begin; ("all",) are all of them.

    Raises:
        UsageError: none begins so.
    """
    removed = base.data.hair != "none"
    other = "none" if removed else "dullrazor"
    hair = First("hair", {"data.hair": other})
    change = "hair left" if removed else "hair removed (dullrazor)"
    every = [
        Second("hair-2", hair.name, hair.keys, change),
        Second("threshold-2", FIRST, {"crop.threshold": _other(base.crop.threshold, 0.5)}, "crop threshold"),
        Second(
            "contrast-2", FIRST, {"crop.evidence": _other(base.crop.evidence, "contrast")}, "crop evidence"
        ),
        Second("margin-2", FIRST, {"crop.margin": _other(base.crop.margin, 0.3)}, "crop margin"),
        Second("fitted-2", FIRST, {}, CROSS_FITTED, cross_fitted=True),
    ]
    every = [Second(s.name, s.first, s.keys, _named(s), s.cross_fitted) for s in every]
    scratch = First(
        SCRATCH, {"network.weights": "none", "train.unfold_batch_norm": False, "train.freeze_until": ""}
    )
    trained = chosen(every, ablations)
    firsts = [First(FIRST, {}), *([scratch] if ablations else [])]
    firsts += [hair] if any(second.first == hair.name for second in trained) else []
    seconds = [Second(SECOND, FIRST, {}), Second(CONTROL, FIRST, {"crop.whole": 0.0})]
    return Plan(tuple(firsts), (*seconds, *trained))


def _other(value: Any, choice: Any) -> Any:
    """Return an ablation's value, or where the base has it already the recipe's default."""
    defaults = {0.5: 0.2, "contrast": "predicted", 0.3: 0.1}
    return defaults[choice] if value == choice else choice


def _named(second: Second) -> str:
    """Return what tables call a change: its name and the value."""
    values = [str(value) for key, value in second.keys.items() if key.startswith("crop.")]
    return " ".join([second.change, *values])


def recipe_of(base: Recipe, name: str, *changes: Keys) -> Recipe:
    """Return the recipe of one training: the base with some keys changed."""
    values = base.model_dump()
    values["name"] = f"jia2017: {name}"
    for keys in changes:
        for dotted, value in keys.items():
            section, key = dotted.split(".")
            values[section][key] = value
    return Recipe.model_validate(values)
