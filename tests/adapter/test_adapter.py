import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.adapter import LoadOptions, Model, batching, checks, encoding
from harness.adapter.prefix_sharing import separate_trees
from harness.adapter.scoring import Continuation, score_batch
from harness.materials import sets
from harness.models.architecture import architecture_of
from harness.models.specs import ModelError, resolve
from tests.support import oracle, tiny_models
from tests.support.memory import short_of_memory
from tests.support.tiny_models import ITEMS, in_batches, item, largest_difference


@pytest.fixture(scope="module")
def model(load):
    return load("qwen2")


def reloaded(model: Model, **options: object) -> Model:
    return Model.load(model.spec, LoadOptions(device="cpu", **options))


@pytest.mark.parametrize("kind", tiny_models.CONFIGS)
def test_extraction_equals_torch_hooks_on_the_bare_model(load, kind):
    model = load(kind)
    alone = in_batches(model, 1)
    measured = alone.extract(ITEMS[:3]).arrays()
    for number, ids in enumerate(model.encoder.ids(ITEMS[:3])):
        expected = oracle.features(oracle.run(model.module, ids), len(ids) - 1)
        for name, values in measured.items():
            assert values.dtype == np.float32
            np.testing.assert_allclose(
                values[number], expected[name], rtol=2e-6, atol=2e-6, err_msg=name
            )


@pytest.mark.parametrize("kind", tiny_models.CONFIGS)
def test_the_self_check_passes_and_padding_changes_nothing(load, kind):
    model = load(kind)
    worst = model.self_check().worst()
    assert worst.pop("zeroed") > 1e-4
    assert max(worst.values()) < 1e-5, worst
    together = in_batches(model, 5).extract(ITEMS)
    alone = in_batches(model, 1).extract(ITEMS)
    assert largest_difference(together, alone) < 1e-5


def test_attributes_come_from_the_configuration(load):
    model = load("qwen2")
    assert model.architecture == replace(architecture_of(model.spec), dtype="float32")
    assert (model.architecture.layers, model.architecture.kv_heads) == (2, 2)
    assert (model.dtype, model.device.type) == (torch.float32, "cpu")
    assert load("gpt2").architecture.neurons == 128
    assert load("gpt2").architecture.kv_heads == 4


def test_batch_size_does_not_change_a_feature(model):
    sizes = [in_batches(model, size).extract(ITEMS) for size in (1, 3, 32)]
    assert largest_difference(sizes[0], sizes[1]) < 1e-5
    assert largest_difference(sizes[0], sizes[2]) < 1e-5


def test_batch_size_does_not_change_a_score(model):
    answers = [in_batches(model, size).score(ITEMS) for size in (1, 3, 32)]
    assert largest_difference(answers[0], answers[1]) < 1e-5
    assert largest_difference(answers[0], answers[2]) < 1e-5


def test_remembered_token_ids_are_those_of_the_tokenizer(model, monkeypatch):
    monkeypatch.setattr(encoding, "REMEMBERED", 3)  # so that some are forgotten on the way
    encoder, asked = reloaded(model).encoder, [*ITEMS, *ITEMS[::-1], ITEMS[0]]
    expected = encoder.tokenizer([item.prompt for item in asked]).input_ids
    assert encoder.ids(asked) == expected
    assert [encoder.ids([item])[0] for item in asked] == expected
    assert len(encoder._known) <= 3


@pytest.mark.parametrize("kind", ["qwen2", "llama", "gpt2", "gemma2"])
def test_scores_equal_full_forwards_of_prompt_and_answer(load, kind):
    model = load(kind)
    answers = model.score(ITEMS)
    for number, each in enumerate(ITEMS):
        scores = []
        for word in (each.answer, *each.distractors):
            ids = model.tokenizer(each.prompt).input_ids
            tokens = model.tokenizer(f"{each.prompt} {word}").input_ids[len(ids) :]
            scores.append(oracle.log_probability(model.module, ids, tokens))
        log_p, greedy = scores[0]
        margin = log_p - max(score for score, _ in scores[1:])
        assert answers.log_probability[number] == pytest.approx(log_p, abs=2e-5)
        assert answers.logit_difference[number] == pytest.approx(margin, abs=2e-5)
        assert answers.correct[number] == (margin > 0)
        assert answers.exact[number] == greedy


def test_exact_is_what_greedy_decoding_says(model):
    prompt = torch.tensor([model.encoder.ids(ITEMS[:1])[0]])
    said = model.module.generate(
        prompt, max_new_tokens=3, do_sample=False, attention_mask=torch.ones_like(prompt)
    )
    tokens = said[0, prompt.shape[1] :].tolist()
    batch = model.encoder.batch(model.encoder.ids(ITEMS), [1, 0], model.device)
    wanted = [Continuation(1, (*tokens,)), Continuation(1, (*tokens[:2], tokens[2] + 1))]
    scored = score_batch(model.engine, model.sites, batch, wanted)
    assert [each.greedy for each in scored] == [True, False]


