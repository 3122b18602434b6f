"""Many edits of one model: stacked rows that start at the first layer an edit changes.

A batch of prompts is run once without edits, keeping the residual stream and every layer's keys and
values. Each chunk of edit sets then runs only the layers from its first edited one, at the
positions from its first edited one, and in the last layer only the last tokens; all else is read
from the first run. This is exact: what is left out could not have changed. Prompts with a shared
prefix run as one tree under edits that do the same to each of them (see `prefix_sharing`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from harness.activations.swept import SweepResult
from harness.adapter.attention import fused_attention
from harness.adapter.chunks import Chunk, first_stage, halves, known_stores
from harness.adapter.clean import Clean, CleanRuns, Network, run_clean, taken
from harness.adapter.editing import Placed, SourceValues, store_at
from harness.adapter.encoding import Batch
from harness.adapter.loading import is_out_of_memory
from harness.adapter.overflow import refuse_overflow, remedy
from harness.adapter.placing import Marked, aligned, placed_edit, shareable_edits, with_source
from harness.adapter.positions import PositionMasks
from harness.adapter.prefix_sharing import shared_prefix_trees
from harness.adapter.stacking import Forward
from harness.adapter.targets import divergence, scores, targets_of
from harness.interventions.edits import Edit, EditSet
from harness.interventions.sites import EditError, Site, Source
from harness.materials.items import Item
from harness.models.specs import ModelError

WIDEST_STACK = 8  # times the prompts of a forward pass, where few positions are left to run
SHARED_COLUMNS = 0.8  # of a chunk's positions must be needed by an edit set that joins it
WORTH_REUSE = 0.1  # share of positions before the edit; if it is less, they are run again

Progress = Callable[[int], object]  # called with the number of cells just done


class Sweep:
    """A sweep under way: `measure` takes batches in any order, `result` reads the table."""

    def __init__(
        self,
        network: Network,
        items: Sequence[Item],
        edit_sets: Sequence[EditSet],
        donors: Sequence[Item] | None = None,
        progress: Progress | None = None,
        kept: CleanRuns | None = None,
    ) -> None:
        self.network, self.items, self.progress = network, items, progress
        self.sets = [tuple(edits) for edits in edit_sets]
        self.run_clean = kept.of if kept else partial(run_clean, network)
        edits = [edit for edits in self.sets for edit in edits]
        for edit in edits:
            _refuse_outside(edit.site, network)
        self.ids = network.encoder.ids(items)
        self.masks = PositionMasks(network.encoder, items, self.ids)
        self.targets = targets_of(network.encoder, items, self.ids, network.device)
        self.needed: dict[Source, set[SourceValues]] = {run: set() for run in Source}
        for edit in edits:
            if edit.source is not None:
                self.needed[edit.source].add(store_at(edit.site))
        self.resumed: set[SourceValues] = set()
        for edit_set in self.sets:
            if edit_set:
                self.resumed |= known_stores(*self._entry(edit.site for edit in edit_set))
        self.other_ids = self._other_prompts(donors)
        shape = (len(self.sets), len(items))
        self.applicable = np.ones(shape, dtype=bool)
        self.table = np.full((3, *shape), np.nan, np.float32)
        self.divergence = np.full(shape, np.nan, np.float32)
        self.clean = np.full((3, len(items)), np.nan, np.float32)
        self.done = np.zeros(shape, dtype=bool)
        self.stack = WIDEST_STACK * 1024  # edit sets in a forward pass, halved when memory runs out
        # For each edit that must have an effect: whether it could, and did, change anything.
        self.could: dict[Edit, bool] = {}
        self.did: dict[Edit, bool] = {}

    def _entry(self, sites: Iterable[Site]) -> tuple[int, int]:
        """The first layer to run, and how much of it is known from the clean run."""
        parts = self.network.sites
        return first_stage(sites, 0 if not parts.attention_alone else 3 if parts.mlp_alone else 1)

    def _other_prompts(self, donors: Sequence[Item] | None) -> dict[Source, list[list[int]]]:
        """Token ids of the prompts that edits patch from, one for each item."""
        prompts: dict[Source, list[list[int]]] = {}
        if self.needed[Source.DONOR]:
            if donors is None or len(donors) != len(self.items):
                raise EditError(
                    "resample ablation needs one donor for each item: pass donors, "
                    f"{len(self.items)} of them."
                )
            prompts[Source.DONOR] = self.network.encoder.ids(donors)
        if self.needed[Source.COUNTERFACTUAL]:
            prompts[Source.COUNTERFACTUAL] = self._counterfactual_ids()
        return prompts

    def _counterfactual_ids(self) -> list[list[int]]:
        """Token ids of the counterfactuals; the item's own, unmeasured, if lengths differ."""
        encoded = self.network.encoder.ids(
            [replace(i, prompt=i.counterfactual_prompt or i.prompt) for i in self.items]
        )
        self.comparable = np.array(
            [
                bool(item.counterfactual_prompt) and len(own) == len(other)
                for item, own, other in zip(self.items, self.ids, encoded, strict=True)
            ]
        )
        return [
            other if same else own
            for own, other, same in zip(self.ids, encoded, self.comparable, strict=True)
        ]

    @property
    def shareable(self) -> bool:
        """Whether some edit set acts alike on shared prefixes."""
        return any(map(shareable_edits, self.sets))

    @torch.no_grad()
    def measure(self, batch: Batch, rows: int) -> None:
        """Fill the table's columns of one batch; a forward takes about `rows` trees."""
        with fused_attention(self.network.module):
            self._measure(batch, rows)

    def _measure(self, batch: Batch, rows: int) -> None:
        here = list(batch.rows)
        placed = self._place(batch)
        clean = self.run_clean(batch, self.resumed)
        self.clean[:, here] = scores(clean.logits, self.targets.of(here))
        ids = [self.items[i].id for i in here]
        refuse_overflow(self.network, batch, clean.logits, ids)
        together = {n: edits for n, edits in enumerate(placed) if edits}
        self._measure_sets(together, batch, clean, rows, share=batch.sees is not None)
        apart = [n for n, edits in enumerate(placed) if edits is None]
        # As many prompts at a time as if they had no shared prefixes.
        for start in range(0, len(here) if apart else 0, rows):
            some = here[start : start + rows]
            alone = self.network.encoder.batch(self.ids, some, batch.ids.device)
            again = {n: edits for n, edits in enumerate(self._place(alone)) if n in apart and edits}
            self._measure_sets(again, alone, taken(batch, alone).run(clean), rows, share=True)
        idle = [n for n, edits in enumerate(self.sets) if not edits]
        self._keep(idle, here, clean.logits.repeat(len(idle), 1), clean.logits.log_softmax(1))
        self._report(range(len(self.sets)), here)

    def _measure_sets(
        self, placed: dict[int, list[Placed]], batch: Batch, clean: Clean, rows: int, *, share: bool
    ) -> None:
        """Fill the table's columns of one batch for some edit sets, whose positions are known.

        With `share`, the runs that they patch from may use shared prefixes too.
        """
        here = list(batch.rows)
        if any(p.edit.source is not None for edits in placed.values() for p in edits):
            others = self._other_stores(batch, share)
            placed = {n: [with_source(p, others, batch) for p in ps] for n, ps in placed.items()}
        intact = clean.logits.log_softmax(1)
        pending = self._chunks(placed, batch, rows)
        while pending:
            chunk = pending.pop(0)
            if len(chunk.sets) > self.stack:
                pending[:0] = halves(chunk)
                continue
            try:
                logits = self._run(chunk, placed, batch, clean)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or len(chunk.sets) == 1:
                    raise
                self.stack = len(chunk.sets) // 2
                if batch.ids.device.type == "cuda":
                    torch.cuda.empty_cache()
                pending.insert(0, chunk)
                continue
            self._keep(chunk.sets, here, logits, intact)

    def _place(self, batch: Batch) -> list[list[Placed] | None]:
        """Each edit set placed in the batch; None for a set under which prompts must run apart.

        Also records to which prompts each set applies.
        """
        here = list(batch.rows)
        known: dict[Any, Marked] = {}

        def marked(positions: Any, layer: int) -> Marked:
            decoder = self.network.sites.decoder
            where = positions, decoder is not None and layer >= decoder
            if where not in known:
                every = self.masks.of_decoder(positions) if where[1] else self.masks.of(positions)
                tokens = [every[row] for row in here]
                applies = np.array([bool(chosen.any()) for chosen in tokens])
                known[where] = Marked(*batch.on_trees(tokens), applies)
            return known[where]

        result: list[list[Placed] | None] = []
        for number, edits in enumerate(self.sets):
            row, together = [], batch.sees is None or not edits or shareable_edits(edits)
            for edit in edits:
                at = marked(edit.positions, edit.site.layer)
                applies = at.applies
                if edit.source is Source.COUNTERFACTUAL:
                    applies = applies & self.comparable[here]
                self.applicable[number, here] &= applies
                together = together and at.agreed
                row.append(placed_edit(edit, at.mask))
            result.append(row if together else None)
        return result

    def _other_stores(
        self, batch: Batch, share: bool
    ) -> dict[Source, tuple[dict[SourceValues, Tensor], Tensor]]:
        """By run that edits patch from: its tensors aligned with the batch, where it has tokens.

        With `share`, other prompts may run with shared prefixes.
        """
        stores_of: dict[Source, tuple[dict[SourceValues, Tensor], Tensor]] = {}
        encoder, device, width = self.network.encoder, self.network.device, batch.ids.shape[1]
        for run, every in self.other_ids.items():
            ids = [every[row] for row in batch.rows]
            other = encoder.batch(ids, range(len(ids)), device)
            trees = shared_prefix_trees(ids)
            if share and self.network.sees(max(len(tree.ids) for tree in trees)):
                together = encoder.batch_of(trees, device)
                seen = self.run_clean(together, self.needed[run]).stores
                take = taken(together, other)
                seen = {at: take(store) for at, store in seen.items()}
            else:
                seen = self.run_clean(other, self.needed[run]).stores
            stores = {at: aligned(store, width) for at, store in seen.items()}
            there = aligned(other.mask, width).bool()
            # Up to the first token that differs nothing does, where tokens see only those before.
            if run is Source.COUNTERFACTUAL and self.network.sites.causal:
                there &= (aligned(other.ids, width) != batch.ids).cumsum(1) > 0
            stores_of[run] = (stores, there)
        return stores_of

    def _chunks(self, placed: dict[int, list[Placed]], batch: Batch, rows: int) -> list[Chunk]:
        """Edit sets by first edited layer and position, as many together as a forward takes."""
        trees, width = batch.ids.shape
        reuse = self.network.sees(width)
        here = list(batch.rows)
        end = int(batch.ends[0])  # no prompt ends before it
        wanted = []
        for number, edits in placed.items():
            left = self.applicable[number, here] & ~self.done[number, here]
            if not left.any():
                continue
            where = self._entry(p.edit.site for p in edits)
            column = min(self._first_column(p, end) for p in edits) if reuse else 0
            wanted.append((*where, 0 if column < WORTH_REUSE * width else column, number))
        chunks: list[Chunk] = []
        for start, stage, column, number in sorted(wanted):
            last = chunks[-1] if chunks else None
            if last is not None and (last.start, last.stage) == (start, stage):
                run = width - last.column
                fits = max(1, rows // trees) * min(WIDEST_STACK, max(1, width // run))
                fits = min(fits, max(1, rows * WIDEST_STACK // len(here)))  # logits need memory too
                if len(last.sets) < fits and width - column >= SHARED_COLUMNS * run:
                    chunks[-1] = replace(last, sets=(*last.sets, number))
                    continue
            chunks.append(Chunk((number,), start, stage, column))
        return chunks

    def _first_column(self, placed: Placed, end: int) -> int:
        """The first column where a value that the last logits depend on may differ."""
        if placed.edit.site.layer == self.network.layers - 1:
            return end  # what the last layer does elsewhere is not read
        return min(placed.first, end)

    def _run(
        self, chunk: Chunk, placed: dict[int, list[Placed]], batch: Batch, clean: Clean
    ) -> Float[Tensor, "row d_vocab"]:
        """Logits of the chunk's rows; those that no edit touched are the clean ones to the bit."""
        forward = Forward(self.network, chunk, [placed[n] for n in chunk.sets], batch, clean)
        logits = forward.run()
        moved = torch.zeros(len(chunk.sets), len(batch.rows), dtype=torch.bool)
        if forward.written:
            values = torch.stack([forward.moved(w).cpu() for w in forward.written])
            something = torch.stack([forward.something(w).cpu() for w in forward.written]).tolist()
            for written, change, value in zip(forward.written, values, something, strict=True):
                moved[written.number] |= ~(change == 0)  # NaN counts as moved
                edit = written.placed.edit
                self.could[edit] = self.could.get(edit, False) or (value and not edit.may_be_idle)
                self.did[edit] = self.did.get(edit, False) or bool((~(change == 0)).any())
        untouched = ~moved.flatten().to(logits.device)
        if not bool(untouched.any()):
            return logits
        whole = clean.logits.repeat(len(chunk.sets), 1)
        return torch.where(untouched[:, None], whole, logits)

    def _keep(self, sets: Sequence[int], here: list[int], logits: Tensor, intact: Tensor) -> None:
        """Measure the rows of some sets; `intact` are the log-probabilities without edits."""
        if not sets:
            return
        targets = self.targets.of(here)
        ids = [self.items[i].id for i in here]
        for number, part in zip(sets, logits.reshape(len(sets), len(here), -1), strict=True):
            applies = self.applicable[number, here]
            name = " + ".join(map(str, self.sets[number])) or "no edit"
            _refuse_non_finite(part, applies, name, ids, self.network.dtype)
            self.table[:, number, here] = np.where(applies, scores(part, targets), np.nan)
            moved = divergence(intact, part)
            self.divergence[number, here] = np.where(applies, moved, np.nan)
        self._report(sets, here)

    def _report(self, sets: Sequence[int], here: list[int]) -> None:
        """Report how many cells are newly done, those to which a set does not apply included."""
        cells = np.ix_(list(sets), here)
        new = int((~self.done[cells]).sum())
        self.done[cells] = True
        if self.progress is not None and new:
            self.progress(new)

    def result(self, *, partial: bool = False) -> SweepResult:
        """The table; `partial` allows sets that apply to none of these prompts.

        Raises:
            EditError: If an edit changed nothing on any prompt, though it should have, or a set
                applies to no prompt at all (but for sets that name tokens of the prompt in a
                decoder beside an encoder: in a map of layers and positions they stay blank).
        """
        for edit, could in self.could.items():
            if could and not self.did[edit]:
                raise EditError(
                    f"{edit} changed nothing on any prompt: its function returned the values it "
                    "was given (did it write to a copy?)."
                )
        for edits, applies in zip(self.sets, self.applicable, strict=True):
            if not partial and len(self.items) and not applies.any() and not self._blank(edits):
                raise EditError(
                    f"{' + '.join(map(str, edits))} applies to none of the prompts: they lack its "
                    "positions, or a counterfactual of the same number of tokens."
                )
        return self._table()

    def _blank(self, edits: EditSet) -> bool:
        """Whether a decoder beside an encoder is edited at tokens of the prompt: it has none."""
        decoder = self.network.sites.decoder
        return decoder is not None and any(edit.site.layer >= decoder for edit in edits)

    def _table(self) -> SweepResult:
        return SweepResult(
            log_probability=self.table[0],
            logit_difference=self.table[1],
            correct=self.table[2],
            divergence=self.divergence,
            clean_log_probability=self.clean[0],
            clean_logit_difference=self.clean[1],
            clean_correct=self.clean[2],
            scorable=self.targets.scorable.cpu().numpy(),
            applicable=self.applicable,
        )


def _refuse_non_finite(
    logits: Tensor, applies: np.ndarray, name: str, ids: Sequence[str], dtype: torch.dtype
) -> None:
    finite = torch.isfinite(logits.sum(1)).cpu().numpy()  # nor is a sum with such a term
    if not finite[applies].all():
        where = ids[int((~finite & applies).argmax())]
        raise ModelError(
            f"logits are not finite under {name} on prompt {where!r}: {remedy(dtype)}, or the "
            "edit is too large."
        )


def _refuse_outside(site: Site, network: Network) -> None:
    numbers = site.index if isinstance(site.index, tuple) else (site.index or 0,)
    limit = {"neuron": network.neurons}.get(site.kind, network.heads)
    if site.layer >= network.layers or not all(0 <= n < limit for n in numbers):
        raise EditError(
            f"there is no site {site}: the model has {network.layers} layers of {network.heads} "
            f"heads and {network.neurons} neurons."
        )
