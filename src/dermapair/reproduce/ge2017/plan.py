"""Which networks the reproduction trains, as changes of one recipe, and what the paper says of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dermapair.config import Recipe
from dermapair.errors import UsageError, unknown_choice
from dermapair.reproduce.ablations import chosen

SOLE, SHARE, TRIPLE = "Sole-Net", "Share-Net", "Triple-Net"
SHARE_CAM, TRIPLE_CAM = "Share-Net + CAM-BP", "Triple-Net + CAM-BP"
RESNET, RESNET_BP = "ResNet", "ResNet-BP"
CAM_NETWORK = "CAM network"

TABLE_1: dict[str, dict[str, float]] = {
    SOLE: {"clinical": 0.522, "dermoscopic": 0.531, "both": 0.612},
    SHARE: {"clinical": 0.541, "dermoscopic": 0.550, "both": 0.629},
    TRIPLE: {"clinical": 0.594, "dermoscopic": 0.601, "both": 0.682},
    SHARE_CAM: {"clinical": 0.581, "dermoscopic": 0.574, "both": 0.646},
    TRIPLE_CAM: {"clinical": 0.612, "dermoscopic": 0.613, "both": 0.700},
}
"""Network -> readout -> accuracy on 15 classes (Table 1); the paper's rows "Cross" are our `both`."""

TASKS = {"all classes": 0.700, "cancer against the rest": 0.820, "melanoma against benign": 0.966}
"""Figure 4, left: accuracy of Triple-Net + CAM-BP with both views."""

CANCERS: dict[str, tuple[str, ...]] = {
    "milk10k": ("BCC", "MEL", "SCCKA", "MAL_OTH"),
    "phantom": ("melanoma", "bcc", "scc"),
    "isic2017": ("melanoma",),
}
MELANOMA = {"milk10k": "MEL", "phantom": "melanoma", "isic2017": "melanoma"}
"""By adapter, the diagnoses that count as cancer (the paper's: melanoma, BCC and SCC; AKIEC is benign)."""


@dataclass(frozen=True)
class Planned:
    """One training.

    Attributes:
        network: what tables call it.
        change: what an ablation changes; "" for the networks of the tables.
        seed: of the training.
        keys: recipe keys that it changes, `section.key` -> value.
        needs_maps: it takes its maps from another training of the same seed (`maps_of`).
    """

    network: str
    seed: int
    keys: Mapping[str, object]
    change: str = ""
    needs_maps: bool = False

    @property
    def folder(self) -> str:
        """Name of its run folder."""
        words = f"{self.network} {self.change}".lower().replace("+", " ")
        safe = "".join(c if c.isalnum() or c in "._-" else " " for c in words)
        return "-".join([*safe.split(), f"seed{self.seed}"])


@dataclass(frozen=True)
class Choices:
    """What the command leaves open.

    Attributes:
        seeds: trainings of each network of Table 1; all else is trained with the first.
        comparator: backbone of "ResNet" and "ResNet-BP".
        cam_backbone: of the CAM network; "" is the paper's GoogLeNet cut after inception4e, and that of the
            base recipe, as it is cut there, makes Sole-Net the CAM network.
        ablations: names of the changes that are trained too, or how these begin; ("all",) are all of them.
    """

    seeds: tuple[int, ...]
    comparator: str
    cam_backbone: str
    ablations: tuple[str, ...]


def planned(base: Recipe, choices: Choices) -> list[Planned]:
    """Return all trainings, each after the one whose maps it needs.

    A CAM network with the trunk of all others is Sole-Net under another name, and is not trained twice.
    """
    result = []
    for seed in choices.seeds:
        if choices.cam_backbone != base.network.backbone:
            result.append(Planned(CAM_NETWORK, seed, _cam_keys(choices.cam_backbone)))
        result += [Planned(name, seed, {"network.kind": kind}) for name, kind in _PLAIN.items()]
        result += [_weighted(name, seed) for name in (SHARE_CAM, TRIPLE_CAM)]
    first = choices.seeds[0]
    resnet: dict[str, object] = {"network.kind": "sole", "network.backbone": choices.comparator}
    result += [
        Planned(RESNET, first, resnet),
        Planned(RESNET_BP, first, resnet | {"network.pooling": "bp"} | _PROJECTED),
    ]
    return result + chosen(_ablations(base, first), choices.ablations)


_PLAIN = {SOLE: "sole", SHARE: "share", TRIPLE: "triple"}
_POOLED_PLAINLY = {"pooling": "gap", "pool_at": "all"}
_KINDS = {SHARE_CAM: "share", TRIPLE_CAM: "triple"}
_PROJECTED: dict[str, object] = {"network.project": 128}


