"""Networks on pairs of images, built from parts: trunk, pooling, head and third sub-network."""

from dermapair.models.build import NETWORKS, build_network
from dermapair.models.networks import Output, PairNet, ShareNet, SingleNet, SoleNet, TripleNet
from dermapair.models.poolings import POOLINGS
from dermapair.models.trunk import BACKBONES, Trunk, build_trunk

__all__ = [
    "BACKBONES",
    "NETWORKS",
    "POOLINGS",
    "Output",
    "PairNet",
    "ShareNet",
    "SingleNet",
    "SoleNet",
    "TripleNet",
    "Trunk",
    "build_network",
    "build_trunk",
]
