"""Prompts with a shared prefix, run in one tree: the same numbers from fewer tokens."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from harness.adapter import LoadOptions, Model, batching, checks, encoding
from harness.adapter.batching import PROMPTS_A_TREE
from harness.adapter.checks import PrefixCheck
from harness.adapter.prefix_sharing import MOST, NEW_SHARE, WIDEST, shared_prefix_trees
from harness.interventions import edits
from harness.interventions.sites import Site
from harness.materials import sets
from harness.models.specs import resolve
from tests.support import tiny_models
from tests.support.tiny_models import largest_difference

PLAIN = tuple(sets.geography(3).items)
CROSSED = tuple(sets.geography_crossed(2).items)


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    folders = {}

    def folder(kind: str, **more: object):
        if (kind, *more) not in folders:
            folders[kind, *more] = tiny_models.save(tmp_path_factory.mktemp(kind), kind, **more)
        return str(folders[kind, *more])

    return folder


def load(folder: str, **options: object) -> Model:
    """A model that the test may change."""
    return Model.load(resolve(folder), LoadOptions(device="cpu", **options))


@cache
def loaded(folder: str, *, share: bool = True, **options: object) -> Model:
    """Loaded once, for tests that change nothing; without `share`, prompts never share a prefix."""
    model = load(folder, **options)
    if not share:
        model.batcher.prefix_check = PrefixCheck(np.zeros(2), np.inf)
    return model


@contextmanager
def tokens_run(*models: Model) -> Iterator[list[list[int]]]:
    """Counts the tokens of every forward of each, meanwhile."""
    counts: list[list[int]] = [[] for _ in models]
    hooks = [
        model.module.get_input_embeddings().register_forward_hook(
            lambda _module, given, _out, run=run: run.append(given[0].numel())
        )
        for model, run in zip(models, counts, strict=True)
    ]
    yield counts
    for hook in hooks:
        hook.remove()


def test_each_prompt_is_found_on_its_line_and_what_they_share_stands_there_once():
    ids = [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 9], [7, 8], [1, 2, 3, 4, 9, 6, 6]]
    trees = shared_prefix_trees(ids)
    assert [tree.prompts for tree in trees] == [(0, 1, 3), (2,)]
    assert trees[0].ids == (1, 2, 3, 4, 5, 6, 9, 6, 6)
    assert [c.tolist() for c in trees[0].columns] == [
        [0, 1, 2, 3, 4, 5],
        [0, 1, 2, 3, 6],
        [0, 1, 2, 3, 6, 7, 8],
    ]


def test_trees_hold_every_prompt_once_within_their_bounds():
    random = np.random.default_rng(0)
    for _ in range(200):
        stems = [random.integers(3, size=random.integers(1, 12)).tolist() for _ in range(3)]
        ids = [
            [*stems[random.integers(3)], *random.integers(4, size=random.integers(1, 6)).tolist()]
            for _ in range(random.integers(1, 12))
        ]
        trees = shared_prefix_trees(ids)
        assert sorted(row for tree in trees for row in tree.prompts) == list(range(len(ids)))
        for tree in trees:
            found = [[tree.ids[c] for c in columns] for columns in tree.columns]
            assert found == [ids[row] for row in tree.prompts]
            assert len(tree.ids) <= WIDEST * tree.longest
            assert len(tree.prompts) <= MOST
            for before, columns in zip(tree.columns, tree.columns[1:], strict=False):
                assert len(np.setdiff1d(columns, before)) <= NEW_SHARE * len(columns)


def test_a_long_beginning_common_to_all_does_not_make_one_endless_line():
    ids = [[0] * 90 + [n] * 10 for n in range(1, 101)]
    trees = shared_prefix_trees(ids)
    assert max(len(tree.ids) for tree in trees) == 200
    assert len(trees) == 10


@pytest.mark.parametrize("kind", sorted(tiny_models.CONFIGS))
def test_features_and_answers_are_those_of_the_prompts_apart(folder_of, kind):
    together, apart = loaded(folder_of(kind)), loaded(folder_of(kind), share=False)
    assert together.batcher.prefix_check.parted < 1e-4
    with tokens_run(together, apart) as counts:
        for items in (PLAIN, CROSSED):
            assert largest_difference(together.extract(items), apart.extract(items)) < 2e-5
            assert largest_difference(together.score(items), apart.score(items)) < 2e-5
    assert sum(counts[0]) < 0.7 * sum(counts[1])


def edit_sets(model: Model) -> list[edits.EditSet]:
    reference = model.references(PLAIN[:4])
    sites = [Site("resid", -1)]
    for layer in (0, 1):
        sites += [Site(kind, layer) for kind in ("attn", "mlp", "resid", "neuron")]
        sites += [Site("head", layer, 1), Site("neuron", layer, (3, 7, 40))]
    sets: list[edits.EditSet] = [()]
    for site in sites:
        sets += [
            (edits.mean_ablation(site, reference),),
            (edits.zero_ablation(site, "final"),),
            (edits.zero_ablation(site, "subject"),),
            (edits.zero_ablation(site, (2, -2)),),
            (edits.resample_ablation(site),),
        ]
    patched = (edits.patch_from(Site("mlp", 0)), edits.zero_ablation(Site("head", 1, 0)))
    return [*sets, patched, (edits.zero_ablation(Site("mlp", 0), "premises"),)]


@pytest.mark.parametrize("kind", ["qwen2", "llama", "gemma2", "gpt2", "gpt_neox", "olmo2", "phi3"])
def test_a_sweep_is_that_of_the_prompts_apart(folder_of, kind):
    """Edits of shared tokens and of single prompts' own, and edits that part the prompts."""
    together, apart = loaded(folder_of(kind)), loaded(folder_of(kind), share=False)
    sets, donors = edit_sets(together), (*PLAIN[3:], *PLAIN[:3])
    with tokens_run(together, apart) as counts:
        found, expected = (m.sweep(PLAIN, sets, donors=donors) for m in (together, apart))
    for name, array in found.arrays().items():
        np.testing.assert_allclose(array, expected.arrays()[name], atol=2e-5, err_msg=name)
    assert (found.log_probability[0] == found.clean_log_probability).all()
    assert sum(counts[0]) < 0.9 * sum(counts[1])


