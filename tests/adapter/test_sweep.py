import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.adapter import LoadOptions, Model, clean, editing
from harness.interventions import edits
from harness.interventions.edits import Edit
from harness.interventions.sites import EditError, Site
from harness.materials.sets import geography
from harness.models.specs import ModelError, resolve
from tests.support import oracle_edits, tiny_models
from tests.support.memory import short_of_memory
from tests.support.tiny_models import ITEMS, in_batches

STORY = tuple(geography(3).items)
SITES = (
    Site("resid", 0),
    Site("attn", 0),
    Site("mlp", 0),
    Site("head", 0, 1),
    Site("neuron", 0, (3, 40, 7)),
    Site("resid", 1),
    Site("attn", 1),
    Site("mlp", 1),
    Site("head", 1, 3),
    Site("neuron", 1),
    Site("resid", -1),
)
ONE_SITE = Site("head", 0, 2)


@pytest.fixture(scope="module")
def model(load):
    return load("qwen2")


def reloaded(model: Model, **options: object) -> Model:
    return Model.load(model.spec, LoadOptions(device="cpu", **options))


def measures(logits: torch.Tensor, model: Model, each) -> list[float]:
    """Log-probability, logit difference and choice, from the logits after a prompt."""
    tokens = [
        model.tokenizer(f"{each.prompt} {word}").input_ids[len(model.encoder.ids([each])[0])]
        for word in (each.answer, *each.distractors)
    ]
    wrong = [logits[t] for t in tokens[1:] if t != tokens[0]]
    margin = float(logits[tokens[0]] - max(wrong))
    return [float(logits.log_softmax(-1)[tokens[0]]), margin, float(margin > 0)]


def row(result, edit_set: int, prompt: int) -> list[float]:
    tables = (result.log_probability, result.logit_difference, result.correct)
    return [float(table[edit_set, prompt]) for table in tables]


def tables(result) -> np.ndarray:
    return np.stack([result.log_probability, result.logit_difference, result.correct])


def part(tensor: torch.Tensor, site: Site, heads: int) -> torch.Tensor:
    """A site's values in its whole tensor, one prompt."""
    if site.kind == "head":
        return tensor.reshape(len(tensor), heads, -1)[:, site.index]
    return tensor if site.index is None else tensor[:, list(site.index)]


def expected_logits(model, each, site, function, positions=None):
    ids = model.encoder.ids([each])[0]
    places = list(range(len(ids))) if positions is None else positions
    change = oracle_edits.change(site.kind, site.index, places, model.architecture.heads, function)
    return oracle_edits.last_logits(model.module, ids, (site.kind, site.layer, change))


@pytest.mark.parametrize("kind", ["qwen2", "llama", "gemma2", "gpt2", "gpt_neox", "phi3", "olmo2"])
def test_every_edit_at_every_site_equals_torch_hooks(load, kind):
    """Zero, mean, resample, patch, add, project out and rescale, all in one sweep.

    Architectures differ in where values are read and written: with all but the first, half of the
    sites show that, and what reads a reference, another run and the values themselves.
    """
    model = load(kind)
    asked, among = (SITES, slice(None)) if kind == "qwen2" else (SITES[:5], slice(1, None, 2))
    items = (STORY[0], STORY[4], replace(ITEMS[0], counterfactual_prompt=ITEMS[0].prompt))
    donors = (STORY[4], ITEMS[0], STORY[1])  # shorter, shorter, and longer than their items
    ids, donor_ids = model.encoder.ids(items), model.encoder.ids(donors)
    other_ids = model.encoder.ids([replace(i, prompt=i.counterfactual_prompt) for i in items])
    assert [len(a) == len(b) for a, b in zip(ids, other_ids, strict=True)] == [True] * 3
    reference = model.references(STORY[:2])
    reference_ids = model.encoder.ids(STORY[:2])
    generator = torch.Generator().manual_seed(0)
    sets, expected = [], []
    for site in asked:

        def values(prompt, site=site):
            whole = oracle_edits.values(model.module, prompt, site.kind, site.layer)
            return part(whole, site, model.architecture.heads)

        mean = torch.cat([values(prompt) for prompt in reference_ids]).mean(0)
        direction = torch.randn(len(mean), generator=generator)
        unit = direction / direction.norm()
        of_site = [
            (edits.zero_ablation(site),),
            (edits.mean_ablation(site, reference),),
            (edits.resample_ablation(site),),
            (edits.patch_from(site),),
            (edits.add_direction(site, direction, 0.5),),
            (edits.project_out(site, direction),),
            (edits.rescale(site, direction, -2.0),),
        ]
        sets += of_site[among]
        rows = []
        for each, donor, other in zip(items, donor_ids, other_ids, strict=True):
            given, patch = values(donor), values(other)

            def resample(x, given=given):
                x, n = x.clone(), min(len(x), len(given))
                x[-n:] = given[-n:]
                return x

            functions = (
                lambda x: 0 * x,
                lambda x, mean=mean: mean.expand_as(x),
                resample,
                lambda x, patch=patch: patch + 0 * x,
                lambda x, d=direction: x + 0.5 * d,
                lambda x, u=unit: x - (x @ u)[:, None] * u,
                lambda x, u=unit: x - 3 * (x @ u)[:, None] * u,
            )
            rows.append(
                [
                    measures(expected_logits(model, each, site, f), model, each)
                    for f in functions[among]
                ]
            )
        expected += list(zip(*rows, strict=True))
    found = model.sweep(items, sets, donors=donors)
    assert found.applicable.all()
    for number in range(len(sets)):
        for prompt in range(len(items)):
            assert row(found, number, prompt) == pytest.approx(
                expected[number][prompt], abs=2e-5
            ), (sets[number][0], prompt)
    effect = np.abs(found.log_probability - found.clean_log_probability)
    assert (effect.max(1) > 1e-4).all()  # each of them does something