def test_attention_of_the_last_layer_answers_only_where_prompts_end(model, monkeypatch):
    items = sets.geography_crossed(2).items
    model.score(items)  # the check of shared prefixes is behind it
    asked, fused = [], torch.nn.functional.scaled_dot_product_attention

    def counted(query, *arguments, **settings):
        asked.append(query.shape[2])
        return fused(query, *arguments, **settings)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", counted)
    for measure in (model.extract, model.score):
        asked.clear()
        measure(items)
        first, last = asked[:2]
        assert len(asked) == 2
        assert 1 < last < first / 4


def test_an_item_without_answer_or_distractors_is_not_a_number(model):
    answers = model.score([item("Rome"), item("Rome", "Oslo"), ITEMS[0]])
    assert math.isnan(answers.log_probability[0])
    assert math.isnan(answers.exact[0])
    assert np.isfinite(answers.log_probability[1:]).all()
    assert np.isnan(answers.correct).tolist() == [True, True, False]
    assert np.isnan(answers.logit_difference).tolist() == [True, True, False]


def test_residuals_at_a_token_are_those_of_the_hooks(model):
    tokens = [(2, 0), (0, 0), (5, 4), (1, 2), (3, 3)]
    found = model.residuals_at(ITEMS, tokens)
    for number, (ids, at) in enumerate(zip(model.encoder.ids(ITEMS), tokens, strict=True)):
        expected = oracle.run(model.module, ids).resid[:, list(at)].swapaxes(0, 1)
        np.testing.assert_allclose(found[number], expected, atol=1e-5)
    with pytest.raises(ModelError, match="prompt 'Rome' has 1 tokens, so none at 1"):
        model.residuals_at(ITEMS[1:2], [[1]])


def test_tokens_before_the_label_cannot_differ_between_crossed_prompts(model):
    crossed = sets.geography_crossed(8)
    pair = [i for i in crossed.items if i.order == 1][:2]
    first, second = model.encoder.ids(pair)
    apart = next(i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b)
    before, at = model.residuals_at(pair, [[apart - 1, apart]] * 2).swapaxes(0, 1)
    assert np.abs(before[0] - before[1]).max() == 0
    assert np.abs(at[0] - at[1]).max() > 0


def test_a_twin_is_reproducible_untrained_and_leaves_the_random_state_alone(model):
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    twin, again, other = model.twin(1), model.twin(1), model.twin(2)
    assert torch.equal(torch.random.get_rng_state(), state)
    features = twin.extract(ITEMS)
    assert largest_difference(features, again.extract(ITEMS)) == 0
    assert largest_difference(features, other.extract(ITEMS)) > 1e-3
    assert largest_difference(features, model.extract(ITEMS)) > 1e-3
    shape = [p.shape for p in model.module.parameters()]
    assert [p.shape for p in twin.module.parameters()] == shape
    assert twin.tokenizer is model.tokenizer
    assert twin.dtype == model.dtype
    assert twin.spec.name.endswith("(untrained twin 1)")
    # Initialised as the configuration says, whatever the trained weights have become.
    deviation = twin.module.model.layers[0].mlp.down_proj.weight.std().item()
    assert deviation == pytest.approx(model.module.config.initializer_range, rel=0.1)
    assert max(v for k, v in twin.self_check().worst().items() if k != "zeroed") < 1e-5


def test_running_out_of_memory_halves_the_batch_and_is_remembered(model, monkeypatch):
    model = reloaded(model)
    expected = model.extract(ITEMS)
    sizes = short_of_memory(monkeypatch, model.module.model.layers[1].mlp.down_proj, 2)
    assert largest_difference(model.extract(ITEMS), expected) < 1e-5
    assert sizes == [5, 2, 2, 1]
    assert model.batcher.size == 2
    model.batcher.asked = model.batcher.size = 4
    with pytest.raises(ModelError, match="with 4 prompts a batch: try --batch-size auto"):
        model.extract(ITEMS)


def test_long_prompts_go_through_a_few_at_a_time_on_a_cpu(model, monkeypatch):
    longest = max(map(len, model.encoder.ids(ITEMS)))
    trees = [separate_trees([[1] * length], [0])[0] for length in (10, longest, 9 * longest)]
    short, long, longer = trees
    assert model.batcher.fitting([short] * 32) == 32
    expected = model.extract(ITEMS)
    monkeypatch.setattr(batching, "PATTERN_CELLS", model.architecture.heads * longest**2 * 2)
    assert model.batcher.fitting([long] * 5) == 2
    assert model.batcher.fitting([longer] * 2) == 1
    assert largest_difference(model.extract(ITEMS), expected) < 1e-5


