"""Token trees: prompts that begin with the same tokens are run together.

The shared prefix of several prompts is run once; where they differ, each goes on by itself, so that
the tokens form a tree. A token attends to the tokens of its own prompt before it and keeps its
position there, so each prompt gives the numbers that it gives by itself. Inference engines call
this tree attention (Miao et al. 2024, SpecInfer).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

# Bounds of a tree.
NEW_SHARE = 0.5  # of a prompt's tokens may be new to the tree that it joins
WIDEST = 2.0  # times its longest prompt: attention grows with the square of a tree's width
MOST = 16  # prompts: features and logits of all of them are held at once


@dataclass(frozen=True, slots=True)
class TokenTree:
    """The tokens of one or several prompts, as one row of a batch.

    Attributes:
        prompts: Their indices in the set.
        ids: The tokens of the first prompt, then those that each further prompt adds.
        columns: For each prompt, the indices of its tokens in `ids`, in order.
    """

    prompts: tuple[int, ...]
    ids: tuple[int, ...]
    columns: tuple[Int[np.ndarray, " token"], ...]

    @property
    def longest(self) -> int:
        """Tokens of its longest prompt."""
        return max(map(len, self.columns))


def separate_trees(ids: Sequence[Sequence[int]], rows: Iterable[int]) -> list[TokenTree]:
    """One tree for each of these prompts."""
    return [TokenTree((row,), tuple(ids[row]), (np.arange(len(ids[row])),)) for row in rows]


def shared_prefix_trees(ids: Sequence[Sequence[int]]) -> list[TokenTree]:
    """Trees that hold every prompt once, within the bounds above.

    Prompts are taken in alphabetical order of their tokens, so that each has its longest shared
    prefix with the one before it; it joins that one's tree if the bounds allow.
    """
    growing: list[_Growing] = []
    for row in sorted(range(len(ids)), key=lambda row: (ids[row], row)):
        if not (growing and growing[-1].joined_by(row, ids[row])):
            growing.append(_Growing(row, ids[row]))
    return [TokenTree(tuple(g.prompts), tuple(g.ids), tuple(g.columns)) for g in growing]


class _Growing:
    """A tree that may still take more prompts."""

    def __init__(self, row: int, ids: Sequence[int]) -> None:
        self.prompts, self.ids, self.columns = [row], list(ids), [np.arange(len(ids))]
        self.previous, self.longest = ids, len(ids)

    def joined_by(self, row: int, ids: Sequence[int]) -> bool:
        """Add a prompt, unless that would break a bound."""
        common = _common(self.previous, ids)
        new = len(ids) - common
        width, longest = len(self.ids) + new, max(self.longest, len(ids))
        if new > NEW_SHARE * len(ids) or width > WIDEST * longest or len(self.prompts) == MOST:
            return False
        added = np.arange(len(self.ids), width)
        self.columns.append(np.concatenate([self.columns[-1][:common], added]))
        self.prompts.append(row)
        self.ids += ids[common:]
        self.previous, self.longest = ids, longest
        return True


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the shared prefix."""
    for index, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return index
    return min(len(one), len(other))