@pytest.mark.parametrize("kind", ["qwen2", "llama", "gemma2", "gpt2"])
def test_edits_that_should_change_nothing_change_nothing(load, kind):
    model = load(kind)
    items = (STORY[0], ITEMS[1], STORY[2])
    single = model.references(ITEMS[1:2])  # of one token: the mean is the value itself
    for site in (*SITES[:4], Site("neuron", 1), Site("resid", 1), Site("resid", -1)):
        direction = torch.ones(len(single.at(site)))
        found = model.sweep(
            items,
            [
                (),
                (edits.resample_ablation(site),),
                (edits.add_direction(site, direction, 0.0),),
                (edits.rescale(site, direction, 1.0),),
                (
                    edits.resample_ablation(site),
                    edits.rescale(Site("mlp", 1), torch.ones(32), 1),
                ),
            ],
            donors=items,
        )
        clean = [
            found.clean_log_probability,
            found.clean_logit_difference,
            found.clean_correct,
        ]
        assert np.abs(tables(found) - np.stack(clean)[:, None]).max() == 0
        found = model.sweep(ITEMS[1:2], [(edits.mean_ablation(site, single),)])
        assert found.log_probability[0] == found.clean_log_probability


def many_sets(model: Model) -> list[tuple[Edit, ...]]:
    reference = model.references(STORY)
    heads = [Site("head", layer, h) for layer in range(2) for h in range(4)]
    singles = [(edits.mean_ablation(s, reference),) for s in (*heads, *SITES)]
    places = [
        (edits.zero_ablation(s, p),)
        for s in (ONE_SITE, Site("mlp", 1), Site("resid", 0))
        for p in ("final", "subject", "premises", (-3, -20))
    ]
    direction = torch.randn(32, generator=torch.Generator().manual_seed(2))
    mixed = [
        (),
        (
            edits.zero_ablation(Site("head", 1, 0)),
            edits.mean_ablation(Site("head", 0, 3), reference),
            edits.add_direction(Site("resid", 0), direction, 0.3, "subject"),
        ),
        (edits.patch_from(Site("mlp", 0)), edits.resample_ablation(Site("mlp", 1))),
        (
            edits.zero_ablation(Site("neuron", 0, (1, 2))),
            edits.zero_ablation(Site("mlp", 1), "final"),
        ),
    ]
    return [*singles, *places, *mixed]


@pytest.mark.parametrize("kind", ["qwen2", "llama", "gemma2", "gpt_neox"])
def test_stacked_and_resumed_equals_one_edit_and_one_prompt_at_a_time(load, kind):
    model = load(kind)
    items = STORY[:6]
    donors = STORY[1:7]
    sets = many_sets(model)
    together = in_batches(model, 16).sweep(items, sets, donors=donors)
    alone = in_batches(model, 1)
    for number, edit_set in enumerate(sets):
        prompt = (0, 4)[number % 2]
        one = alone.sweep(
            items[prompt : prompt + 1], [edit_set], donors=donors[prompt : prompt + 1]
        )
        assert row(one, 0, 0) == pytest.approx(row(together, number, prompt), abs=1e-5)
        assert one.clean_log_probability[0] == pytest.approx(
            together.clean_log_probability[prompt], abs=1e-5
        )


