"""Lines of tokens to run: a prompt each, or several prompts that begin alike.

What prompts of one line share is run once; where they part, each goes on by itself, so that the
tokens of a line form a tree. A token sees those of its own prompt before it and keeps its place
there, which is all that tells a prompt on a shared line from one by itself. Inference engines know
this as tree attention (Miao et al. 2024, SpecInfer).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

JOINS = 0.5  # of a prompt's tokens may be new on the line that it joins
WIDEST = 2.0  # times its longest prompt: attention grows with the square of a line's width
MOST = 16  # prompts of a line: features and logits of all of them are held at once


@dataclass(frozen=True, slots=True)
class Line:
    """Tokens of some prompts.

    Attributes:
        prompts: Their places in the set.
        ids: The tokens, those of the first prompt first, then what each further one adds.
        columns: For each prompt, where its tokens are, in order.
    """

    prompts: tuple[int, ...]
    ids: tuple[int, ...]
    columns: tuple[Int[np.ndarray, " token"], ...]

    @property
    def longest(self) -> int:
        """Tokens of its longest prompt."""
        return max(map(len, self.columns))


def single_lines(ids: Sequence[Sequence[int]], rows: Iterable[int]) -> list[Line]:
    """A line for each of these prompts."""
    return [Line((row,), tuple(ids[row]), (np.arange(len(ids[row])),)) for row in rows]


def shared_lines(ids: Sequence[Sequence[int]]) -> list[Line]:
    """Lines that hold every prompt once, within the bounds above.

    Taken in alphabetical order of their tokens, a prompt has most in common with the one before
    it, and goes on that one's line if it may.
    """
    started: list[_Started] = []
    for row in sorted(range(len(ids)), key=lambda row: (ids[row], row)):
        if not (started and started[-1].takes(row, ids[row])):
            started.append(_Started(row, ids[row]))
    return [Line(tuple(s.prompts), tuple(s.ids), tuple(s.columns)) for s in started]


class _Started:
    """A line that may still grow."""

    def __init__(self, row: int, own: Sequence[int]) -> None:
        self.prompts, self.ids, self.columns = [row], list(own), [np.arange(len(own))]
        self.before, self.longest = own, len(own)

    def takes(self, row: int, own: Sequence[int]) -> bool:
        """Add a prompt, unless that would break a bound."""
        common = _common(self.before, own)
        width = len(self.ids) + len(own) - common
        longest = max(self.longest, len(own))
        new = len(own) - common
        if new > JOINS * len(own) or width > WIDEST * longest or len(self.prompts) == MOST:
            return False
        added = np.arange(len(self.ids), width)
        self.columns.append(np.concatenate([self.columns[-1][:common], added]))
        self.prompts.append(row)
        self.ids += own[common:]
        self.before, self.longest = own, longest
        return True


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Tokens with which both begin."""
    for place, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return place
    return min(len(one), len(other))
