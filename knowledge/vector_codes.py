"""Vectors as bits: one a dimension, compared by counting those that differ.

A code holds the signs of a vector after the mean of its space was taken away and the rest was turned. Both are needed: embedding models
put everything into one corner (all signs alike), and latent semantic analysis most of the meaning into few dimensions (most signs noise).
After them bits are about as good for every model; Gao and Long, RaBitQ (2024), say why.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING

from .errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float32]
    Codes = NDArray[np.uint64]

_TILE = 16_384  # codes compared at a time: what is worked on stays in the processor's cache


def unit(vectors: ArrayLike, dimension: int) -> Floats:
    """Vectors at length 1.

    :param vectors: (n, dimension) numbers, of any length but zero.
    :raises InputError: another shape, a zero vector, or a number that is none.
    """
    import numpy as np

    with np.errstate(over="ignore"):
        given = np.asarray(vectors, np.float32)
    if given.ndim != 2 or given.shape[1] != dimension:
        raise InputError(
            f"Vectors of {given.shape[-1] if given.ndim else 0} numbers do not fit among those of {dimension}.",
            "Use the embedder that made those, or embed everything again.",
        )
    largest = np.abs(given).max(axis=1, keepdims=True, initial=0)
    if not np.isfinite(largest).all():
        raise InputError("A vector holds NaN or infinity.", "Embed the text again; a failing model makes such vectors.")
    if not largest.all():
        raise InputError(
            "A vector is all zeros and points nowhere.", "Leave out what the embedder can make nothing of."
        )
    scaled = given / largest  # so that no square is too large or too small
    length: Floats = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
    return length


def turned(vectors: Floats, centre: Floats) -> Floats:
    """The vectors seen from the centre, spread evenly over the dimensions: signs changed at random, Hartley transform, and both again.

    That is an orthogonal map which needs no matrix: distances stay, and every dimension gets an even share of each vector.
    """
    import numpy as np

    values = vectors - centre
    for signs in _signs(values.shape[1]):
        spectrum = np.fft.fft(values * signs, axis=1, norm="ortho")
        values = (spectrum.real - spectrum.imag).astype(np.float32)
    return values


@cache
def _signs(dimension: int) -> tuple[Floats, Floats]:
    """Two rows of 1 and -1, the same on every machine and with every version of numpy: codes outlive programs."""
    import numpy as np

    both = []
    for name in (b"first", b"second"):
        drawn = np.frombuffer(hashlib.shake_256(name).digest(-(-dimension // 8)), np.uint8)
        both.append(np.unpackbits(drawn, count=dimension).astype(np.float32) * 2 - 1)
    return both[0], both[1]


def words_of(dimension: int) -> int:
    """How many 64-bit words a code takes."""
    return -(-dimension // 64)


def encode(values: Floats) -> Codes:
    """The signs of turned vectors: (n, dimension) numbers to (n, words) words."""
    import numpy as np

    bits = np.packbits(values > 0, axis=1)
    padded = np.zeros((len(values), words_of(values.shape[1]) * 8), np.uint8)
    padded[:, : bits.shape[1]] = bits
    return padded.view(np.uint64)


def distances(codes: Codes, query: Codes) -> NDArray[np.uint16]:
    """In how many bits each code differs from the query's.

    :param codes: (words, n), a word of all codes together: so each step runs through memory in order.
    :param query: (words,).
    """
    import numpy as np

    count = codes.shape[1]
    total = np.zeros(count, np.uint16)
    differing, bits = np.empty(min(count, _TILE), np.uint64), np.empty(min(count, _TILE), np.uint8)
    for start in range(0, count, _TILE):
        part = total[start : start + _TILE]
        there, ones = differing[: len(part)], bits[: len(part)]
        for word, asked in zip(codes, query, strict=True):
            np.bitwise_xor(word[start : start + _TILE], asked, out=there)
            np.bitwise_count(there, out=ones)
            part += ones
    return total


def estimates(codes: Codes, query: Floats) -> Floats:
    """How similar each coded vector is to a turned query, up to a factor: the sum of the query's numbers where the signs are plus.

    What each byte of a code adds is looked up in a table made for the query: Jégou, Douze and Schmid, Product Quantization (2011).

    :param codes: (words, n).
    """
    import numpy as np

    read = np.ascontiguousarray(codes.T).view(np.uint8)
    width = read.shape[1]
    padded = np.zeros((width, 8), np.float32)
    padded.ravel()[: len(query)] = query
    patterns = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    # Not a matrix product: that would wake the threads of BLAS for nothing.
    table = np.einsum("wb,pb->wp", padded, patterns.astype(np.float32))
    similar: Floats = table.ravel().take(read + np.arange(width) * 256).sum(axis=1)
    return similar