def test_edits_of_one_set_act_together(model):
    """A set of a head in each layer, and a later one that sees the earlier's effect."""
    first, second = Site("head", 0, 1), Site("head", 1, 2)
    found = model.sweep(
        STORY[:2],
        [
            (edits.zero_ablation(first), edits.rescale(second, torch.ones(8), 3.0)),
            (edits.rescale(second, torch.ones(8), 3.0), edits.zero_ablation(first)),
        ],
    )
    unit = torch.ones(8) / math.sqrt(8)
    for number, each in enumerate(STORY[:2]):
        ids = model.encoder.ids([each])[0]
        places = list(range(len(ids)))
        zero = oracle_edits.change("head", 1, places, 4, lambda x: 0 * x)
        grow = oracle_edits.change(
            "head", 2, places, 4, lambda x: x + 2 * (x @ unit)[:, None] * unit
        )
        logits = oracle_edits.last_logits(model.module, ids, ("head", 0, zero), ("head", 1, grow))
        for edit_set in (0, 1):
            assert row(found, edit_set, number) == pytest.approx(
                measures(logits, model, each), abs=2e-5
            )


def test_a_distractor_with_the_answers_first_token_is_left_out(model):
    items = (
        replace(STORY[0], answer="New Delhi", distractors=("New York", "Rome")),
        replace(STORY[0], id="same", answer="New Delhi", distractors=("New York",)),
        replace(STORY[0], id="none", answer="New Delhi", distractors=()),
        replace(STORY[0], id="mute", answer="", distractors=("Rome",)),
    )
    alike = replace(STORY[0], answer="New Delhi", distractors=("Rome",))
    found = model.sweep((*items, alike), [(edits.zero_ablation(ONE_SITE),), ()])
    assert found.scorable.tolist() == [True, False, False, False, True]
    assert found.logit_difference[0, 0] == pytest.approx(found.logit_difference[0, 4], abs=1e-5)
    assert np.isnan(found.logit_difference[:, 1:4]).all()
    assert np.isnan(found.correct[:, 1:4]).all()
    assert np.isnan(found.clean_correct[1:4]).all()
    assert np.isnan(found.log_probability).tolist() == [[False, False, False, True, False]] * 2


def test_items_an_edit_does_not_apply_to_are_not_measured_and_counted(model):
    items = (STORY[0], replace(ITEMS[0], subject=None), ITEMS[1])
    sets = [
        (edits.zero_ablation(ONE_SITE, "subject"),),
        (edits.zero_ablation(ONE_SITE, "premises"),),
        (edits.zero_ablation(ONE_SITE, (2,)),),
        (edits.patch_from(ONE_SITE), edits.zero_ablation(ONE_SITE)),
        (edits.zero_ablation(ONE_SITE),),
    ]
    done: list[int] = []
    found = model.sweep(items, sets, progress=done.append)
    assert found.applicable.astype(int).tolist() == [
        [1, 0, 1],
        [1, 0, 0],
        [1, 1, 0],
        [1, 0, 0],
        [1, 1, 1],
    ]
    assert np.isnan(found.correct[~found.applicable]).all()
    assert np.isfinite(found.correct[found.applicable]).all()
    assert sum(done) == 15


def test_a_counterfactual_of_another_length_is_not_measured(model):
    longer = replace(STORY[0], counterfactual_prompt="Is it so? " + STORY[0].prompt)
    found = model.sweep((longer, STORY[1]), [(edits.patch_from(ONE_SITE),)])
    assert found.applicable.tolist() == [[False, True]]


def test_a_set_that_applies_nowhere_is_an_error(model):
    with pytest.raises(EditError, match=r"patch from counterfactual of head 0\.2 applies to none"):
        model.sweep(ITEMS, [(edits.patch_from(ONE_SITE),)])


def model_subject(model: Model, each) -> list[bool]:
    """Tokens of the subject, by decoding up to each token's end."""
    spans = model.tokenizer(each.prompt, return_offsets_mapping=True).offset_mapping
    start, end = each.subject
    return [left < end and right > start for left, right in spans]