def test_where_prompts_disagree_on_a_token_they_share_they_are_run_apart(folder_of):
    """The last token of one prompt is in the middle of the other."""
    whole = PLAIN[0]
    cut = replace(whole, id="cut", prompt=whole.prompt.removesuffix(" Answer:"))
    assert cut.prompt != whole.prompt
    model, apart = loaded(folder_of("qwen2")), loaded(folder_of("qwen2"), share=False)
    sets = [(edits.zero_ablation(Site("mlp", 0), p),) for p in ("final", "all")]
    found, expected = (m.sweep((whole, cut), sets) for m in (model, apart))
    np.testing.assert_allclose(found.log_probability, expected.log_probability, atol=2e-5)
    assert np.abs(found.log_probability - found.clean_log_probability).min() > 1e-4


@pytest.mark.parametrize("kind", ["head", "attn", "mlp", "neuron", "resid"])
def test_the_last_layer_where_another_prompt_ends_changes_nothing(folder_of, kind):
    """To the bit: such a row is the intact one."""
    model = loaded(folder_of("qwen2"))
    ends = {len(ids) - 1 for ids in model.encoder.ids(PLAIN)}
    places = [(at,) for at in range(min(ends) - 12, min(ends))]
    site = Site(kind, 1, 2 if kind == "head" else None)
    found = model.sweep(PLAIN, [(edits.zero_ablation(site, p),) for p in places])
    assert (found.log_probability == found.clean_log_probability).all()


@pytest.mark.parametrize("copies", [2, 100])
def test_the_same_prompt_twice_is_one_line(folder_of, copies):
    items = [replace(PLAIN[0], id=str(n)) for n in range(copies)]
    model, apart = loaded(folder_of("qwen2")), loaded(folder_of("qwen2"), share=False)
    kinds = (Site("head", 1, 0), Site("resid", 1), Site("mlp", 0))
    sets = [(), *((edits.zero_ablation(site, "final"),) for site in kinds)]
    found, expected = (m.sweep(items, sets) for m in (model, apart))
    np.testing.assert_allclose(found.log_probability, expected.log_probability, atol=2e-5)
    assert largest_difference(model.score(items), apart.score(items)) < 2e-5


def test_a_model_that_ignores_the_mask_runs_prompts_apart(folder_of, monkeypatch):
    expected = loaded(folder_of("qwen2"), share=False).extract(CROSSED)
    monkeypatch.setattr(encoding, "additive", lambda sees: torch.zeros(sees.shape)[:, None])
    blind = load(folder_of("qwen2"))
    assert blind.batcher.prefix_check.parted > 1e-2
    assert largest_difference(blind.extract(CROSSED), expected) == 0
    assert "shared" not in blind.self_check().worst()


