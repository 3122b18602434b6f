"""The front of the adapter: a loaded model and what can be asked of it."""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import cached_property
from typing import Self

import numpy as np
import torch
from jaxtyping import Float
from nnsight import TransformersModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from harness.activations.extracted import POSITIONS, Activations, Answers
from harness.activations.swept import ComponentScores, PathScores, SweepResult
from harness.adapter import attribution, checks, extraction, generation, scoring
from harness.adapter.architectures import sites_of
from harness.adapter.clean import Network
from harness.adapter.encoding import Batch, Encoder
from harness.adapter.loading import (
    fresh_engine,
    is_out_of_memory,
    load_engine,
    load_tokenizer,
)
from harness.adapter.prefix_sharing import Line, shared_lines, single_lines
from harness.adapter.sweep import Sweep
from harness.interventions.edits import EditSet, Reference
from harness.materials.items import Item
from harness.models.architecture import stated_in
from harness.models.specs import LoadOptions, ModelError, ModelSpec

FIRST_BATCH = 32  # on a CPU; a GPU starts from its free memory
PATTERN_CELLS = 2**24  # attention weights of a layer, all prompts of a batch on a CPU: 64 MB
LARGEST_BATCH = 256
PROMPTS_A_LINE = 4  # in the mean over a batch, at most: features and logits are kept by prompt
MEMORY_SHARE = 0.5  # of a GPU's free memory, for one batch

Progress = Callable[[int], object]  # told how many prompts were just done