def test_positions_are_the_tokens_they_name(model):
    each = STORY[0]
    spans = model.tokenizer(each.prompt, return_offsets_mapping=True).offset_mapping
    premises = each.prompt.index("Question:")
    wanted = {
        "final": [len(spans) - 1],
        "subject": np.flatnonzero(model_subject(model, each)).tolist(),
        "premises": [i for i, (left, _) in enumerate(spans) if left < premises - 1],
        (4, -2): [4, len(spans) - 2],
    }
    assert each.premises
    for site in (Site("head", 0, 0), Site("mlp", 0)):
        found = model.sweep([*STORY[:2], each], [(edits.zero_ablation(site, p),) for p in wanted])
        for number, places in enumerate(wanted.values()):
            logits = expected_logits(model, each, site, lambda x: 0 * x, places)
            assert row(found, number, 2) == pytest.approx(measures(logits, model, each), abs=2e-5)


def test_the_last_layer_elsewhere_than_at_the_end_has_no_effect(model):
    sets = [(edits.zero_ablation(Site(k, 1), "subject"),) for k in ("attn", "mlp", "resid")]
    found = model.sweep(STORY[:3], sets)
    assert np.abs(found.log_probability - found.clean_log_probability).max() == 0


def test_untouched_scores_are_those_of_the_model(model):
    found = model.sweep(STORY[:3], [()])
    for number, each in enumerate(STORY[:3]):
        logits = oracle_edits.last_logits(model.module, model.encoder.ids([each])[0])
        assert row(found, 0, number) == pytest.approx(measures(logits, model, each), abs=2e-5)
    assert (found.clean_log_probability == found.log_probability[0]).all()


def written_to_a_copy(values, _context):
    values.clone().zero_()
    return values


def test_an_edit_that_changes_nothing_is_an_error_that_names_the_site(model):
    lost = Edit(ONE_SITE, written_to_a_copy, name="home-made")
    with pytest.raises(EditError, match=r"home-made of head 0\.2 changed nothing on any prompt"):
        model.sweep(STORY[:2], [(edits.zero_ablation(ONE_SITE),), (lost,)])


def test_ablating_what_is_zero_already_is_no_error(model):
    model = reloaded(model)
    with torch.no_grad():
        model.module.model.layers[0].mlp.up_proj.weight[5] = 0  # a dead neuron
    found = model.sweep(STORY[:2], [(edits.zero_ablation(Site("neuron", 0, (5,))),)])
    assert np.abs(found.log_probability - found.clean_log_probability).max() == 0


def test_a_head_whose_output_has_no_weight_is_no_error(model):
    model = reloaded(model)
    with torch.no_grad():
        model.module.model.layers[0].self_attn.o_proj.weight[:, 16:24] = 0
    found = model.sweep(STORY[:2], [(edits.zero_ablation(ONE_SITE),)])
    assert np.abs(found.log_probability - found.clean_log_probability).max() < 1e-5


@pytest.mark.parametrize("kind", ["attn", "mlp", "head", "neuron"])
def test_a_write_that_the_model_does_not_read_is_an_error(model, monkeypatch, kind):
    index = {"head": 1}.get(kind)
    site = Site(kind, 0, index)
    edit = edits.zero_ablation(site)
    monkeypatch.setattr(editing, "put", lambda *_: None)
    with pytest.raises(EditError, match=f"{site} changed values that the model does not read"):
        model.sweep(STORY[:2], [(edit,)])


def test_a_write_that_cancels_in_one_prompt_is_no_error(model, monkeypatch):
    put = editing.put

    def all_but_the_first(store, site, heads, values):
        kept = store[:1].clone()
        put(store, site, heads, values)
        store[:1] = kept

    monkeypatch.setattr(editing, "put", all_but_the_first)
    found = model.sweep([STORY[0], STORY[5]], [(edits.zero_ablation(Site("neuron", 0)),)])
    assert (found.log_probability != found.clean_log_probability).any()


def test_a_function_may_write_in_place(model):
    def in_place(values, _context):
        return values.zero_()

    found = model.sweep(STORY[:2], [(Edit(ONE_SITE, in_place),), (edits.zero_ablation(ONE_SITE),)])
    assert np.abs(np.diff(tables(found), axis=1)).max() < 1e-6


def test_a_function_of_another_shape_is_an_error(model):
    wrong = Edit(ONE_SITE, lambda values, _: values[..., :1], name="narrow")
    with pytest.raises(EditError, match=r"narrow of head 0\.2 returned values of shape"):
        model.sweep(STORY[:2], [(wrong,)])


