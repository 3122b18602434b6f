"""A sweep of every head and MLP of the embedded model, beside other ways to get the same numbers.

    OMP_NUM_THREADS=1 pytest benchmarks/test_sweep.py

Ours        `Model.sweep`, from items to scores: tokenizing, the clean run and all checks included
floor       bare layers from the edited one on, every position, then norm and last logit; batches
            encoded and clean residual streams known beforehand, nothing edited, no clean run
one trace   an nnsight trace of the whole model for each edit of each batch, one logit a prompt
full logits the same as people write it: logits of every position
one prompt  the same, each prompt by itself (a sample, scaled up)
stacked     four edits of eight prompts in one trace, all layers and positions, last logit
lens        TransformerLens's `generic_activation_patch`, on counterfactual patching of prompts of
            one length; needs the extra `crosscheck`

Each is timed in turn with ours, and `times_ours` is in its `extra_info`. One thread, CPU time.
On the shape of SmolLM2-135M (30 layers of 9 heads, random weights) a head and the MLP of every
fifth layer are edited, on eight prompts: what one edit costs is what is compared.
"""

import statistics
from dataclasses import replace

import nnsight
import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from transformers.masking_utils import create_causal_mask

from benchmarks.interleaved import beside
from benchmarks.untrained import untrained
from fixtures.training import corpus
from fixtures.training.tokenizer import word_tokenizer
from harness.adapter import LoadOptions, Model
from harness.adapter.attention import fused_attention
from harness.interventions import edits
from harness.interventions.sites import Site
from harness.materials import sets
from harness.models.specs import resolve

FLOOR_GOAL, TRACE_GOAL, LENS_GOAL = 1.25, 4.0, 3.0
RANK_GOAL = 0.5  # Spearman of the path's scores of heads with what ablating each of them costs
ROUNDS, COUNT, BATCH, SAMPLE = 3, 64, 32, 4
PEERS = ("floor", "one_trace", "full_logits", "stacked", "one_prompt")
EMBEDDED = ("mini-qwen", "mini-llama")
SMOLLM2 = "shape of SmolLM2-135M"
SIZES = (576, 1536, 30, 9, 3, 49152)  # width, MLP, layers, heads, key-value heads, vocabulary
FEW, EVERY = 8, 5  # prompts and layers of the large shape


