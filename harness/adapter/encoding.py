"""From prompts to batches of token ids, padded on the left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from harness.adapter.architectures import Sites
from harness.adapter.chat import rendered, spans_in
from harness.adapter.prefix_sharing import TokenTree, separate_trees
from harness.materials.items import Item
from harness.models.specs import ModelError

REMEMBERED = 50_000  # texts: enough for a claim, bounded for large files


@dataclass(frozen=True)
class Batch:
    """Some prompts of a set, ready for one forward pass.

    Attributes:
        rows: Their indices in the set.
        ids: Token ids of the trees.
        mask: 1 on real tokens.
        position_ids: Each token's position in its own prompt; 0 on padding.
        sees: Which positions each attends to; None if each tree has one prompt, whose tokens
            attend to all tokens before them.
        tree: The tree of each prompt.
        columns: For each prompt, the positions of its tokens in that tree.
        causal: Whether tokens see only those before them.
        tail: How many tokens follow the last one, which the answer is read at: those after a mask.

    Indices of trees, positions and prompts are on the CPU: they index tensors on any device.
    """

    rows: tuple[int, ...]
    ids: Int[Tensor, "tree pos"]
    mask: Int[Tensor, "tree pos"]
    position_ids: Int[Tensor, "tree pos"]
    sees: Bool[Tensor, "tree pos pos"] | None
    tree: Int[Tensor, " prompt"]
    columns: tuple[Int[np.ndarray, " token"], ...]
    causal: bool = True
    tail: int = 0

    @cached_property
    def visible(self) -> Bool[Tensor, "prompt pos"]:
        """What the last token of each prompt may attend to, itself included."""
        if self.sees is not None:
            return self.sees[self.tree, self.last]
        if not self.causal:
            return self.mask.bool()
        order = torch.arange(self.ids.shape[1], device=self.ids.device)
        return self.mask.bool() & (order <= self.last.to(order.device)[:, None])

    @cached_property
    def last(self) -> Int[Tensor, " prompt"]:
        """The position of each prompt's last token in its tree: the answer is read there."""
        return torch.tensor([int(columns[-1 - self.tail]) for columns in self.columns])

    @cached_property
    def ends(self) -> Int[Tensor, " end"]:
        """Positions at which a prompt of some tree ends, rising."""
        return torch.tensor(sorted(set(self.last.tolist())))

    @cached_property
    def places(self) -> Int[Tensor, " prompt"]:
        """Each prompt's number among those of its tree."""
        return torch.cat([torch.arange(int(n)) for n in torch.bincount(self.tree)])

    @property
    def inputs(self) -> dict[str, Tensor]:
        """Keyword arguments for the model's forward."""
        return {
            "input_ids": self.ids,
            "attention_mask": self.mask if self.sees is None else additive(self.sees),
            "position_ids": self.position_ids,
        }

    def on_trees(
        self, tokens: Sequence[Bool[np.ndarray, " token"]]
    ) -> tuple[Bool[Tensor, "tree pos"], bool]:
        """Tokens of each prompt as positions of the trees, and whether prompts agree on them.

        They disagree where a token that two prompts share is marked in only one of them.
        """
        marked = np.zeros(self.ids.shape, dtype=bool)
        where = list(zip(self.tree.tolist(), self.columns, tokens, strict=True))
        for tree, columns, chosen in where:
            marked[tree, columns[chosen]] = True
        agreed = self.sees is None or all(
            bool((marked[tree, columns] == chosen).all()) for tree, columns, chosen in where
        )
        return torch.from_numpy(marked), agreed


def tokens_in(batch: Batch, sites: Sites, layer: int) -> Bool[Tensor, "tree pos"]:
    """Where a layer has tokens: a decoder's layer beside an encoder has one, in the last column."""
    tokens = batch.mask.bool()
    if sites.decoder is None or layer < sites.decoder:
        return tokens
    return tokens & (torch.arange(tokens.shape[1], device=tokens.device) == tokens.shape[1] - 1)