@pytest.mark.parametrize(
    "site", [Site("head", 0, 4), Site("mlp", 2), Site("neuron", 1, (0, 48)), Site("resid", 2)]
)
def test_a_site_outside_the_model_is_named(model, site):
    with pytest.raises(EditError, match=f"no site {site}: the model has 2 layers of 4 heads"):
        model.sweep(STORY[:2], [(edits.zero_ablation(site),)])


def test_resampling_needs_a_donor_for_each_item(model):
    with pytest.raises(EditError, match="one donor for each item: pass donors, 2 of them"):
        model.sweep(STORY[:2], [(edits.resample_ablation(ONE_SITE),)], donors=STORY[:1])


def test_no_prompts_are_an_error_and_no_sets_are_a_clean_run(model):
    with pytest.raises(ModelError, match="there are no prompts to measure"):
        model.sweep([], [()])
    with pytest.raises(ModelError, match="there are no prompts to measure"):
        model.references([])
    found = model.sweep(STORY[:2], [])
    assert found.correct.shape == (0, 2)
    assert np.isfinite(found.clean_correct).all()


def test_what_is_not_finite_names_edit_and_prompt(model):
    def explode(values, _context):
        return values / 0

    sets = [(edits.zero_ablation(ONE_SITE),), (Edit(ONE_SITE, explode, name="explosion"),)]
    with pytest.raises(ModelError, match=r"under explosion of head 0\.2 on prompt 'geo000-recall'"):
        in_batches(model, 1).sweep(STORY[:1], sets)
    broken = reloaded(model, batch_size=1)
    with torch.no_grad():
        broken.module.model.norm.weight[0] = float("nan")
    with pytest.raises(ModelError, match="not finite on prompt 'geo000-recall'"):
        broken.sweep(STORY[:1], sets[:1])


def test_batch_size_does_not_change_a_sweep(model):
    sets = many_sets(model)
    items = STORY[:5]
    found = [
        tables(in_batches(model, size).sweep(items, sets, donors=items[::-1]))
        for size in (1, 4, 64)
    ]
    assert np.nanmax(np.abs(found[0] - found[1])) < 1e-5
    assert np.nanmax(np.abs(found[0] - found[2])) < 1e-5


def test_running_out_of_memory_halves_the_stack_and_then_the_batch(model, monkeypatch):
    model = reloaded(model)
    sets = many_sets(model)
    expected = model.sweep(STORY[:4], sets, donors=STORY[1:5])
    short_of_memory(monkeypatch, model.module.model.layers[1].mlp.down_proj, 2)
    done: list[int] = []
    model.batcher.size = 32
    found = model.sweep(STORY[:4], sets, donors=STORY[1:5], progress=done.append)
    assert np.nanmax(np.abs(tables(found) - tables(expected))) < 1e-5
    assert model.batcher.size <= 2
    assert sum(done) == 4 * len(sets)


def test_a_stack_is_halved_before_the_batch(model, monkeypatch):
    model = reloaded(model)
    apart = geography(4).items[::3]  # no two of a pair: none share a line
    sets = [(edits.zero_ablation(Site("neuron", 0, (n,))),) for n in range(8)]
    down = model.module.model.layers[0].mlp.down_proj
    sizes = short_of_memory(monkeypatch, down, 8, "CUDA out of memory")
    model.sweep(apart, sets)
    assert model.batcher.size == 32
    assert sizes == [4, 32, 16, 8, 8, 8, 8]


def test_other_errors_are_not_taken_for_memory(model):
    def broken(_values, _context):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        model.sweep(STORY[:1], [(Edit(ONE_SITE, broken),)])


def test_progress_adds_up_to_edit_sets_times_prompts(model):
    done: list[int] = []
    sets = many_sets(model)
    in_batches(model, 4).sweep(STORY, sets, donors=STORY, progress=done.append)
    assert sum(done) == len(sets) * len(STORY)
    assert len(done) > 10