def test_a_huge_activation_hides_no_ignored_mask(folder_of, monkeypatch):
    """In bfloat16, with one value of one token hundreds of times as large as all others."""

    def trial(mask=None):
        model = load(folder_of("llama"), dtype="bfloat16")
        first = model.encoder.ids([tiny_models.item(checks.PROBE_TEXTS[0])])[0][0]
        with torch.no_grad():
            model.module.get_input_embeddings().weight[first, 0] += 300
        if mask is not None:
            monkeypatch.setattr(encoding, "additive", mask)
        return model.batcher.shares_prefixes, model.batcher.prefix_check

    holds, _ = trial()
    assert holds
    holds, blind = trial(lambda sees: torch.zeros(sees.shape)[:, None])
    assert blind.error.max() < blind.parted
    assert not holds


@pytest.mark.parametrize("kind", ["qwen2", "llama", "gemma3_text"])
def test_in_double_precision_each_prompt_has_its_own_values(folder_of, kind):
    """Fused attention on a CPU reads a mask of single precision as one of double precision."""
    model = load(folder_of(kind))
    model.module.double()
    assert len(shared_prefix_trees(model.encoder.ids(PLAIN))) < len(PLAIN)
    sets = [(), *((edits.zero_ablation(Site("mlp", layer)),) for layer in (0, 1))]
    found = model.sweep(PLAIN, sets).log_probability
    alone = [model.sweep([item], sets).log_probability for item in PLAIN]
    np.testing.assert_allclose(found, np.concatenate(alone, axis=1), atol=2e-5)
    plain = [log_probability(model, item) for item in PLAIN]
    np.testing.assert_allclose(found[0], plain, atol=2e-5)
    np.testing.assert_allclose(model.score(PLAIN).log_probability, plain, atol=2e-5)


def test_numbers_that_are_none_refuse_to_share(folder_of, monkeypatch):
    model = load(folder_of("qwen2"))
    monkeypatch.setattr(
        encoding, "additive", lambda sees: torch.full(sees.shape, torch.nan)[:, None]
    )
    assert not model.batcher.shares_prefixes


def test_a_window_narrower_than_a_line_keeps_prompts_apart(folder_of):
    folder = folder_of("mistral", sliding_window=40)
    together, apart = loaded(folder), loaded(folder, share=False)
    assert max(map(len, together.encoder.ids(PLAIN))) > 40
    assert largest_difference(together.extract(PLAIN), apart.extract(PLAIN)) == 0


@pytest.mark.parametrize("kind", ["mistral", "gemma2", "gemma3_text", "phi3"])
@pytest.mark.parametrize("beyond", [0, 3])
def test_answers_and_donors_longer_than_the_window_are_as_apart(folder_of, kind, beyond):
    """The tree fits into the window; what follows the prompts, or is patched from, does not."""
    ids = loaded(folder_of("qwen2"), share=False).encoder.ids(PLAIN[:3])
    width = max(len(tree.ids) for tree in shared_prefix_trees(ids))
    folder = folder_of(kind, sliding_window=width + beyond)
    together, apart = loaded(folder), loaded(folder, share=False)
    answers = ("Buenos Aires", "New Delhi", "South America")  # of several tokens
    items = [replace(i, distractors=answers) for i in PLAIN[:3]]
    assert largest_difference(together.score(items), apart.score(items)) < 2e-5
    long = [replace(i, id=f"long {i.id}", prompt=f"{items[0].prompt} {i.prompt}") for i in items]
    assert len(shared_prefix_trees(together.encoder.ids(long))) == 1
    sets = [(edits.resample_ablation(Site(k, 0)),) for k in ("mlp", "resid")]
    sets.append((edits.zero_ablation(Site("mlp", 0)),))
    found, expected = (m.sweep(items, sets, donors=long) for m in (together, apart))
    np.testing.assert_allclose(found.log_probability, expected.log_probability, atol=2e-5)


@pytest.mark.parametrize("kind", ["mistral", "gemma2", "gemma3_text"])
def test_a_window_of_eight_tokens_gives_what_transformers_gives_prompt_by_prompt(folder_of, kind):
    """The shared prefix, the padding and the answers all reach beyond the window."""
    folder = folder_of(kind, sliding_window=8)
    model, alone = loaded(folder), loaded(folder, share=False, batch_size=1)
    items = [replace(i, distractors=("Buenos Aires", "New Delhi")) for i in PLAIN]
    assert min(map(len, model.encoder.ids(items))) > 8
    assert largest_difference(model.extract(items), alone.extract(items)) < 2e-5
    assert largest_difference(model.score(items), alone.score(items)) < 2e-5
    sets = [(), *((edits.zero_ablation(Site(k, 0), "final"),) for k in ("attn", "mlp"))]
    found, expected = (m.sweep(items, sets) for m in (model, alone))
    np.testing.assert_allclose(found.log_probability, expected.log_probability, atol=2e-5)
    plain = [log_probability(model, item) for item in items]
    np.testing.assert_allclose(model.score(items).log_probability, plain, atol=2e-5)