def additive(sees: Bool[Tensor, "tree pos key_pos"]) -> Tensor:
    """The mask to add to attention scores: 0 where a position attends, very low elsewhere."""
    hidden = torch.finfo(torch.float32).min
    return torch.where(sees, 0.0, hidden)[:, None]


@dataclass(frozen=True, slots=True)
class Encoder:
    """A tokenizer, and the text around each prompt.

    Attributes:
        tokenizer: A transformers tokenizer with a padding token.
        chat: Whether the tokenizer's chat template is applied.
        longest: Tokens a prompt may have; None if the model states no limit.
        vocabulary: Tokens the model has an embedding for; None if that is not known.
        arguments: What the chat template is given, by name.
        causal: Whether the model's tokens see only those before them.
        suffix: What stands after each prompt: a masked token in the answer's place.
        tail: How many tokens follow that token.
    """

    tokenizer: Any
    chat: bool = False
    longest: int | None = None
    vocabulary: int | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    causal: bool = True
    suffix: str = ""
    tail: int = 0
    _known: dict[str, list[int]] = field(default_factory=dict, repr=False, compare=False)

    def text(self, item: Item) -> str:
        """The text the model reads; solved questions are turns of a chat, where there is one."""
        if self.chat:
            return rendered(self.tokenizer, item.messages, self.arguments)
        return item.prompt + self.suffix

    def spans(self, item: Item, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Characters of an item's prompt as characters of the text the model reads."""
        if not self.chat:
            return list(spans)
        return spans_in(self.text(item), item.prompt, item.messages, spans)

    def ids(self, items: Sequence[Item]) -> list[list[int]]:
        """Token ids of every prompt, unpadded.

        Raises:
            ModelError: If a prompt has no tokens, more than the model can read, or a token that
                the model does not have.
        """
        encoded = self._encode([self.text(item) for item in items])
        for item, ids in zip(items, encoded, strict=True):
            if not ids:
                raise ModelError(
                    f"prompt {item.id!r} is empty: the model needs at least one token."
                )
            if self.longest is not None and len(ids) > self.longest:
                raise ModelError(
                    f"prompt {item.id!r} has {len(ids)} tokens and the model reads "
                    f"at most {self.longest}: shorten it."
                )
            if self.vocabulary is not None and max(ids) >= self.vocabulary:
                raise ModelError(
                    f"prompt {item.id!r} has the token {max(ids)} and the model ends at "
                    f"{self.vocabulary - 1}: the tokenizer is not this model's."
                )
        return encoded

    def continuations(
        self,
        items: Sequence[Item],
        prompts: Sequence[Sequence[int]],
        words: Sequence[Sequence[str]],
    ) -> list[list[list[int]]]:
        """Token ids of each candidate answer as it stands after its prompt.

        Prompt and answer are joined by a space; after a chat template, which ends where the reply
        begins, by nothing. They are encoded together and the prompt is cut off, which gives the
        tokens of running text. The prompt's last line is enough for that where the prompt ends in
        the tokens of that line. If the result does not begin with the prompt's own tokens (the
        tokenizer merges across the border), or the model is no decoder, the answer is encoded by
        itself.
        """
        joint = "" if self.chat else " "
        if not self.causal:
            return [[self._alone(joint + word) for word in candidates] for candidates in words]
        texts = [self.text(item) for item in items]
        lines = [text[text.rfind("\n") + 1 :] for text in texts]
        ended = {line + joint + word for line, of in zip(lines, words, strict=True) for word in of}
        known = list({*lines, *ended})
        said = self.tokenizer(known, add_special_tokens=False).input_ids if known else []
        alone = dict(zip(known, said, strict=True))
        result = []
        for text, line, prompt, candidates in zip(texts, lines, prompts, words, strict=True):
            begun, ends = alone[line], [joint + word for word in candidates]
            row = [_rest(alone[line + end], begun) for end in ends]
            if not all(row) or list(prompt[-len(begun) :]) != begun:
                whole = self._encode([text + end for end in ends]) if ends else []
                row = [_rest(ids, prompt) for ids in whole]
            result.append([ids or self._alone(end) for ids, end in zip(row, ends, strict=True)])
        return result

    def _alone(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)

    def reads_first(self, word: Sequence[int]) -> bool:
        """Whether the model's first logits say how probable the first of these tokens is."""
        return not self.suffix or len(word) == 1

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids, remembered: a claim encodes the same prompts in each sweep."""
        known = self._known if len(texts) <= REMEMBERED else {}
        if len(known) + len(texts) > REMEMBERED:
            known.clear()
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known.update(self._tokenized(new, "input_ids"))
        return [known[text] for text in texts]

    def offsets(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """The characters of each token of each text, from a fast tokenizer."""
        found = self._tokenized(list(dict.fromkeys(texts)), "offset_mapping")
        return [found[text] for text in texts]

    def _tokenized(self, texts: Sequence[str], what: str) -> dict[str, list[Any]]:
        """What the tokenizer says of each text, which differ."""
        found: dict[str, list[Any]] = {}
        for special in (True, False):
            group = [text for text in texts if self._wants_special_tokens(text) is special]
            if group:
                mapped = what == "offset_mapping"
                said = self.tokenizer(
                    group, add_special_tokens=special, return_offsets_mapping=mapped
                )
                found.update(zip(group, said[what], strict=True))
        return found

    def _wants_special_tokens(self, text: str) -> bool:
        """Whether the tokenizer puts them in front; a chat template writes them itself.

        Nor does a text that begins with the beginning-of-text token get a second one.
        """
        first = self.tokenizer.bos_token
        return not self.chat and not (first and text.startswith(first))

    def batch(
        self, ids: Sequence[Sequence[int]], rows: Sequence[int], device: torch.device
    ) -> Batch:
        """One padded batch of some prompts of a set."""
        return self.batch_of(separate_trees(ids, rows), device)

    def batch_of(self, trees: Sequence[TokenTree], device: torch.device) -> Batch:
        """One padded batch of trees."""
        width = max(len(tree.ids) for tree in trees)
        shape = (len(trees), width)
        ids = np.full(shape, self.tokenizer.pad_token_id, dtype=np.int64)
        mask, position_ids = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        sees = None
        if any(len(tree.prompts) > 1 for tree in trees):
            sees = np.zeros((*shape, width), dtype=bool)
            sees[:] = np.eye(width, dtype=bool)  # also padding: a softmax needs one value
        rows, on, columns = [], [], []
        for number, tree in enumerate(trees):
            space = filled = width - len(tree.ids)
            ids[number, space:], mask[number, space:] = tree.ids, 1
            for row, unpadded in zip(tree.prompts, tree.columns, strict=True):
                path = unpadded + space
                position_ids[number, path] = np.arange(len(path))
                if sees is not None:
                    new = int((path >= filled).sum())  # its last ones, side by side in the tree
                    seen = np.tri(new, len(path), len(path) - new, dtype=bool)
                    sees[number][filled : filled + new, path] = seen
                filled = max(filled, int(path[-1]) + 1)
                rows.append(row)
                on.append(number)
                columns.append(path)
        return Batch(
            tuple(rows),
            torch.from_numpy(ids).to(device),
            torch.from_numpy(mask).to(device),
            torch.from_numpy(position_ids).to(device),
            None if sees is None else torch.from_numpy(sees).to(device),
            torch.tensor(on),
            tuple(columns),
            self.causal,
            self.tail,
        )


def _rest(whole: Sequence[int], begun: Sequence[int]) -> list[int]:
    """The tokens after those that others begin with; none if they do not begin so."""
    return list(whole[len(begun) :]) if list(whole[: len(begun)]) == list(begun) else []