class Model:
    """A loaded model.

    Not safe to use from several threads. Attributes are those of its specification and
    architecture; `batch_size` is the number of lines a forward now takes (a prompt each, or
    several that begin alike), which shrinks when memory runs out and stays there.
    """

    def __init__(
        self,
        spec: ModelSpec,
        options: LoadOptions,
        engine: TransformersModel,
        tokenizer: PreTrainedTokenizerBase,
    ) -> None:
        config = engine._module.config.get_text_config()
        self.spec, self.options, self.tokenizer = spec, options, tokenizer
        self.architecture = stated_in(engine._module.config.to_dict(), spec.name)
        parameter = next(engine._module.parameters())
        self.device: torch.device = parameter.device
        self.dtype: torch.dtype = parameter.dtype
        self.batch_size: int | None = options.batch_size
        self.engine = engine  # nnsight's view of the model; `module` is the model itself
        self.sites = sites_of(engine._module.config.model_type)
        longest = getattr(config, "max_position_embeddings", None)
        words = engine._module.get_input_embeddings().num_embeddings
        self.encoder = Encoder(tokenizer, options.chat_template, longest, words)

    @classmethod
    def load(cls, spec: ModelSpec, options: LoadOptions | None = None) -> Self:
        """Load tokenizer and weights.

        Raises:
            ModelError: If that cannot be done; the message is one sentence with the remedy.
        """
        options = options or LoadOptions()
        tokenizer = load_tokenizer(spec, options)
        return cls(spec, options, load_engine(spec, options, tokenizer), tokenizer)

    @property
    def module(self) -> PreTrainedModel:
        """The bare transformers model."""
        return self.engine._module

    def twin(self, seed: int) -> Self:
        """The same architecture untrained: weights drawn anew as transformers initialises them.

        A seed names one network on each kind of device. The global random state stays as it was.
        """
        engine = fresh_engine(self.engine, self.tokenizer, seed, self.dtype, str(self.device))
        spec = replace(self.spec, name=f"{self.spec.name} (untrained twin {seed})")
        return type(self)(spec, self.options, engine, self.tokenizer)

    def extract(
        self, items: Sequence[Item], position: str = "final", progress: Progress | None = None
    ) -> Activations:
        """Features of every prompt, in the order of `items`, float32.

        Args:
            items: The prompts.
            position: `final`, the last token; `subject`, the last token of the item's subject;
                `mean`, features averaged over all tokens.
            progress: Called with the number of prompts done, after each batch.

        Raises:
            ModelError: If an item names no subject where one is needed, if memory runs out at
                one prompt, or if an activation is not finite (the message names layer, prompt).
        """
        if not items:
            raise ModelError("there are no prompts to measure.")
        if position not in POSITIONS:
            raise ModelError(f"position {position!r} is not one of {', '.join(POSITIONS)}.")
        measure = extraction.mean_features if position == "mean" else extraction.features_at
        at = self.encoder.subject_tokens(items) if position == "subject" else None
        arrays: dict[str, np.ndarray] = {}

        def work(batch: Batch) -> None:
            measured = measure(self.engine, self.sites, batch)
            _refuse_non_finite(measured, [items[row].id for row in batch.rows])
            for field in fields(measured):
                values = getattr(measured, field.name).cpu().numpy()
                shape = (len(items), *values.shape[1:])
                whole = arrays.setdefault(field.name, np.empty(shape, np.float32))
                whole[list(batch.rows)] = values

        self._batched(items, work, progress, at, share=position != "mean")
        return Activations.from_arrays(arrays)

    def score(self, items: Sequence[Item], progress: Progress | None = None) -> Answers:
        """How the model answers each item; see `Answers` for the measures."""
        prompts = self.encoder.ids(items)
        words = [(item.answer, *item.distractors) if item.answer else () for item in items]
        tokens = self.encoder.continuations(items, prompts, words)
        scored: list[list[scoring.Scored]] = [[] for _ in items]

        def work(batch: Batch) -> None:
            wanted = [
                scoring.Continuation(place, tuple(candidate))
                for place, row in enumerate(batch.rows)
                for candidate in tokens[row]
            ]
            found = scoring.score_batch(self.module, batch, wanted) if wanted else []
            for row in batch.rows:
                scored[row] = []
            for continuation, result in zip(wanted, found, strict=True):
                scored[batch.rows[continuation.row]].append(result)

        most = max((len(candidate) for row in tokens for candidate in row), default=0)
        self._batched(items, work, progress, share=True, more=most)
        return scoring.answers_of(scored)

    def references(self, items: Sequence[Item], progress: Progress | None = None) -> Reference:
        """Mean activations over all tokens of these prompts, for mean ablation."""
        if not items:
            raise ModelError("there are no prompts to measure.")
        job = attribution.Means(self._network())
        self._batched(items, job.measure, progress)
        return job.result()

    def sweep(
        self,
        items: Sequence[Item],
        edit_sets: Sequence[EditSet],
        *,
        donors: Sequence[Item] | None = None,
        partial: bool = False,
        progress: Progress | None = None,
    ) -> SweepResult:
        """Every item under every edit set: each set is applied alone, its edits together.

        Args:
            items: The prompts.
            edit_sets: See `harness.interventions.edits`; an empty set leaves the model as it is.
            donors: For resample ablation, the item that each item takes its values from.
            partial: Whether these are some of the prompts only: a set that applies to none of
                them is then no error.
            progress: Called with the number of runs done; they are edit sets times items.

        Raises:
            EditError: If a site lies outside the model, an edit changed nothing though it should
                have, or a set applies to none of the prompts.
            ModelError: If memory runs out at one prompt, or logits are not finite.
        """
        if not items:
            raise ModelError("there are no prompts to measure.")
        job = Sweep(self._network(), items, edit_sets, donors, progress)

        def measure(batch: Batch) -> None:
            wanted = self.batch_size or len(batch.rows)
            job.measure(batch, max(1, min(wanted, self._most(batch.ids.shape[1]))))

        self._batched(items, measure, share=job.shareable)
        return job.result(partial=partial)

    def component_scores(
        self,
        items: Sequence[Item],
        reference: Reference | None = None,
        progress: Progress | None = None,
    ) -> ComponentScores:
        """What mean-ablating each head, neuron and MLP would cost, from one backward pass a batch.

        Args:
            items: The prompts.
            reference: The means; by default those of these prompts.
            progress: Called with the number of prompts done, after each batch.
        """
        if not items:
            raise ModelError("there are no prompts to measure.")
        reference = reference or self.references(items)
        job = attribution.Attribution(self._network(), items, reference)
        self._batched(items, job.measure, progress)
        return job.result()

    def path_scores(
        self,
        items: Sequence[Item],
        kind: attribution.Kind,
        reference: Reference | None = None,
        *,
        steps: int = 5,
        progress: Progress | None = None,
    ) -> PathScores:
        """What each head, or each neuron, contributes where the others are gone in part as well.

        The gradient of `component_scores` says what a component costs beside an intact rest, which
        is next to nothing where others stand in for it. This one is averaged over the way from
        the mean ablation of all components of the kind to the intact model, one forward and
        backward a step; with one step it is `component_scores`.

        Args:
            items: The prompts.
            kind: Which components.
            reference: The means; by default those of these prompts.
            steps: Points of the way, 1/steps, 2/steps ... 1.
            progress: Called with the number of prompts done, after each batch.

        Source: integrated gradients (Sundararajan et al. 2017), with steps as in EAP-IG (Hanna et
        al. 2024). Differs: not the input is on the way but the ablation itself, as a share of
        every component, so that the scores are Aumann-Shapley values of mean ablation.
        """
        if not items:
            raise ModelError("there are no prompts to measure.")
        reference = reference or self.references(items)
        job = attribution.PathAttribution(self._network(), items, reference, kind, steps)
        self._batched(items, job.measure, progress)
        return job.result()

    def _network(self) -> Network:
        return Network(
            self.engine,
            self.sites,
            self.encoder,
            self.architecture.layers,
            self.architecture.heads,
            self.architecture.neurons,
            self.device,
        )

    def residuals_at(
        self, items: Sequence[Item], index: Sequence[int]
    ) -> Float[np.ndarray, "prompt layer d_model"]:
        """The residual stream after each layer at one token of each prompt.

        Args:
            items: The prompts.
            index: For each, the token, counted from the left of the unpadded prompt.
        """
        for item, ids, at in zip(items, self.encoder.ids(items), index, strict=True):
            if not 0 <= at < len(ids):
                raise ModelError(f"prompt {item.id!r} has {len(ids)} tokens, so none at {at}.")
        result = np.empty(
            (len(items), self.architecture.layers, self.architecture.d_model), np.float32
        )

        def work(batch: Batch) -> None:
            found = extraction.residuals(self.engine, self.sites, batch)
            result[list(batch.rows)] = found.cpu().numpy()

        self._batched(items, work, at=index)
        return result

    def next_token_logits(self, items: Sequence[Item]) -> Float[np.ndarray, "prompt d_vocab"]:
        """The model's own logits for the token after each prompt, nothing hooked."""
        result = np.empty((len(items), self.architecture.d_vocab), np.float32)

        def work(batch: Batch) -> None:
            with torch.no_grad():
                output = self.module(**batch.inputs, use_cache=False, logits_to_keep=1)
            result[list(batch.rows)] = output.logits[:, -1].float().cpu().numpy()

        self._batched(items, work)
        return result

    def generate(
        self,
        items: Sequence[Item],
        most: int,
        edits: EditSet = (),
        progress: Progress | None = None,
    ) -> list[str]:
        """What the model writes after each prompt: greedy, `most` tokens at most.

        Args:
            items: The prompts.
            most: Tokens written, fewer where the model ends its text.
            edits: Made on every token; of the residual stream after a layer only.
            progress: Called with the number of prompts done, after each batch.

        Raises:
            EditError: If an edit is of another kind.
        """
        texts = [""] * len(items)

        def work(batch: Batch) -> None:
            written = generation.generate(
                self.module, self.sites, batch, self.tokenizer, most, edits
            )
            for row, text in zip(batch.rows, written, strict=True):
                texts[row] = text

        self._batched(items, work, progress)
        return texts

    def self_check(self) -> checks.SelfCheck:
        """Test the instrument on this model; errors come back as numbers, layer by layer."""
        shared = self._shared_line.error if self._lines_hold else None
        return checks.self_check(self.engine, self.sites, self.encoder, self.device, shared)

    def token_counts(self, items: Sequence[Item]) -> list[int]:
        """Tokens of each prompt as the model reads it."""
        return [len(ids) for ids in self.encoder.ids(items)]

    def _batched(
        self,
        items: Sequence[Item],
        work: Callable[[Batch], None],
        progress: Progress | None = None,
        at: Sequence[int] | None = None,
        *,
        share: bool = False,
        more: int = 0,
    ) -> None:
        """Give all items to `work`, alike lengths together; fewer at a time if memory ends.

        With `share`, prompts that begin alike share lines where that is exact, and stays so if
        `more` tokens follow.
        """
        ids = self.encoder.ids(items)
        lines = self._lines(ids, more) if share else single_lines(ids, range(len(ids)))
        lines.sort(key=lambda line: len(line.ids))
        if self.batch_size is None and ids:
            self.batch_size = self._first_batch_size(max(map(len, ids)))
        start = 0
        while start < len(lines):
            some = lines[start : start + (self.batch_size or FIRST_BATCH)]
            some = some[: self._fitting(some)]
            prompts = [row for line in some for row in line.prompts]
            try:
                work(self.encoder.batch_of(some, self.device, at))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(some) == 1 and len(prompts) > 1:  # a line is wider than its prompts
                    lines[start : start + 1] = single_lines(ids, prompts)
                else:
                    self._shrink(len(some), len(prompts), error)
                continue
            start += len(some)
            if progress is not None:
                progress(len(prompts))

    def _lines(self, ids: Sequence[Sequence[int]], more: int) -> list[Line]:
        """Shared lines where they are exact and a CPU's memory takes them; else one a prompt."""
        lines = shared_lines(ids)
        if all(len(line.prompts) == 1 for line in lines):
            return lines
        widest = max(len(line.ids) for line in lines)
        if not self._network().sees(widest + more) or not self._lines_hold:
            return single_lines(ids, range(len(ids)))
        return [
            part
            for line in lines
            for part in ([line] if self._most(len(line.ids)) else single_lines(ids, line.prompts))
        ]

    @cached_property
    def _shared_line(self) -> checks.SharedLine:
        return checks.shared_line(self.engine, self.sites, self.encoder, self.device)

    @property
    def _lines_hold(self) -> bool:
        """Whether prompts on one line come out as they do apart: not if a model ignores masks."""
        return bool(self._shared_line.parted <= torch.finfo(self.dtype).eps ** 0.5)

    def _fitting(self, lines: Sequence[Line]) -> int:
        """How many of these lines, rising in width, a forward takes.

        No more tokens than as many prompts by themselves would have, few times as many prompts,
        and no more than a CPU's memory takes: running out of it ends the process, with no error
        to halve a batch on.
        """
        asked = self.batch_size or FIRST_BATCH
        fits, longest, prompts = 0, 0, 0
        for count, line in enumerate(lines, 1):
            longest, prompts = max(longest, line.longest), prompts + len(line.prompts)
            many = min(self._most(len(line.ids)), asked * longest // len(line.ids))
            if count > 1 and (count > many or prompts > PROMPTS_A_LINE * asked):
                break
            fits = count
        return fits

    def _most(self, width: int) -> int:
        """How many lines of a width a forward may take; 0 if a CPU's memory takes none."""
        if self.device.type != "cpu":
            return self.batch_size or LARGEST_BATCH
        return PATTERN_CELLS // (self.architecture.heads * width**2)

    def _shrink(self, size: int, prompts: int, error: BaseException) -> None:
        if self.options.batch_size is not None or size == 1:
            remedy = "a smaller --dtype or model" if size == 1 else "--batch-size auto"
            raise ModelError(
                f"memory ran out on {self.device} with {prompts} prompts a batch: try {remedy}."
            ) from error
        self.batch_size = size // 2
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _first_batch_size(self, longest: int) -> int:
        """Prompts that fit into half of a GPU's free memory; `FIRST_BATCH` elsewhere."""
        if self.device.type != "cuda":
            return FIRST_BATCH
        free, _ = torch.cuda.mem_get_info(self.device)
        sizes = self.architecture
        alive = 6 * sizes.d_model + 4 * sizes.neurons + 4 * sizes.heads * longest  # of a token
        kept = 6 * sizes.layers * sizes.neurons + 2 * sizes.d_vocab  # of a prompt
        each = 4 * (longest * alive + kept)
        return max(1, min(LARGEST_BATCH, int(free * MEMORY_SHARE / each)))


def _refuse_non_finite(measured: extraction.BatchFeatures, ids: Sequence[str]) -> None:
    for field in fields(measured):
        values = getattr(measured, field.name)
        if bool(torch.isfinite(values).all()):
            continue
        row, layer, *_ = (int(i) for i in (~torch.isfinite(values)).nonzero()[0])
        raise ModelError(
            f"{field.name} of layer {layer} is not finite on prompt {ids[row]!r}: "
            "try --dtype float32; if it stays, the weights are damaged."
        )