@pytest.mark.parametrize(("size", "batches"), [(3, [2, 2, 2]), (5, [4, 2]), (1, [1] * 6)])
def test_prompts_that_are_rounded_alike_stay_in_one_batch(model, monkeypatch, size, batches):
    monkeypatch.setattr(model.batcher, "size", size)
    seen = []
    model.batcher.run([ITEMS[0]] * 6, lambda batch: seen.append(len(batch.rows)), together=2)
    assert seen == batches


def test_other_errors_of_the_model_are_not_taken_for_memory(model, monkeypatch):
    model = reloaded(model)

    def broken(_values):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(model.module.model.layers[1].mlp.down_proj, "forward", broken)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        model.extract(ITEMS)


def test_an_activation_that_is_not_finite_names_layer_and_prompt(model):
    model = reloaded(model, batch_size=1)
    token = model.encoder.ids(ITEMS[3:4])[0][-2]  # only in one prompt
    assert sum(token in ids for ids in model.encoder.ids(ITEMS)) == 1
    with torch.no_grad():
        model.module.model.embed_tokens.weight[token] = float("nan")
    with pytest.raises(
        ModelError, match=r"of layer 0 is not finite on prompt 'The name of an unkn"
    ):
        model.extract(ITEMS)


def test_the_self_check_sees_a_missing_pattern_and_a_dead_site(model):
    assert checks._pattern_error(None, None) == float("inf")
    model = reloaded(model)
    with torch.no_grad():
        model.module.model.layers[1].mlp.down_proj.weight.zero_()
    zeroed = model.self_check().zeroed
    assert zeroed["neurons"][1] == 0
    assert zeroed["neurons"][0] > 0


def test_attention_that_hides_its_pattern_is_an_error(model):
    model = reloaded(model)
    model.module.set_attn_implementation("sdpa")
    with pytest.raises(ModelError, match="layer 0 gives no attention pattern: load with eager"):
        model.extract(ITEMS)


def test_no_object_has_grown_a_save_method():
    assert not hasattr(object(), "save")


def test_half_precision_gives_float32_features(model):
    half = reloaded(model, dtype="bfloat16")
    assert half.dtype == torch.bfloat16
    assert half.twin(0).dtype == torch.bfloat16
    found = half.extract(ITEMS)
    assert {values.dtype for values in found.arrays().values()} == {np.dtype(np.float32)}
    assert largest_difference(found, model.extract(ITEMS)) < 1.0


def test_a_prompt_must_fit_the_model(model):
    with pytest.raises(ModelError, match="has 600 tokens and the model reads at most 512"):
        model.extract([item("?" + " ?" * 599)])
    with pytest.raises(ModelError, match="prompt 'empty' is empty"):
        model.extract([item("")])


def test_no_prompts_are_an_error(model):
    with pytest.raises(ModelError, match="there are no prompts to measure"):
        model.extract([])


def test_a_model_placed_by_accelerate_measures_the_same(model):
    placed = reloaded(model, device_map="auto")
    assert largest_difference(placed.extract(ITEMS), model.extract(ITEMS)) < 1e-5
    twin = placed.twin(1).extract(ITEMS)
    assert largest_difference(twin, model.twin(1).extract(ITEMS)) < 1e-5


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory):
    """A model in float16 whose second layer ends in infinity."""
    folder = tiny_models.save(tmp_path_factory.mktemp("float16"), "llama")
    model = Model.load(resolve(str(folder)), LoadOptions(device="cpu", dtype="float16"))
    with torch.no_grad():
        model.module.model.layers[1].mlp.down_proj.weight.fill_(60_000)
        model.module.model.layers[1].mlp.up_proj.weight.fill_(60_000)
    return model


ASKED = {
    "extract": lambda model: model.extract(ITEMS),
    "score": lambda model: model.score(ITEMS),
    "sweep": lambda model: model.sweep(ITEMS, [()]),
    "attribution": lambda model: model.path_scores(ITEMS, "neuron"),
    "residuals": lambda model: model.residuals_at(ITEMS, [[0]] * len(ITEMS)),
}


@pytest.mark.parametrize("asked", ASKED)
def test_an_overflow_of_float16_names_the_layer_and_recommends_bfloat16(overflowing, asked):
    with pytest.raises(ModelError, match=r"layer 1 is not finite.*--dtype bfloat16"):
        ASKED[asked](overflowing)