class Work:
    """The same sweep in several ways.

    Args:
        name: In the table.
        path: Of the model, if the name is no alias.
        count: Prompts.
        every: Of the layers one in so many is edited, with one head of it; 1 edits all heads.
        double: Whether in double precision.
    """

    def __init__(
        self,
        name: str,
        path: str = "",
        count: int = COUNT,
        every: int = 1,
        *,
        double: bool = False,
    ) -> None:
        torch.set_num_threads(1)
        self.name, self.path, self.every = name, path, every
        self.model = Model.load(resolve(path or name), LoadOptions(device="cpu", batch_size=BATCH))
        self.items = sets.geography(-(-count // 3)).items[:count]
        if double:  # transformers' masks leave padding undefined there: prompts of one length
            self.model.module.double()
            lengths = list(map(len, self.model.encoder.ids(self.items)))
            common = statistics.mode(lengths)
            pairs = zip(self.items, lengths, strict=True)
            self.items = [item for item, length in pairs if length == common]
        self.reference = self.model.references(self.items)
        sizes = self.model.architecture
        layers, heads = range(0, sizes.layers, every), range(1 if every > 1 else sizes.heads)
        self.sites = [Site("head", n, h) for n in layers for h in heads]
        self.sites += [Site("mlp", n) for n in layers]
        self.sets = [(edits.mean_ablation(site, self.reference),) for site in self.sites]
        ids = self.model.encoder.ids(self.items)
        order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        self.batches = [
            self.model.encoder.batch(ids, order[start : start + BATCH], self.model.device)
            for start in range(0, len(ids), BATCH)
        ]
        with torch.no_grad():
            self.resid = [
                self.model.module(
                    **b.inputs, use_cache=False, output_hidden_states=True
                ).hidden_states
                for b in self.batches
            ]

    def ours(self) -> None:
        self.result = self.model.sweep(self.items, self.sets)

    @torch.no_grad()
    def floor(self) -> None:
        module = self.model.module
        for batch, resid in zip(self.batches, self.resid, strict=True):
            for site in self.sites:
                x = resid[site.layer]
                mask = create_causal_mask(
                    config=module.config,
                    inputs_embeds=x,
                    attention_mask=batch.mask,
                    past_key_values=None,
                    position_ids=batch.position_ids,
                )
                turned = module.model.rotary_emb(x, batch.position_ids)
                for layer in module.model.layers[site.layer :]:
                    x = layer(
                        x,
                        attention_mask=mask,
                        position_embeddings=turned,
                        position_ids=batch.position_ids,
                    )
                module.lm_head(module.model.norm(x[:, -1:]))[0, 0, 0].item()

    @torch.no_grad()
    def trace(self, batch, site: Site, keep: int) -> torch.Tensor:
        """One edit in one trace of the whole model."""
        engine, heads = self.model.engine, self.model.architecture.heads
        mean = self.reference.at(site)
        with engine.trace(**batch.inputs, use_cache=False, logits_to_keep=keep) as tracer:
            layer = engine.model.layers[site.layer]
            if site.kind == "head":
                z = layer.self_attn.o_proj.input
                z.view(*z.shape[:-1], heads, -1)[:, :, site.index] = mean
            else:
                layer.mlp.output[:] = mean
            logits = nnsight.save(tracer.result.logits)
        return logits[:, -1]

    def one_trace(self, keep: int = 1) -> None:
        for batch in self.batches:
            for site in self.sites:
                self.trace(batch, site, keep).log_softmax(-1)

    def full_logits(self) -> None:
        self.one_trace(keep=0)

    def one_prompt(self) -> None:
        ids = self.model.encoder.ids(self.items)
        for row in range(SAMPLE):
            batch = self.model.encoder.batch(ids, [row], self.model.device)
            for site in self.sites:
                self.trace(batch, site, 0).log_softmax(-1)

    @torch.no_grad()
    def stacked(self) -> None:
        engine, heads, wide = self.model.engine, self.model.architecture.heads, 4
        for whole in self.batches:
            for part in range(0, len(whole.rows), BATCH // wide):
                rows = slice(part, part + BATCH // wide)
                inputs = {name: values[rows] for name, values in whole.inputs.items()}
                count = len(inputs["input_ids"])
                for start in range(0, len(self.sites), wide):
                    sites = self.sites[start : start + wide]
                    given = {k: v.repeat(len(sites), 1) for k, v in inputs.items()}
                    with engine.trace(**given, use_cache=False, logits_to_keep=1) as tracer:
                        for number, site in sorted(enumerate(sites), key=lambda s: s[1].layer):
                            own = slice(number * count, (number + 1) * count)
                            layer = engine.model.layers[site.layer]
                            mean = self.reference.at(site)
                            if site.kind == "head":
                                z = layer.self_attn.o_proj.input
                                z.view(*z.shape[:-1], heads, -1)[own, :, site.index] = mean
                            else:
                                layer.mlp.output[own] = mean
                        logits = nnsight.save(tracer.result.logits)
                    logits[:, -1].log_softmax(-1)

    def agreement(self) -> dict[str, float]:
        """The largest difference of a log-probability from one trace an edit, in nats.

        In single precision, and in double on the prompts of one length, where only a mistake would
        differ. There traces run the fused attention that sweeps do: eager attention takes its
        softmax in single precision in any model. The norms do too, and the table is in single.
        Beside them, how far single precision by itself is from double on those prompts.
        """
        self.ours()
        single = self.result.log_probability - self.traced()
        exact = Work(self.name, self.path, len(self.items), self.every, double=True)
        exact.reference, exact.sets = self.reference, self.sets
        exact.ours()
        with fused_attention(exact.model.module):
            exactly = exact.traced()
        same = [self.items.index(item) for item in exact.items]
        return {
            "single": float(np.abs(single).max()),
            "double": float(np.abs(exact.result.log_probability - exactly).max()),
            "double_prompts": len(same),
            "ours_single_from_double": self._from(exactly, self.result.log_probability[:, same]),
            "one_trace_single_from_double": self._from(exactly, self.traced()[:, same]),
        }

    @staticmethod
    def _from(expected: np.ndarray, found: np.ndarray) -> float:
        return float(np.abs(found - expected).max())

    def traced(self) -> np.ndarray:
        """Log-probabilities of the answers [site prompt] by one trace an edit of each batch."""
        ids = self.model.encoder.ids(self.items)
        words = [(item.answer,) for item in self.items]
        tokens = self.model.encoder.continuations(self.items, ids, words)
        first = torch.tensor([row[0][0] for row in tokens])
        found = np.empty((len(self.sites), len(self.items)))
        for batch in self.batches:
            rows = list(batch.rows)
            for number, site in enumerate(self.sites):
                logits = self.trace(batch, site, 0).log_softmax(-1)
                found[number, rows] = logits[torch.arange(len(rows)), first[rows]].numpy()
        return found


class Lens:
    """Counterfactual patching of every head and MLP, by us and by TransformerLens."""

    def __init__(self, work: Work) -> None:
        from transformer_lens import patching  # noqa: PLC0415 (an extra)
        from transformer_lens.model_bridge import TransformerBridge  # noqa: PLC0415

        self.model, self.patching = work.model, patching
        pool = [i for i in sets.geography(200).items if i.counterfactual_prompt]
        ids = self.model.encoder.ids(pool)
        others = [replace(i, prompt=i.counterfactual_prompt) for i in pool]
        both = list(zip(pool, ids, self.model.encoder.ids(others), strict=True))
        lengths = [len(own) for _, own, other in both if len(own) == len(other)]
        common = statistics.mode(lengths)
        same = [b for b in both if len(b[1]) == len(b[2]) == common][:BATCH]
        self.items = [b[0] for b in same]
        self.own, self.other = (torch.tensor([b[k] for b in same]) for k in (1, 2))
        words = [(i.answer,) for i in self.items]
        tokens = self.model.encoder.continuations(self.items, [b[1] for b in same], words)
        self.answers = torch.tensor([row[0][0] for row in tokens])
        self.lens = TransformerBridge.boot_transformers(self.model.spec.path, device="cpu").eval()
        self.sets = [(edits.patch_from(site),) for site in work.sites]

    def ours(self) -> None:
        self.found = self.model.sweep(self.items, self.sets).log_probability

    @torch.no_grad()
    def theirs(self) -> None:
        def metric(logits):
            last = logits[:, -1].log_softmax(-1)
            return last[torch.arange(len(self.answers)), self.answers]

        def whole_layer(_value, _index, clean):
            return clean

        _, cache = self.lens.run_with_cache(self.other)
        heads = self.patching.get_act_patch_attn_head_out_all_pos(
            self.lens, self.own, cache, metric, reduce="none"
        )
        mlps = self.patching.generic_activation_patch(
            self.lens,
            self.own,
            cache,
            metric,
            patch_setter=whole_layer,
            activation_name="mlp_out",
            index_axis_names=("layer",),
            reduce="none",
        )
        self.expected = np.concatenate([heads.values.flatten(0, 1).numpy(), mlps.values.numpy()])


@pytest.fixture(scope="module", params=[*EMBEDDED, SMOLLM2])
def work(request, tmp_path_factory):
    if request.param == SMOLLM2:
        folder = tmp_path_factory.mktemp("model")
        untrained(folder, word_tokenizer(corpus.vocabulary()), *SIZES)
        made = Work(SMOLLM2, str(folder), FEW, EVERY)
    else:
        made = Work(request.param)
    made.ours()
    return made


def test_ours(benchmark, work):
    benchmark.group = f"sweep of every head and MLP, {work.name}"
    beside(benchmark, work.ours, rounds=ROUNDS)
    apart = work.agreement()
    benchmark.extra_info.update(apart)
    assert apart["double"] < 1e-5
    assert apart["ours_single_from_double"] < 2 * apart["one_trace_single_from_double"]


@pytest.mark.parametrize("peer", PEERS)
def test_peer(benchmark, work, peer):
    """One prompt at a time is a sample: its ratio is scaled to all prompts."""
    benchmark.group = f"sweep of every head and MLP, {work.name}"
    scale = len(work.items) / SAMPLE if peer == "one_prompt" else 1
    for ratio in beside(benchmark, getattr(work, peer), {"ours": work.ours}, ROUNDS).values():
        benchmark.extra_info["times_ours"] = round(scale * ratio, 2)
        if peer == "floor":
            assert ratio >= 1 / FLOOR_GOAL
        if peer == "one_prompt":
            assert scale * ratio >= TRACE_GOAL


@pytest.mark.parametrize("work", EMBEDDED, indirect=True)  # of random weights no order is right
def test_scores_on_the_path_rank_heads_as_the_sweep_does(benchmark, work):
    benchmark.group = f"sweep of every head and MLP, {work.name}"

    def scores() -> np.ndarray:
        return work.model.path_scores(work.items, "head", work.reference).scores

    heads = np.nanmean(scores(), axis=0).ravel()
    fall = np.nanmean(work.result.lost[: len(heads)], axis=1)
    rank = float(spearmanr(heads, fall)[0])
    benchmark.extra_info["spearman_with_the_sweep"] = round(rank, 3)
    beside(benchmark, scores, {"ours": work.ours}, ROUNDS)
    assert rank >= RANK_GOAL


@pytest.fixture
def lens(work):
    if work.every > 1:
        pytest.skip("TransformerLens's function patches every head")
    pytest.importorskip(
        "transformer_lens", reason="TransformerLens is not installed: extra 'crosscheck'"
    )
    return Lens(work)


@pytest.mark.filterwarnings("ignore")
def test_patching_ours(benchmark, work, lens):
    benchmark.group = f"patching of every head and MLP, {work.name}"
    beside(benchmark, lens.ours, rounds=ROUNDS)


@pytest.mark.filterwarnings("ignore")
def test_patching_transformer_lens(benchmark, work, lens):
    benchmark.group = f"patching of every head and MLP, {work.name}"
    lens.ours()
    for ratio in beside(benchmark, lens.theirs, {"ours": lens.ours}, ROUNDS).values():
        assert ratio >= LENS_GOAL
    apart = float(np.abs(lens.found - lens.expected).max())
    benchmark.extra_info["largest_difference"] = apart
    assert apart < 1e-4