def log_probability(model: Model, item) -> float:
    """Of the answer, by transformers alone: no padding, no cache, no hooks."""
    prompt = model.encoder.ids([item])[0]
    answer = model.encoder.continuations([item], [prompt], [[item.answer]])[0][0]
    with torch.no_grad():
        logits = model.module(torch.tensor([[*prompt, *answer]]), use_cache=False).logits[0]
    ways = logits.float().log_softmax(-1)[len(prompt) - 1 : -1]
    return float(sum(row[token] for row, token in zip(ways, answer, strict=True)))


def test_a_line_that_memory_does_not_take_is_run_prompt_by_prompt(folder_of, monkeypatch):
    model, apart = load(folder_of("qwen2")), loaded(folder_of("qwen2"), share=False)
    assert model.batcher.shares_prefixes  # the trial is over
    longest = max(map(len, model.encoder.ids(CROSSED)))
    down = model.module.model.layers[0].mlp.down_proj
    forward = down.forward

    def small_only(values):
        if values.shape[0] * values.shape[1] > longest:
            raise RuntimeError("CUDA out of memory")
        return forward(values)

    monkeypatch.setattr(down, "forward", small_only)
    assert largest_difference(model.extract(CROSSED), apart.extract(CROSSED)) < 2e-5


def test_a_line_wider_than_a_cpu_takes_is_not_made(folder_of, monkeypatch):
    model = loaded(folder_of("qwen2"))
    ids = model.encoder.ids(CROSSED)
    assert max(len(tree.prompts) for tree in model.batcher.trees(ids, 0)) > 1
    longest = max(map(len, ids))
    monkeypatch.setattr(batching, "PATTERN_CELLS", model.architecture.heads * longest**2)
    assert {len(tree.prompts) for tree in model.batcher.trees(ids, 0)} == {1}


def test_sets_that_part_the_prompts_keep_to_the_batch_size(folder_of):
    """One prefix for all, so that many prompts share a tree."""
    model = load(folder_of("qwen2"), batch_size=2)
    start = PLAIN[0].prompt.removesuffix(" Answer:")
    words = ("Paris", "Rome", "Oslo", "Bern", "Lima", "Quito", "Cairo", "Tunis")
    items = [replace(PLAIN[0], id=w, prompt=f"{start} {w} Answer:") for w in words]
    assert len(model.batcher.trees(model.encoder.ids(items), 0)) == 1
    rows: list[int] = []
    down = model.module.model.layers[0].mlp.down_proj
    down.register_forward_hook(lambda _module, given, _out: rows.append(len(given[0])))
    donors, site = [*items[1:], items[0]], Site("resid", -1)
    sets = [(edits.resample_ablation(site),), (edits.zero_ablation(site),)]
    found = model.sweep(items, sets, donors=donors)
    assert 1 in rows  # the tree itself
    expected = loaded(folder_of("qwen2"), share=False).sweep(items, sets, donors=donors)
    np.testing.assert_allclose(found.log_probability, expected.log_probability, atol=2e-5)
    assert max(rows) <= 2


def test_a_batch_holds_few_times_as_many_prompts_as_trees(folder_of):
    model = loaded(folder_of("qwen2"), batch_size=8)
    trees = model.batcher.trees([[5] * 60 + [n] for n in range(6, 206)], 0)
    assert max(len(tree.prompts) for tree in trees) == MOST
    while trees:
        some = trees[: model.batcher.fitting(trees[: model.batcher.size])]
        assert sum(len(tree.prompts) for tree in some) <= max(MOST, PROMPTS_A_TREE * 8)
        trees = trees[len(some) :]


def test_the_self_check_measures_prompts_on_one_line(folder_of):
    model = loaded(folder_of("llama"))
    shared = model.self_check().worst()["shared"]
    assert 0 < shared < 1e-5


@pytest.mark.parametrize("size", [1, 3, 64])
def test_the_batch_size_changes_nothing(folder_of, size):
    model = loaded(folder_of("qwen2"), batch_size=size)
    expected = loaded(folder_of("qwen2"), share=False)
    assert largest_difference(model.extract(CROSSED), expected.extract(CROSSED)) < 2e-5