def _weighted(name: str, seed: int, change: str = "", **keys: object) -> Planned:
    changed = {f"network.{key}": value for key, value in keys.items()}
    weighted = {"network.kind": _KINDS[name], "network.pooling": "cam_bp"} | _PROJECTED
    from_run = keys.get("cam_source") != "self" and keys.get("pooling", "cam_bp") == "cam_bp"
    return Planned(name, seed, weighted | changed, change, needs_maps=from_run)


def _cam_keys(backbone: str) -> Mapping[str, object]:
    """Return the keys of the CAM network: one for each view, as the paper trains them "individually"."""
    googlenet = {"network.backbone": "googlenet", "network.cut": "inception4e", "network.extra": 1024}
    return {"network.kind": "sole"} | ({"network.backbone": backbone} if backbone else googlenet)


def _ablations(base: Recipe, seed: int) -> list[Planned]:
    """Return one training for each change of Triple-Net with CAM-BP, and of Triple-Net."""
    network = base.network
    taps = ("stage4", "conv5_2", "conv5_3") if network.backbone == "vgg16" else ("stage-2", "stage-1")
    found = [
        _weighted(TRIPLE_CAM, seed, "plain bilinear pooling", pooling="bp"),
        *(_weighted(TRIPLE_CAM, seed, f"classes {rule}", cam_classes=rule) for rule in _RULES),
        _weighted(TRIPLE_CAM, seed, "maps of its own", cam_source="self"),
    ]
    triple: dict[str, object] = {"network.kind": "triple"}
    found += [
        Planned(TRIPLE, seed, triple | {"network.tap": tap}, f"tap {tap}")
        for tap in taps
        if tap != network.tap
    ]
    found += [
        Planned(TRIPLE, seed, triple | {"loss.kind": kind}, f"loss {kind}")
        for kind in ("l2", "ce")
        if kind != base.loss.kind
    ]
    found += [
        Planned(TRIPLE, seed, triple | {"loss.alpha": alpha}, f"alpha {alpha}")
        for alpha in (0.5, 1.0, 1.5, 3.0)
        if alpha != base.loss.alpha
    ]
    if network.backbone == "vgg16":
        found.append(Planned(TRIPLE, seed, triple | {"network.head": "fc4096"}, "head fc4096"))
    return found


_RULES = ("plain-sum", "predicted", "probability-weighted")


def maps_of(run: Planned, runs: Sequence[Planned]) -> Planned:
    """Return the training of the same seed whose maps a run takes: the CAM network, else Sole-Net."""
    there = {r.network: r for r in runs if r.seed == run.seed and not r.change}
    return there.get(CAM_NETWORK, there[SOLE])


def recipe_of(base: Recipe, run: Planned, *, maps: str) -> Recipe:
    """Return the recipe of one training.

    Args:
        base: of all.
        run: which one.
        maps: folder of the CAM network's run.
    """
    values = base.model_dump()
    values["network"] |= _POOLED_PLAINLY  # whatever the base says: a row is what its name says
    values["name"], values["seed"] = f"ge2017: {run.network} {run.change}".strip(), run.seed
    if "network.backbone" in run.keys:  # stages have other names there
        values["network"] |= {"tap": "stage-2", "cut": "", "extra": 0}
    for name, value in run.keys.items():
        section, key = name.split(".")
        values[section][key] = value
    if run.needs_maps:
        values["network"]["cam_source"] = maps
    return Recipe.model_validate(values)


def grouping(
    adapter: str, classes: Sequence[str], cancers: Sequence[str], melanoma: str
) -> tuple[list[str], str]:
    """Return the classes that count as cancer and the one that is melanoma.

    Args:
        adapter: of the case table.
        classes: of the task.
        cancers: given by the user; empty takes those known for the adapter.
        melanoma: likewise.

    Raises:
        UsageError: none is known, or one is no class.
    """
    named = list(cancers or CANCERS.get(adapter, ()))
    one = melanoma or MELANOMA.get(adapter, "")
    if not named or not one:
        raise UsageError(
            f"expected --cancers and --melanoma for data of the adapter {adapter!r}, whose classes are "
            f"{', '.join(classes)}; give them"
        )
    for name in (*named, one):
        if name not in classes:
            raise UsageError(unknown_choice("class", name, classes))
    if one not in named:
        raise UsageError(
            f"--melanoma: expected one of the cancers {', '.join(named)}, got {one!r}; correct it"
        )
    return named, one
