"""Near duplicates: pairs of images that show the same picture, whatever was done to one of them.

Found in spite of another size, JPEG quality, brightness or tint, of mirroring and quarter turns, and of small
shifts, stretches and cuts at the border. Three steps on grey thumbnails, each on what the one before leaves:

1. magnitudes of the lowest frequencies, which mirroring and quarter turns do not change; their nearest
   neighbours only are looked at further;
2. correlation of the low frequencies in the best of eight orientations;
3. the two thumbnails registered by an affine map (ECC, Evangelidis & Psarakis 2008), first at half their
   size, and their details correlated where both are lit, so that the black corners of a dermoscope make
   nothing alike.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import scipy.fft
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from dermapair.data.cases import CaseTable
from dermapair.data.fingerprints import SIDE, thumbnails
from dermapair.errors import DermapairError

MAGNITUDES = 8
"""Frequencies of each direction in step 1."""
RADIUS = 0.25
"""Largest distance of the unit vectors of magnitudes."""
NEIGHBOURS = 32
"""Most neighbours of an image that are looked at: bounds time and memory."""
FREQUENCIES = 12
"""Frequencies of each direction in step 2."""
ALIKE = 0.95
"""Least correlation in step 2."""
PROMISING = 0.8
"""Least correlation in step 3 at half the size."""
SAME = 0.93
"""Least correlation in step 3: just above the pairs of real sets that are different lesions."""
EXACT, FADED = 0.985, 0.8
"""Or else, least correlations in steps 2 and 3: of a copy that lies as it did but lost details."""
EVEN = 0.7
"""Details count by this power of their strength, so that the edge of one dark spot is not all that counts."""
STRETCH = 0.2
"""Largest stretch or shrinkage by the affine map of step 3."""
DARK = 45
"""Grey values up to this are the unlit corners of a dermoscope, where they touch the border."""
CHUNK = 8192

Float = NDArray[np.float32]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """M pairs of images that show the same picture.

    Attributes:
        rows: (M, 2) rows i < j, ascending.
        scores: (M,) correlation of the details after registration, 1 where the thumbnails are equal.
        equal: (M,) whether the thumbnails are equal.
        turns: (M,) which of the eight orientations of image j looks like image i, see `turned`.
    """

    rows: Index
    scores: Float
    equal: NDArray[np.bool_]
    turns: Index

    def __len__(self) -> int:
        return len(self.rows)


class NearDuplicates(NamedTuple):
    """What a table holds twice.

    Attributes:
        pairs: rows (i < j) that show the same picture.
        unreadable: rows of images that cannot be read, and so are in no pair.
    """

    pairs: list[tuple[int, int]]
    unreadable: list[int]


def near_duplicates(table: CaseTable) -> NearDuplicates:
    """Return the pairs of rows that show the same picture; images of one colour are in none.

    Raises:
        DermapairError: no image can be read.
    """
    grey, unreadable = thumbnails(table)
    if len(unreadable) == len(grey):
        raise DermapairError(
            f"{table.folder or table.root}: none of its {len(grey)} images can be read, so near duplicates "
            f"cannot be found; check that they still lie in {table.root}"
        )
    pairs = [(i, j) for i, j in similar_pictures(grey).rows.tolist()]
    return NearDuplicates(pairs, unreadable)


def similar_pictures(grey: NDArray[np.uint8]) -> Pairs:
    """Return the pairs of thumbnails that show the same picture.

    Of n equal thumbnails the first makes n - 1 pairs, and the first alone is compared with others. An image
    with more than `NEIGHBOURS` near duplicates may be paired with its nearest only.

    Args:
        grey: (N, SIDE, SIDE) grey values; one of a single value is in no pair.
    """
    flat = grey.reshape(-1, SIDE * SIDE)
    seen = np.flatnonzero(flat.min(1, initial=255) != flat.max(1, initial=0))
    first_of, copies = _equal(flat[seen])
    firsts, copies = seen[first_of], seen[copies]
    spectra = spectrum(grey[firsts])
    rows, turns, low = _alike(spectra, neighbours(magnitudes(spectra)))
    promising = _half_registered(grey[firsts], rows, turns) >= PROMISING
    rows, turns, low = rows[promising], turns[promising], low[promising]
    scores = _in_threads(
        lambda i, j, turn: registered(grey[firsts[i]], grey[firsts[j]], turn=turn), rows, turns
    )
    same = (scores >= SAME) | ((low >= EXACT) & (scores >= FADED))
    found = np.concatenate([firsts[rows[same]], copies]).reshape(-1, 2)
    scores = np.concatenate([scores[same], np.ones(len(copies), dtype=np.float32)])
    turns = np.concatenate([turns[same], np.zeros(len(copies), dtype=np.int64)])
    equal = np.arange(len(found)) >= same.sum()
    order = np.lexsort((found[:, 1], found[:, 0]))
    return Pairs(found[order], scores[order], equal[order], turns[order])


def _equal(flat: NDArray[np.uint8]) -> tuple[Index, Index]:
    """Return the first row of each kind, and (first, other) pairs of equal rows."""
    seen: dict[bytes, int] = {}
    of = [
        seen.setdefault(hashlib.blake2b(row.data, digest_size=16).digest(), i) for i, row in enumerate(flat)
    ]
    pairs = [(first, row) for row, first in enumerate(of) if first != row]
    return np.array(list(seen.values()), dtype=np.int64), np.array(pairs, dtype=np.int64).reshape(-1, 2)


def spectrum(grey: NDArray[np.uint8]) -> Float:
    """Return (N, FREQUENCIES, FREQUENCIES) of the cosine transform without its mean, each of length 1."""
    result = np.empty((len(grey), FREQUENCIES, FREQUENCIES), dtype=np.float32)
    for start in range(0, len(grey), CHUNK):
        part = grey[start : start + CHUNK].astype(np.float32)
        low = scipy.fft.dctn(part, axes=(1, 2), norm="ortho")[:, :FREQUENCIES, :FREQUENCIES]
        low[:, 0, 0] = 0
        result[start : start + CHUNK] = low / np.maximum(_lengths(low), 1e-6)
    return result


def _lengths(spectra: Float) -> Float:
    lengths: Float = np.linalg.norm(spectra, axis=(1, 2), keepdims=True)
    return lengths


def magnitudes(spectra: Float) -> Float:
    """Return (N, MAGNITUDES squared - 1) numbers that mirroring and quarter turns leave as they are.

    Mirroring changes signs of a cosine transform, transposing exchanges its two directions. So the larger and
    the smaller magnitude of each two exchanged places remain. No two images are farther apart by these than
    their spectra are in any orientation.
    """
    low = np.abs(spectra[:, :MAGNITUDES, :MAGNITUDES])
    low = low / np.maximum(_lengths(low), 1e-6)
    i, j = np.triu_indices(MAGNITUDES, k=1)
    one, other, diagonal = low[:, i, j], low[:, j, i], low[:, range(1, MAGNITUDES), range(1, MAGNITUDES)]
    return np.concatenate([diagonal, np.maximum(one, other), np.minimum(one, other)], axis=1)


def neighbours(points: Float) -> Index:
    """Return (P, 2) pairs i < j of points within `RADIUS`, of each point at most its nearest `NEIGHBOURS`."""
    k = min(NEIGHBOURS, len(points) - 1)
    if k < 1:
        return np.empty((0, 2), dtype=np.int64)
    distances, near = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(points).kneighbors()
    own, place = np.nonzero(distances <= RADIUS)
    pairs: Index = np.unique(np.sort(np.stack([own, near[own, place]], axis=1), axis=1), axis=0)
    return pairs


def _alike(spectra: Float, pairs: Index) -> tuple[Index, Index, Float]:
    """Return the pairs whose spectra correlate in some orientation, in which, and how well."""
    sign = (-1.0) ** np.arange(FREQUENCIES, dtype=np.float32)
    plain = np.ones_like(sign)
    signs = np.stack([np.outer(down, across) for down in (plain, sign) for across in (plain, sign)])
    signs = signs.reshape(4, -1).T
    kept, turns, best = [np.empty((0, 2), np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    for start in range(0, len(pairs), CHUNK):
        part = pairs[start : start + CHUNK]
        left, right = spectra[part[:, 0]], spectra[part[:, 1]]
        products = [left * right, left * right.transpose(0, 2, 1)]
        of_turn = np.concatenate([p.reshape(len(part), -1) @ signs for p in products], axis=1)
        alike = of_turn.max(1) >= ALIKE
        kept.append(part[alike])
        turns.append(of_turn.argmax(1)[alike])
        best.append(of_turn.max(1)[alike])
    return np.concatenate(kept), np.concatenate(turns), np.concatenate(best)


def turned(picture: NDArray[Any], turn: int) -> NDArray[Any]:
    """Return an H x W picture in one of its eight orientations.

    Args:
        picture: the picture.
        turn: 0 to 3: as it is, mirrored, upside down, half a turn; 4 to 7: the same of the transposed.
    """
    way = picture.T if turn >= 4 else picture
    return np.ascontiguousarray(way[:: -1 if turn & 2 else 1, :: -1 if turn & 1 else 1])


def registered(one: NDArray[np.uint8], other: NDArray[np.uint8], *, turn: int) -> float:
    """Return how well the details of two thumbnails correlate, the second turned and moved onto the first.

    Where no affine map within `STRETCH` is found, they are compared as they lie.

    Args:
        one: (SIDE, SIDE) grey values.
        other: likewise.
        turn: orientation of `other`, see `turned`.

    Returns:
        Correlation in [-1, 1]; 0 where less than a quarter of the picture is lit in both.
    """
    lit, moving_lit = _lit(one), _lit(turned(other, turn))
    return _registered(
        _details(one, lit), lit, _details(turned(other, turn), moving_lit), moving_lit, steps=20
    )


def _half_registered(grey: NDArray[np.uint8], rows: Index, turns: Index) -> Float:
    """Return what `registered` does for pairs of rows, at half the size in few steps: fast, less sure."""
    used, place = np.unique(rows, return_inverse=True)
    lit = [_lit(one) for one in grey[used]]
    details = [_halved(_details(one, where)) for one, where in zip(grey[used], lit, strict=True)]
    lit = [np.ascontiguousarray(one[::2, ::2]) for one in lit]

    def score(i: int, j: int, turn: int) -> float:
        return _registered(details[i], lit[i], turned(details[j], turn), turned(lit[j], turn), steps=5)

    return _in_threads(score, place.reshape(-1, 2), turns)


def _halved(picture: Float) -> Float:
    half = cv2.resize(picture, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(half, dtype=np.float32)


def _in_threads(score: Callable[[int, int, int], float], rows: Index, turns: Index) -> Float:
    """Return (M,) the score of each pair."""
    jobs = np.concatenate([rows, turns[:, None]], axis=1)
    parts = np.array_split(jobs, 1 + len(jobs) // 256)

    def scores(part: Index) -> list[float]:
        return [score(*job) for job in part.tolist()]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.array([one for part in pool.map(scores, parts) for one in part], dtype=np.float32)


def _registered(
    details: Float, lit: NDArray[np.uint8], moving: Float, moving_lit: NDArray[np.uint8], *, steps: int
) -> float:
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, steps, 1e-3)
    start = np.eye(2, 3, dtype=np.float32)
    blur = 3 if len(details) == SIDE else 1
    try:
        _, found = cv2.findTransformECC(details, moving, start, cv2.MOTION_AFFINE, stop, lit, blur)
    except cv2.error:  # it says so when it does not converge
        return _correlation(details, moving, lit & moving_lit)
    stretch = np.linalg.svd(found[:, :2], compute_uv=False)
    if np.abs(stretch - 1).max() > STRETCH:
        return _correlation(details, moving, lit & moving_lit)
    size = details.shape[::-1]
    moved = cv2.warpAffine(moving, found, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    seen = cv2.warpAffine(moving_lit, found, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
    return _correlation(details, np.asarray(moved, np.float32), lit & np.asarray(seen, np.uint8))


def _lit(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return 0 in dark parts that touch the border, and next to them, else 1."""
    _, parts = cv2.connectedComponents((grey <= DARK).astype(np.uint8))
    border = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    lit = (~np.isin(parts, border[border > 0])).astype(np.uint8)
    return np.asarray(cv2.erode(lit, np.ones((5, 5), dtype=np.uint8), borderValue=1), dtype=np.uint8)


def _details(grey: NDArray[np.uint8], lit: NDArray[np.uint8]) -> Float:
    """Return what is neither noise nor as large as the picture, as if nothing lay beyond the lit part."""
    weight = lit.astype(np.float32)
    values = grey * weight

    def mean(sigma: float) -> Float:
        blurred = cv2.GaussianBlur(values, (0, 0), sigma) / np.maximum(
            cv2.GaussianBlur(weight, (0, 0), sigma), 1e-6
        )
        return np.asarray(blurred, dtype=np.float32)

    return (mean(0.6) - mean(2.5)) * weight


def _correlation(one: Float, other: Float, where: NDArray[np.uint8]) -> float:
    seen = where > 0
    if seen.mean() < 0.25:
        return 0.0
    a, b = (np.copysign(np.abs(each[seen]) ** EVEN, each[seen]) for each in (one, other))
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-3))
