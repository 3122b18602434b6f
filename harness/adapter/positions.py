"""The tokens that an edit's positions name; character spans become tokens."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from harness.adapter.encoding import Encoder
from harness.interventions.sites import Positions
from harness.materials.items import Item
from harness.models.specs import ModelError

Tokens = Bool[np.ndarray, " token"]


class PositionMasks:
    """Which tokens of some prompts are named by positions; computed once for each positions."""

    def __init__(
        self, encoder: Encoder, items: Sequence[Item], ids: Sequence[Sequence[int]]
    ) -> None:
        self._encoder, self._items, self._ids = encoder, items, ids
        self._known: dict[Positions, list[Tokens]] = {}
        self._offsets: list[list[tuple[int, int]]] | None = None

    def of(self, positions: Positions) -> list[Tokens]:
        """A mask over the unpadded tokens of each prompt; all False where none is named."""
        if positions not in self._known:
            self._known[positions] = [self._tokens(i, positions) for i in range(len(self._items))]
        return self._known[positions]

    def of_decoder(self, positions: Positions) -> list[Tokens]:
        """The same in a decoder beside an encoder, whose one token stands in the last column.

        Only `all` and `final` name it: the others name tokens of the prompt.
        """
        if positions in ("all", "final"):
            return self.of("final")
        return [np.zeros(len(ids), dtype=bool) for ids in self._ids]

    def _tokens(self, number: int, positions: Positions) -> Tokens:
        length = len(self._ids[number])
        order = np.arange(length)
        if positions == "all":
            return np.ones(length, dtype=bool)
        if positions == "final":
            return np.array(order == length - 1 - self._encoder.tail)
        if not isinstance(positions, str):
            inside = all(-length <= at < length for at in positions)
            inside_ids = [at % length for at in positions] if inside else []
            named: Tokens = np.isin(order, np.array(inside_ids, dtype=int))
            return named
        item = self._items[number]
        spans = _subject(item) if positions == "subject" else _premises(item)
        return self._inside(number, spans)

    def _inside(self, number: int, spans: Sequence[tuple[int, int]]) -> Tokens:
        """Tokens that share a character with one of the prompt's spans."""
        item, offsets = self._items[number], self._read()[number]
        spans = self._encoder.spans(item, spans)  # a chat template may surround it
        return np.array(
            [any(left < end and right > start for start, end in spans) for left, right in offsets],
            dtype=bool,
        )

    def _read(self) -> list[list[tuple[int, int]]]:
        if self._offsets is None:
            if not self._encoder.tokenizer.is_fast:
                raise ModelError(
                    "positions 'subject' and 'premises' need a fast tokenizer (tokenizer.json): "
                    "use 'all' or 'final'."
                )
            self._offsets = self._encoder.offsets([self._encoder.text(i) for i in self._items])
        return self._offsets


def _subject(item: Item) -> list[tuple[int, int]]:
    return [item.subject] if item.subject is not None else []


def _premises(item: Item) -> list[tuple[int, int]]:
    """Spans of the premises that the prompt contains."""
    starts = [(item.prompt.find(premise), premise) for premise in item.premises if premise]
    return [(start, start + len(premise)) for start, premise in starts if start >= 0]
