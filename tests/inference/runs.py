"""Run folders with an untrained tiny network: all that the predictor reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

import dermapair
from dermapair.data.cases import read_cases
from dermapair.data.store import open_pixels
from dermapair.inference.model import ModelFacts, save_model
from dermapair.inference.ood import save_outside
from dermapair.inference.scores import concatenate
from dermapair.models import build_network
from dermapair.training.outside import fit_rule, with_gaussians
from training.phantoms import tiny_recipe

CLASSES = ("cancer", "benign", 'odd, "name"')
GROUPS = {"cancer": ("melanoma", "bcc", "scc"), "benign": ("blue_naevus",)}


def tiny_facts(*, kind: str = "triple", view: str = "dermoscopic", **changes: Any) -> ModelFacts:
    """What `model.json` says of a tiny network of three classes."""
    network = tiny_recipe(network={"kind": kind, "view": view}).network
    views = (view,) if kind == "single" else ("clinical", "dermoscopic")
    readouts = (*views, "cross") if kind == "triple" else views
    facts: dict[str, Any] = {
        "recipe": "tiny",
        "task": "diagnosis",
        "classes": CLASSES,
        "class_of": {d: group for group, members in GROUPS.items() for d in members},
        "diagnoses": ("melanoma", "bcc", "scc", "blue_naevus"),
        "network": network,
        "data": {"size": 40, "input": 32},
        "predict": {},
        "combine_weights": dict(zip(readouts, (1.0, 2.0, 3.0), strict=False)),
        "precision": "fp32",
        "started_from": "random weights",
    }
    return ModelFacts.model_validate(facts | changes)


def save_tiny_run(folder: Path, *, seed: int = 0, **how: Any) -> Path:
    """Write the model files of a network whose readouts differ clearly."""
    facts = tiny_facts(**how)
    folder.mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_network(facts.network, len(facts.classes))
        for module in network.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=10.0)
    save_model(folder, network, facts)
    return folder


def let_judge(run: Path, cases: Path, *, allowed: float = 0.2) -> Path:
    """Let a run know its training part; so large a share of validation is flagged."""
    table, predictor = read_cases(cases), dermapair.load(run, device="cpu", precision="fp32")
    source = open_pixels(table, predictor.scorer.data)
    scorer = with_gaussians(predictor.scorer, predictor.lesions(table, split="train"), source, seed=0)
    found = concatenate(list(scorer.score(predictor.lesions(table, split="val"), source)))
    assert scorer.outside
    fitted = fit_rule(scorer.outside, found.outside, allowed=allowed)
    assert fitted
    save_outside(run, fitted[0])
    facts = predictor.facts.model_copy(update={"outside": fitted[1]})
    (run / "model.json").write_text(facts.model_dump_json(), encoding="utf-8")
    return run
