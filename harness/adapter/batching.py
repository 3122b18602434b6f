"""Batches that fit into memory: which prompts run together, and how many at a time."""

from collections.abc import Callable, Sequence
from functools import cached_property

import torch

from harness.adapter import checks
from harness.adapter.clean import Network
from harness.adapter.encoding import Batch
from harness.adapter.loading import is_out_of_memory
from harness.adapter.prefix_sharing import TokenTree, separate_trees, shared_prefix_trees
from harness.materials.items import Item
from harness.models.specs import ModelError

FIRST_BATCH = 32  # on a CPU; a GPU starts from its free memory
PATTERN_CELLS = 2**24  # attention weights of a layer, all prompts of a batch on a CPU: 64 MB
LARGEST_BATCH = 256
PROMPTS_A_TREE = 4  # in the mean over a batch, at most: features and logits are kept by prompt
MEMORY_SHARE = 0.5  # of a GPU's free memory, for one batch


class Batcher:
    """Gives prompts to a function in batches, and makes batches smaller when memory runs out.

    Attributes:
        network: The model that runs them.
        asked: The batch size that was asked for; None if it may be chosen and changed here.
        size: Token trees in a forward pass; None until the first batch.
    """

    def __init__(self, network: Network, asked: int | None) -> None:
        self.network, self.asked = network, asked
        self.size = asked

    def run(
        self,
        items: Sequence[Item],
        work: Callable[[Batch], None],
        *,
        share: bool = False,
        more: int = 0,
        together: int = 1,
    ) -> None:
        """Give every prompt to `work` once, prompts of similar length together.

        Args:
            items: The prompts.
            work: Measures a batch.
            share: Whether prompts with a shared prefix may run as one tree.
            more: Tokens that `work` will add to each prompt.
            together: Prompts of one length, neighbours in the list, that are to be rounded alike:
                they stay in one batch if memory allows, as batches hold a multiple of so many.

        Raises:
            ModelError: If memory runs out and the batch cannot be made smaller.
        """
        ids = self.network.encoder.ids(items)
        trees = self.trees(ids, more) if share else separate_trees(ids, range(len(ids)))
        trees.sort(key=lambda tree: len(tree.ids))
        if self.size is None and ids:
            self.size = self.first_size(max(map(len, ids)))
        start = 0
        while start < len(trees):
            some = trees[start : start + (self.size or FIRST_BATCH)]
            some = some[: self.fitting(some)]
            some = some[: len(some) - len(some) % together] or some
            prompts = [row for tree in some for row in tree.prompts]
            try:
                work(self.network.encoder.batch_of(some, self.network.device))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(some) == 1 and len(prompts) > 1:  # a tree is wider than its prompts
                    trees[start : start + 1] = separate_trees(ids, prompts)
                else:
                    self._shrink(len(some), len(prompts), error)
                continue
            start += len(some)

    def trees(self, ids: Sequence[Sequence[int]], more: int = 0) -> list[TokenTree]:
        """Prompts by shared prefix, where that is exact and memory allows; else one a tree.

        Args:
            ids: Token ids of the prompts.
            more: Tokens that will follow each prompt.
        """
        trees = shared_prefix_trees(ids)
        if all(len(tree.prompts) == 1 for tree in trees):
            return trees
        widest = max(len(tree.ids) for tree in trees)
        sees = self.network.sites.trees and self.network.sees(widest + more)
        if not sees or not self.shares_prefixes:
            return separate_trees(ids, range(len(ids)))
        return [
            part
            for tree in trees
            for part in ([tree] if self.most(len(tree.ids)) else separate_trees(ids, tree.prompts))
        ]

    @cached_property
    def prefix_check(self) -> checks.PrefixCheck:
        """How far the model's numbers for a tree are from those for its prompts apart."""
        return checks.prefix_check(self.network)

    @property
    def shares_prefixes(self) -> bool:
        """Whether prompts of one tree give the numbers they give apart: the mask is respected."""
        return self.network.sites.trees and bool(
            self.prefix_check.parted <= torch.finfo(self.network.dtype).eps ** 0.5
        )

    def fitting(self, trees: Sequence[TokenTree]) -> int:
        """How many of these trees, in rising width, one forward pass takes.

        No more tokens than as many separate prompts would have, at most `PROMPTS_A_TREE` prompts a
        tree, and no more than fits into a CPU's memory: when that runs out the process ends, with
        no error after which the batch could be halved.
        """
        asked = self.size or FIRST_BATCH
        fits, longest, prompts = 0, 0, 0
        for count, tree in enumerate(trees, 1):
            longest, prompts = max(longest, tree.longest), prompts + len(tree.prompts)
            many = min(self.most(len(tree.ids)), asked * longest // len(tree.ids))
            if count > 1 and (count > many or prompts > PROMPTS_A_TREE * asked):
                break
            fits = count
        return fits

    def most(self, width: int) -> int:
        """How many trees of a width a forward pass may take; 0 if a CPU's memory takes none."""
        if self.network.device.type != "cpu":
            return self.size or LARGEST_BATCH
        return PATTERN_CELLS // (self.network.heads * width**2)

    def rows_of(self, batch: Batch) -> int:
        """How many rows as wide as this batch's a forward pass may take, at least one."""
        return max(1, min(self.size or len(batch.rows), self.most(batch.ids.shape[1])))

    def first_size(self, longest: int) -> int:
        """The first batch size: prompts that fit into half of a GPU's free memory.

        `FIRST_BATCH` on other devices.
        """
        if self.network.device.type != "cuda":
            return FIRST_BATCH
        free, _ = torch.cuda.mem_get_info(self.network.device)
        sizes = self.network.architecture
        alive = 6 * sizes.d_model + 4 * sizes.neurons + 4 * sizes.heads * longest  # of a token
        kept = 6 * sizes.layers * sizes.neurons + 2 * sizes.d_vocab  # of a prompt
        each = 4 * (longest * alive + kept)
        return max(1, min(LARGEST_BATCH, int(free * MEMORY_SHARE / each)))

    def _shrink(self, size: int, prompts: int, error: BaseException) -> None:
        """Halve the batch size, if it may be."""
        if self.asked is not None or size == 1:
            remedy = "a smaller --dtype or model" if size == 1 else "--batch-size auto"
            device = self.network.device
            raise ModelError(
                f"memory ran out on {device} with {prompts} prompts a batch: try {remedy}."
            ) from error
        self.size = size // 2
        if self.network.device.type == "cuda":
            torch.cuda.empty_cache()
