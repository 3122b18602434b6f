"""The null hypothesis: task labels exchanged at random. Everything that exchanges labels asks here.

If the labels do not matter, any exchange of them is as likely as the one observed. Where each
unit (a pair of prompts, a template) holds both labels, an exchange is a sign for each unit: +1
keeps its labels, -1 exchanges them. Where a unit holds one label only, labels are permuted among
the units of a block.

Two sources of randomness: a generator, where only this run draws; and the unit's name, where the
same unit has to be exchanged alike in two sets that hold it.
"""

import hashlib
from collections.abc import Collection, Mapping
from typing import TypeVar

import numpy as np
from jaxtyping import Int, Shaped

Label = TypeVar("Label")


def random_signs(
    block: Int[np.ndarray, " entry"], *, draws: int, seed: int
) -> Int[np.ndarray, "draw entry"]:
    """Rows of -1 and +1 from fair coins, one coin a block: entries of a block flip together.

    Args:
        block: Number of each entry's block, from 0; `np.arange(n)` where entries are the units.
        draws: Rows.
        seed: Of the coins; the same seed and number of blocks give the same coins.
    """
    blocks = int(block.max(initial=-1)) + 1
    coins = np.random.default_rng(seed).integers(0, 2, (draws, blocks))
    return np.asarray((2 * coins - 1)[:, block])


def permuted_within(
    values: Shaped[np.ndarray, " entry"],
    block: Shaped[np.ndarray, " entry"],
    *,
    draws: int,
    seed: int,
) -> Shaped[np.ndarray, "draw entry"]:
    """Rows of `values`, each permuted at random among the entries of one block.

    Args:
        values: The label of each entry.
        block: Name or number of each entry's block.
        draws: Rows.
        seed: Of the permutations.
    """
    number = np.unique(block, return_inverse=True)[1]
    generator = np.random.default_rng(seed)
    # Sorting by block plus a random fraction lists the entries of each block in random order.
    drawn = np.argsort(number + generator.random((draws, len(number))), axis=1)
    rows = np.empty((draws, len(values)), values.dtype)
    rows[:, np.argsort(number, kind="stable")] = values[drawn]
    return rows


def signs_by_name(names: Collection[str], *, share: float, seed: int) -> dict[str, int]:
    """-1 or +1 by name: a fair coin for `round(share * names)` of them, +1 for all others.

    Choice and coin depend on the name and the seed alone, whatever other names are given.
    """
    chosen = _chosen(names, share, seed)
    signs = dict.fromkeys(names, 1)
    return signs | {name: -1 for name in chosen if _random_bytes(name, "coin", seed)[0] & 1}


def permuted_by_name(label_of: Mapping[str, Label], *, share: float, seed: int) -> dict[str, Label]:
    """New labels of `round(share * names)` names, permuted among them; the others are left out.

    Choice and order depend on the names and the seed alone.
    """
    chosen = _chosen(label_of, share, seed)
    givers = sorted(chosen, key=lambda name: _random_bytes(name, "coin", seed))
    return {name: label_of[giver] for name, giver in zip(chosen, givers, strict=True)}


def _chosen(names: Collection[str], share: float, seed: int) -> list[str]:
    """A share of the names, in random order."""
    ordered = sorted(names, key=lambda name: _random_bytes(name, "choice", seed))
    return ordered[: round(share * len(ordered))]


def _random_bytes(name: str, purpose: str, seed: int) -> bytes:
    """Sixteen random bytes that belong to this name."""
    return hashlib.blake2b(f"{seed}/{purpose}/{name}".encode(), digest_size=16).digest()
