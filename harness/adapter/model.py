"""The front of the adapter: a loaded model and what can be asked of it."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Self

import numpy as np
import torch
from jaxtyping import Float
from nnsight import TransformersModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from harness.activations.extracted import Activations, Answers
from harness.activations.swept import PathScores, SweepResult
from harness.adapter import (
    answers,
    attribution,
    checks,
    extraction,
    generation,
    owned,
    scoring,
    tuning,
)
from harness.adapter.batching import Batcher
from harness.adapter.clean import CleanRuns, Network
from harness.adapter.encoder_decoders import OneStream
from harness.adapter.encoders import is_encoder
from harness.adapter.encoding import Batch, Encoder
from harness.adapter.finding import sites_in
from harness.adapter.loading import (
    SMALL,
    fresh_engine,
    load_engine,
    load_tokenizer,
)
from harness.adapter.overflow import refuse_overflow, remedy
from harness.adapter.sweep import Progress, Sweep
from harness.adapter.trial import refuse_misread
from harness.interventions.edits import EditSet, Reference
from harness.interventions.steps import Steps
from harness.materials.items import Item
from harness.models.architecture import stated_in
from harness.models.hub import pinned
from harness.models.specs import LoadOptions, ModelError, ModelSpec


class Model:
    """A loaded model; not safe to use from several threads.

    Attributes:
        spec: Which model.
        options: How it was loaded.
        tokenizer: Its tokenizer.
        engine: nnsight's view of the model; `module` is the transformers model itself.
        architecture: Its sizes.
        sites: Where its parts are.
        device: Where prompts go in.
        dtype: Of the weights.
        encoder: From prompts to token ids.
        network: All of the above that a run of the model needs.
        batcher: How prompts are put into batches.
        kept: Runs without edits that later sweeps start from.
    """

    def __init__(
        self,
        spec: ModelSpec,
        options: LoadOptions,
        engine: TransformersModel,
        tokenizer: PreTrainedTokenizerBase,
    ) -> None:
        self.spec, self.options, self.tokenizer = spec, options, tokenizer
        self.engine = engine
        config = self.module.config
        self.architecture = stated_in(config.to_dict(), spec.name)
        self.sites = sites_in(self.module)
        parameter = next(self.module.parameters())
        self.device: torch.device = parameter.device
        self.dtype: torch.dtype = parameter.dtype
        longest = getattr(config.get_text_config(), "max_position_embeddings", None)
        words = self.module.get_input_embeddings().num_embeddings
        self.encoder = Encoder(
            tokenizer, options.chat_template, longest, words, dict(options.template_args)
        )
        if is_encoder(config):
            self.encoder = answers.asking_masks(self.encoder, self.module, spec.name)
        elif not self.sites.causal:
            self.encoder = replace(self.encoder, causal=False)
        self.network = Network(engine, self.sites, self.encoder, self.architecture, self.device)
        self.batcher = Batcher(self.network, options.batch_size)
        self.kept = CleanRuns(self.network)

    @classmethod
    def load(cls, spec: ModelSpec, options: LoadOptions | None = None) -> Self:
        """Load tokenizer and weights.

        Raises:
            ModelError: If that fails; the message is one sentence with the remedy.
        """
        spec, options = pinned(spec), options or LoadOptions()
        tokenizer = load_tokenizer(spec, options)
        model = cls(spec, options, load_engine(spec, options, tokenizer), tokenizer)
        refuse_misread(model)
        return model

    @property
    def module(self) -> PreTrainedModel:
        """The bare transformers model."""
        return self.engine._module

    @property
    def large(self) -> bool:
        """Whether its weights take so much memory that they should be freed at once."""
        return bool(self.module.num_parameters() >= SMALL)

    def twin(self, seed: int) -> Self:
        """The same architecture untrained: weights drawn anew as transformers initialises them.

        A seed names one network on each kind of device. The global random state stays as it was.
        """
        engine = fresh_engine(self.engine, self.tokenizer, seed, self.dtype, str(self.device))
        spec = replace(self.spec, name=f"{self.spec.name} (untrained twin {seed})")
        return type(self)(spec, self.options, engine, self.tokenizer)

    def extract(self, items: Sequence[Item]) -> Activations:
        """Features of every prompt at its last token, in the order of `items`, float32.

        Raises:
            ModelError: If memory runs out at one prompt, or if an activation is not finite (the
                message names layer, prompt).
        """
        _refuse_none(items)
        arrays: dict[str, np.ndarray] = {}

        def work(batch: Batch) -> None:
            measured = extraction.features(self.engine, self.sites, batch)
            _refuse_non_finite(measured, [items[row].id for row in batch.rows], self.dtype)
            for field in fields(measured):
                values = getattr(measured, field.name).cpu().numpy()
                shape = (len(items), *values.shape[1:])
                whole = arrays.setdefault(field.name, np.empty(shape, np.float32))
                whole[list(batch.rows)] = values

        self.batcher.run(items, work, share=True)
        return Activations.from_arrays(arrays)

    def score(self, items: Sequence[Item]) -> Answers:
        """How the model answers each item; see `Answers` for the measures."""
        self._refuse_unanswering()
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
            results = self._scores(batch, wanted) if wanted else []
            scores = torch.tensor([[result.log_probability] for result in results])
            ids = [items[batch.rows[c.row]].id for c in wanted]
            refuse_overflow(self.network, batch, scores, ids)
            for row in batch.rows:
                scored[row] = []
            for continuation, result in zip(wanted, results, strict=True):
                scored[batch.rows[continuation.row]].append(result)

        most = max((len(candidate) for row in tokens for candidate in row), default=0)
        self.batcher.run(items, work, share=True, more=most)
        return scoring.answers_of(scored)

    def _scores(self, batch: Batch, wanted: Sequence[scoring.Continuation]) -> list[scoring.Scored]:
        if self.encoder.suffix:
            padding = self.tokenizer.pad_token_id
            return answers.score_masked(self.module, batch, wanted, padding)
        if isinstance(self.module, OneStream):
            return answers.score_written(self.module, batch, wanted)
        return scoring.score_batch(self.engine, self.sites, batch, wanted)

    def _refuse_unanswering(self) -> None:
        lacks = getattr(self.module, "lacks", "")
        if lacks:
            raise ModelError(
                f"{self.spec.name} gives no answers: the head that fills masks ({lacks}) is not "
                "among its weights, so that its features can be read and nothing can be asked."
            )

    def references(self, items: Sequence[Item]) -> Reference:
        """Mean activations over all tokens of these prompts, for mean ablation."""
        _refuse_none(items)
        job = attribution.Means(self.network)
        self.batcher.run(items, job.measure)
        return job.result()

    def sweep(
        self,
        items: Sequence[Item],
        edit_sets: Sequence[EditSet],
        *,
        donors: Sequence[Item] | None = None,
        partial: bool = False,
        keep: bool = False,
        progress: Progress | None = None,
    ) -> SweepResult:
        """Every item under every edit set: each set is applied alone, its edits together.

        Args:
            items: The prompts.
            edit_sets: See `harness.interventions.edits`; an empty set leaves the model intact.
            donors: For resample ablation, the item that each item takes its values from.
            partial: Whether these are only part of the prompts; then a set that applies to none of
                them is not an error.
            keep: Whether runs without edits are kept for later sweeps of the same prompts: only
                while the weights stay as they are.
            progress: Called with the number of new cells, an edit set on an item each.

        Raises:
            EditError: If a site lies outside the model, an edit changed nothing though it should
                have, or a set applies to none of the prompts.
            ModelError: If memory runs out at one prompt, or logits are not finite.
        """
        _refuse_none(items)
        self._refuse_unanswering()
        kept = self.kept if keep else None
        job = Sweep(self.network, items, edit_sets, donors, progress, kept)

        def measure(batch: Batch) -> None:
            job.measure(batch, self.batcher.rows_of(batch))

        self.batcher.run(items, measure, share=job.shareable)
        return job.result(partial=partial)

    def path_scores(
        self,
        items: Sequence[Item],
        kind: attribution.AttributedKind,
        reference: Reference | None = None,
        *,
        steps: int = 5,
    ) -> PathScores:
        """What each head, or each neuron, contributes while the others are partly ablated too.

        The gradient of the intact model says what a component costs while the others are intact,
        which is almost nothing where others can replace it. This gradient is averaged over a
        path from the mean ablation of all components of the kind to the intact model, with one
        forward and backward pass a step; with one step it is that of the intact model.

        Args:
            items: The prompts.
            kind: Which components.
            reference: The means; by default those of these prompts.
            steps: Points on the path: 1/steps, 2/steps ... 1.

        Source: integrated gradients (Sundararajan et al. 2017), with steps as in EAP-IG (Hanna et
        al. 2024). Differs: the path does not scale the input but every component, between its
        mean and its value, so that the scores are Aumann-Shapley values of mean ablation.
        """
        _refuse_none(items)
        self._refuse_unanswering()
        reference = reference or self.references(items)
        job = attribution.PathAttribution(self.network, items, reference, kind, steps)
        self.batcher.run(items, job.measure)
        return job.result()

    def untunable(self, kind: attribution.AttributedKind) -> str:
        """Why the parameters of heads, or of neurons, cannot be tuned; empty if they can."""
        return owned.untunable(self.network, kind)

    def unlearned(
        self,
        items: Sequence[Item],
        judged: Sequence[Item],
        kind: attribution.AttributedKind,
        members: owned.Members | None,
        *,
        like: owned.Members,
        steps: Steps,
    ) -> tuple[SweepResult, tuning.Tuned]:
        """How items are answered after others were unlearnt; the weights are put back exactly.

        Args:
            items: What is unlearnt: the model is tuned to take any option for the answer.
            judged: What is asked then.
            kind: Of the components.
            members: Those whose parameters are tuned; None for all parameters of the model.
            like: Components by whose parameters the size of a step is measured.
            steps: How far the tuning goes.

        Raises:
            ModelError: If a gradient is not finite.
        """
        _refuse_none(items)
        measure = owned.parts_of(self.network, kind, like)
        length = steps.size * owned.length_of([part.of(part.parameter.data) for part in measure])
        if members is None:
            parts = owned.whole(self.network)
        else:
            parts = owned.parts_of(self.network, kind, members)
        with tuning.tuned(self.network, self.batcher, items, parts, length, steps) as done:
            return self.sweep(judged, [()], partial=True), done

    @property
    def rounding(self) -> float:
        """One step of rounding of a value, as a share of it at most: that of the weights' dtype."""
        return float(torch.finfo(self.dtype).eps)

    def residuals_at(
        self, items: Sequence[Item], tokens: Sequence[Sequence[int]], *, together: int = 1
    ) -> Float[np.ndarray, "prompt token layer d_model"]:
        """The residual stream after each layer at some tokens of each prompt, float32.

        Args:
            items: The prompts, each on a line of its own.
            tokens: Of each prompt, as many of each, counted from the left of the unpadded prompt.
            together: See `Batcher.run`.

        Raises:
            ModelError: If a prompt has no such token.
        """
        for item, ids, wanted in zip(items, self.encoder.ids(items), tokens, strict=True):
            for at in wanted:
                if not 0 <= at < len(ids):
                    raise ModelError(f"prompt {item.id!r} has {len(ids)} tokens, so none at {at}.")
        sizes = self.architecture
        result = np.empty((*np.shape(tokens), sizes.layers, sizes.d_model), np.float32)

        def work(batch: Batch) -> None:
            wanted = [tokens[row] for row in batch.rows]
            resid = extraction.residuals(self.engine, self.sites, batch, wanted)
            ids = [items[row].id for row in batch.rows]
            refuse_overflow(self.network, batch, resid, ids)
            result[list(batch.rows)] = resid.cpu().numpy()

        self.batcher.run(items, work, together=together)
        return result

    def generate(self, items: Sequence[Item], most: int, edits: EditSet = ()) -> list[str]:
        """What the model writes after each prompt: greedy, `most` tokens at most.

        Args:
            items: The prompts.
            most: Tokens written at most; fewer where the model ends its text.
            edits: Applied at every token that is read and written; edits of heads, of neurons and
                of the residual stream after a layer only.

        Raises:
            EditError: If an edit is of another kind.
            ModelError: If the model is no decoder.
        """
        if not self.sites.causal:
            raise ModelError(
                f"{self.spec.name} has an encoder ({self.architecture.name}), and what a model "
                "writes is measured of decoders alone: leave out claims on written text."
            )
        texts = [""] * len(items)

        def work(batch: Batch) -> None:
            written = generation.generate(self.network, batch, most, edits)
            for row, text in zip(batch.rows, written, strict=True):
                texts[row] = text

        self.batcher.run(items, work, share=True, more=most)
        return texts

    def self_check(self) -> checks.SelfCheck:
        """Test the instrument on this model; errors come back as numbers, layer by layer."""
        shared = self.batcher.prefix_check.error if self.batcher.shares_prefixes else None
        return checks.self_check(self.network, shared)


def _refuse_none(items: Sequence[Item]) -> None:
    if not items:
        raise ModelError("there are no prompts to measure.")


def _refuse_non_finite(
    measured: extraction.BatchFeatures, ids: Sequence[str], dtype: torch.dtype
) -> None:
    """Refuse features that are not finite, naming the first layer that has one."""
    found = []
    for field in fields(measured):
        wrong = (~torch.isfinite(getattr(measured, field.name))).nonzero()
        if len(wrong):
            row, layer, *_ = wrong[wrong[:, 1].argmin()].tolist()
            found.append((layer, row, field.name))
    if found:
        layer, row, name = min(found)
        raise ModelError(
            f"{name} of layer {layer} is not finite on prompt {ids[row]!r}: {remedy(dtype)}."
        )