def test_layers_before_the_edit_are_not_run_again(model, monkeypatch):
    model = reloaded(model)
    calls = {0: [], 1: []}
    for number, layer in enumerate(model.module.model.layers):
        forward = layer.mlp.gate_proj.forward

        def counted(values, number=number, forward=forward):
            calls[number].append(tuple(values.shape[:2]))
            return forward(values)

        monkeypatch.setattr(layer.mlp.gate_proj, "forward", counted)
    width = len(model.encoder.ids(STORY[:1])[0])
    model.sweep(STORY[:1], [(edits.zero_ablation(Site("head", 1, 0)),)])
    assert calls == {0: [(1, width)], 1: [(1, 1), (1, 1)]}
    calls[0].clear(), calls[1].clear()
    model.sweep(STORY[:1], [(edits.zero_ablation(Site("head", 0, 0), (-4,)),)])
    assert calls == {0: [(1, width), (1, 4)], 1: [(1, 1), (1, 1)]}


def test_a_run_that_is_kept_is_not_made_again_and_gives_the_same(model, monkeypatch):
    model, made, run = reloaded(model), [], clean.run_clean

    def counted(*arguments):
        made.append(arguments)
        return run(*arguments)

    monkeypatch.setattr(clean, "run_clean", counted)  # of what is kept: a sweep has its own
    head, first, neuron = map(
        edits.zero_ablation, (Site("head", 1, 3), Site("neuron", 0), Site("neuron", 1))
    )
    donor, sides = edits.resample_ablation(ONE_SITE), STORY[::-1]
    # A sweep of neurons starts after the attention, which is kept of the first layer alone; the
    # last two have a run of the donors beside it.
    for edit, runs in ((head, 1), (first, 1), (neuron, 2), (head, 2), (donor, 4), (donor, 4)):
        kept = model.sweep(STORY, [(edit,)], donors=sides, keep=True)
        assert len(made) == runs
        np.testing.assert_array_equal(
            tables(kept), tables(model.sweep(STORY, [(edit,)], donors=sides))
        )
    monkeypatch.setattr(clean, "KEPT_BYTES", 0)
    for runs in (5, 6):
        model.sweep(STORY[:1], [(head,)], keep=True)
        assert len(made) == runs


def test_a_sliding_window_narrower_than_the_prompt_is_respected(tmp_path):
    folder = tiny_models.save(tmp_path, "mistral", sliding_window=16)
    model = Model.load(resolve(str(folder)), LoadOptions(device="cpu"))
    sites = (Site("head", 0, 0), Site("mlp", 1), Site("resid", 0))
    found = model.sweep(STORY[:2], [(edits.zero_ablation(s, (-3, -1)),) for s in sites])
    for number, site in enumerate(sites):
        for prompt, each in enumerate(STORY[:2]):
            end = len(model.encoder.ids([each])[0])
            logits = expected_logits(model, each, site, lambda x: 0 * x, [end - 3, end - 1])
            assert row(found, number, prompt) == pytest.approx(
                measures(logits, model, each), abs=2e-5
            )


def test_a_chat_template_shifts_the_positions(model):
    model = reloaded(model)
    model.tokenizer.chat_template = "Question : {{ messages[0]['content'] }} Answer :"
    options = replace(model.options, chat_template=True)
    model = Model(model.spec, options, model.engine, model.tokenizer)
    each = STORY[0]
    found = model.sweep([each], [(edits.zero_ablation(ONE_SITE, "subject"),)])
    text = model.encoder.text(each)
    ids = model.encoder.ids([each])[0]
    at = text.index(each.prompt)
    spans = model.tokenizer(text, return_offsets_mapping=True).offset_mapping
    start, end = each.subject[0] + at, each.subject[1] + at
    places = [i for i, (left, right) in enumerate(spans) if left < end and right > start]
    change = oracle_edits.change("head", 2, places, 4, lambda x: 0 * x)
    logits = oracle_edits.last_logits(model.module, ids, ("head", 0, change))
    tokens = model.encoder.continuations([each], [ids], [(each.answer,)])[0][0]
    assert found.log_probability[0, 0] == pytest.approx(
        float(logits.log_softmax(-1)[tokens[0]]), abs=2e-5
    )


def test_half_precision_and_a_placed_model_sweep_too(model):
    sets = many_sets(model)
    expected = tables(model.sweep(STORY[:2], sets, donors=STORY[1:3]))
    placed = reloaded(model, device_map="auto")
    assert np.abs(tables(placed.sweep(STORY[:2], sets, donors=STORY[1:3])) - expected).max() < 1e-5
    half = reloaded(model, dtype="bfloat16").sweep(STORY[:2], sets, donors=STORY[1:3])
    assert half.log_probability.dtype == np.float32
    assert np.abs(half.log_probability - expected[0]).max() < 1.0
