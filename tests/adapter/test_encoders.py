"""Encoders and encoder-decoders are read, edited and scored as transformers computes them."""

from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.adapter import LoadOptions, Model
from harness.interventions.edits import (
    mean_ablation,
    patch_from,
    resample_ablation,
    zero_ablation,
)
from harness.interventions.sites import EditError, Site
from harness.models.specs import ModelError, resolve
from tests.support import tiny_models
from tests.support.tiny_models import ENCODER_DECODERS, ENCODERS, ITEMS, item

SOME = (item("What is the capital of France?", "Paris", "Rome"), item("Rome", "Oslo", "Asia"))


@pytest.fixture(scope="module", params=(*ENCODERS, *ENCODER_DECODERS))
def model(request, tmp_path_factory):
    return loaded(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def t5(tmp_path_factory):
    return loaded("t5", tmp_path_factory.mktemp("t5"))


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return loaded("bert", tmp_path_factory.mktemp("bert"))


def loaded(kind, folder):
    return Model.load(resolve(str(tiny_models.save(folder, kind))), LoadOptions(device="cpu"))


@torch.no_grad()
def states(model, items):
    """Of each item: the model's own hidden states [layer token d_model], the measured token, the
    attention that it pays [layer head key_pos], and its logits; run alone, without padding."""
    found = []
    for ids in model.encoder.ids(items):
        given = {"input_ids": torch.tensor([ids])}
        asked = {"output_hidden_states": True, "output_attentions": True}
        if model.sites.decoder:
            start = torch.tensor([[model.module.config.decoder_start_token_id]])
            said = model.module.own(**given, decoder_input_ids=start, **asked)
            pairs = (
                (said.encoder_hidden_states, said.encoder_attentions),
                (said.decoder_hidden_states, said.cross_attentions),
            )
            at = -1
        else:
            said = model.module(**given, **asked)
            pairs = ((said.hidden_states, said.attentions),)
            at = -1 - model.encoder.tail
        # The last of a model's own hidden states may be behind its final norm.
        hidden = [[state[0] for state in states[1:]] for states, _ in pairs]
        attention = [row[0, :, at] for _, rows in pairs for row in rows]
        found.append((hidden, at, torch.stack(attention), said.logits[0, at]))
    return found


def logits(model, items):
    return torch.stack([own for *_, own in states(model, items)])


def test_it_is_read_as_it_computes(model):
    worst = model.self_check().worst()
    assert worst.pop("zeroed") > 1e-4
    assert "shared" not in worst  # no prompts share a prefix
    assert max(worst.values()) < 1e-5, worst
    found = model.extract(ITEMS)
    for number, (hidden, at, attention, _) in enumerate(states(model, ITEMS)):
        start = 0
        for stack in hidden:
            for layer, state in enumerate(stack[:-1], start):
                np.testing.assert_allclose(found.resid[number, layer], state[at], atol=2e-5)
            start += len(stack)
        entropy = -(attention * attention.clamp_min(1e-30).log()).sum(-1)
        np.testing.assert_allclose(found.heads[number, ..., 0], entropy, atol=1e-4)


def test_features_of_a_prompt_do_not_depend_on_those_beside_it(model):
    together = model.extract(ITEMS)
    for number, one in enumerate(ITEMS):
        alone = model.extract([one]).arrays()
        for name, values in together.arrays().items():
            np.testing.assert_allclose(values[number], alone[name][0], atol=1e-4, rtol=1e-4)


def test_an_edit_does_what_the_loss_of_the_weights_does(model):
    third = tuple(range(0, model.architecture.neurons, 3))
    layers = range(model.architecture.layers)
    sites = [Site(*at) for n in layers for at in (("head", n, 1), ("neuron", n, third))]
    found = model.sweep(SOME, [(zero_ablation(site),) for site in sites])
    intact = model.score(SOME).logit_difference
    np.testing.assert_allclose(found.clean_logit_difference, intact, atol=2e-5)
    for number, site in enumerate(sites):
        with without_weights(model, site):
            expected = model.score(SOME).logit_difference
        np.testing.assert_allclose(found.logit_difference[number], expected, atol=2e-5)
        assert np.abs(expected - intact).max() > 1e-6, site


@contextmanager
def without_weights(model, site):
    """The model with the weights from a head, or from neurons, to the residual stream at 0."""
    layer = model.module.get_submodule(model.sites.layers)[site.layer]
    weight = projection(layer, site.kind).weight
    with torch.no_grad():
        kept = weight.clone()
        if site.kind == "head":
            size = weight.shape[1] // model.architecture.heads
            weight[:, site.index * size : (site.index + 1) * size] = 0
        else:
            weight[:, list(site.index)] = 0
        yield
        weight.copy_(kept)


def projection(layer, kind):
    """The last projection of attention or MLP, by the names that authors give it."""
    names = ("output.dense", "o_proj", "out_lin", "attn.Wo", "lin2", "mlp.Wo", "down_proj", "wo")
    found = [
        (name, part)
        for name, part in layer.named_modules()
        if name.endswith(names) and ("att" in name) == (kind == "head")
    ]
    ((_, part),) = found
    return part


@pytest.mark.parametrize("kind", ["resid", "attn", "mlp"])
def test_a_zeroed_site_is_that_of_a_hook(model, kind):
    layers = range(model.architecture.layers)
    sites = [Site(kind, layer) for layer in layers]
    found = model.sweep(SOME, [(zero_ablation(site, "final"),) for site in sites])
    for number, site in enumerate(sites):
        expected = [hooked(model, site, one) for one in SOME]
        np.testing.assert_allclose(found.log_probability[number], expected, atol=5e-5)


def hooked(model, site, one):
    """Log-probability of the answer with a site zeroed by hand, the prompt run alone."""
    (ids,) = model.encoder.ids([one])
    layer = model.module.get_submodule(model.sites.layers)[site.layer]
    in_decoder = model.sites.decoder is not None and site.layer >= model.sites.decoder
    at = -1 if in_decoder else -1 - model.encoder.tail
    names = {"attn": model.sites.attn_out or model.sites.attention, "resid": ""}
    names["mlp"] = model.sites.mlp_out or model.sites.mlp

    def zero(_module, _given, output):
        values = (output[0] if isinstance(output, tuple) else output).clone()
        values[:, at] = 0
        return (values, *output[1:]) if isinstance(output, tuple) else values

    handle = layer.get_submodule(names[site.kind]).register_forward_hook(zero)
    try:
        with torch.no_grad():
            mask = torch.ones(1, len(ids), dtype=int)
            logits = model.module(torch.tensor([ids]), attention_mask=mask).logits[0]
    finally:
        handle.remove()
    tokens = model.encoder.continuations([one], [ids], [(one.answer,)])[0][0]
    return float(logits[-1 - model.encoder.tail].log_softmax(-1)[tokens[0]])


def test_patching_the_last_layer_gives_the_other_prompt(model):
    pairs = [
        replace(one, counterfactual_prompt=other)
        for one, other in ((SOME[0], "What is the capital of Peru?"), (SOME[1], "Oslo"))
    ]
    last = model.architecture.layers - 1
    whole = [Site("resid", last), Site("resid", (model.sites.decoder or last + 1) - 1)]
    sets = [(patch_from(site),) for site in whole]
    found = model.sweep(pairs, sets)
    others = [replace(one, prompt=one.counterfactual_prompt) for one in pairs]
    expected = model.score(others).log_probability
    for row in found.log_probability:
        np.testing.assert_allclose(row, expected, atol=5e-5)


def test_a_donor_lends_its_values(model):
    site = Site("resid", model.architecture.layers - 1)
    found = model.sweep(SOME, [(resample_ablation(site),)], donors=SOME[::-1])
    tokens = [row[0][0] for row in words(model, SOME)]
    expected = logits(model, SOME[::-1]).log_softmax(-1)[range(2), tokens]
    np.testing.assert_allclose(found.log_probability[0], expected, atol=5e-5)


def words(model, items):
    ids = model.encoder.ids(items)
    return model.encoder.continuations(
        items, ids, [(one.answer, *one.distractors) for one in items]
    )


def test_means_are_over_the_tokens_that_a_layer_has(model):
    reference = model.references(ITEMS)
    start = 0
    for stack in zip(*(hidden for hidden, *_ in states(model, ITEMS)), strict=True):
        of_layers = list(zip(*stack, strict=True))
        for layer, each in enumerate(of_layers[:-1], start):
            expected = torch.cat(each).mean(0)
            np.testing.assert_allclose(reference.resid[layer + 1], expected, atol=1e-4, rtol=1e-4)
        start += len(of_layers)
    if decoder := model.sites.decoder:
        one_each = model.extract(ITEMS).neurons[:, decoder:].mean(0)
        np.testing.assert_allclose(reference.neurons[decoder:], one_each, atol=1e-4, rtol=1e-4)
    edits = [(mean_ablation(Site("mlp", 0), reference),)]
    assert np.isfinite(model.sweep(SOME, edits).logit_difference).all()


def test_path_scores_add_up_to_what_all_components_do(model):
    steps = (8, 16) if model.sites.decoder else (4, 8)  # a decoder's way bends more
    coarse, fine = (model.path_scores(SOME, "head", steps=n).scores for n in steps)
    assert fine.shape == (2, model.architecture.layers, model.architecture.heads)
    reference = model.references(SOME)
    every = tuple(
        mean_ablation(Site("head", layer, head), reference)
        for layer in range(model.architecture.layers)
        for head in range(model.architecture.heads)
    )
    ablated = model.sweep(SOME, [every])
    change = ablated.clean_logit_difference - ablated.logit_difference[0]
    # Steps taken at their upper ends err by about as much as half of their number does again.
    scores, largest = (2 * fine - coarse).sum((1, 2)), np.abs(change).max()
    np.testing.assert_allclose(scores, change, rtol=0, atol=0.05 * largest)


NAMED = tuple(one for one in ITEMS if one.subject)


def test_a_decoder_has_one_token_that_positions_of_the_prompt_do_not_name(t5):
    first = t5.sites.decoder
    for positions, named in (("all", True), ("final", True), ("subject", False), ((0,), False)):
        edits = [(zero_ablation(Site("mlp", first), positions),), ()]
        found = t5.sweep(NAMED, edits)
        assert set(found.applicable[0]) == {named}
        assert np.isfinite(found.logit_difference[0]).all() == named
    with pytest.raises(EditError, match="applies to none of the prompts"):
        t5.sweep(NAMED, [(zero_ablation(Site("mlp", 0), (99,)),)])


def test_an_answer_of_several_tokens_is_written_by_the_decoder(t5):
    one = item("What is the capital of India?", "New Delhi", "Buenos Aires")
    ((answer, rival),) = words(t5, [one])
    assert len(answer) > 1
    ids = torch.tensor(t5.encoder.ids([one]))
    with torch.no_grad():
        said = [
            -float(t5.module.own(input_ids=ids, labels=torch.tensor([w])).loss) * len(w)
            for w in (answer, rival)
        ]
    padded = t5.score([one, *ITEMS])
    np.testing.assert_allclose(padded.log_probability[0], said[0], atol=1e-4)
    np.testing.assert_allclose(padded.logit_difference[0], said[0] - said[1], atol=1e-4)


def test_an_answer_of_several_tokens_takes_as_many_masks(bert):
    one = item("What is the capital of India?", "New Delhi", "Rome")
    ((answer, _),) = words(bert, [one])
    assert len(answer) == 2
    mask = bert.tokenizer.mask_token
    text = f"{one.prompt} {mask} {mask}."
    ids = torch.tensor([bert.tokenizer(text).input_ids])
    with torch.no_grad():
        logits = bert.module(ids).logits[0].log_softmax(-1)
    places = (ids[0] == bert.tokenizer.mask_token_id).nonzero()[:, 0]
    expected = logits[places, torch.tensor(answer)].sum()
    padded = bert.score([one, *ITEMS])
    np.testing.assert_allclose(padded.log_probability[0], expected, atol=1e-4)
    # At the one mask of an edited run there is no first token of two to ask for.
    assert not bert.sweep([one], [()]).scorable[0]
    assert bert.sweep(SOME, [()]).scorable.all()


def test_what_cannot_be_asked_is_refused_in_one_sentence(t5, bert):
    for each in (t5, bert):
        with pytest.raises(ModelError, match=r"has an encoder \(\w+\), and what a model writes"):
            each.generate(SOME, 3)
    tokenizer = deepcopy(bert.tokenizer)
    tokenizer.mask_token = None
    with pytest.raises(ModelError, match="no mask token, in whose place an encoder is asked"):
        Model(bert.spec, bert.options, bert.engine, tokenizer)


def test_a_twin_is_of_the_same_kind(t5, bert):
    for each in (t5, bert):
        twin = each.twin(1)
        assert twin.architecture == each.architecture
        assert twin.self_check().worst()["hooked"] < 1e-5
        assert (logits(twin, SOME) - logits(each, SOME)).abs().max() > 0.01


def test_an_encoder_without_a_head_is_read_and_not_asked(bert, tmp_path):
    folder = tmp_path / "headless"
    bert.module.base_model.save_pretrained(folder)
    bert.tokenizer.save_pretrained(folder)
    headless = Model.load(resolve(str(folder)), LoadOptions(device="cpu"))
    np.testing.assert_array_equal(headless.extract(ITEMS).resid, bert.extract(ITEMS).resid)
    for ask in (headless.score, lambda i: headless.sweep(i, [()])):
        with pytest.raises(ModelError, match=r"gives no answers: the head that fills masks \(cls"):
            ask(ITEMS)


CAPITALS = {"France": "Paris", "Peru": "Lima", "Japan": "Tokyo", "Norway": "Oslo"}
FACTS = tuple(
    item(f"The capital of {country} is", city, *(c for c in CAPITALS.values() if c != city))
    for country, city in CAPITALS.items()
)


@pytest.mark.parametrize("kind", ["t5", "bert"])
def test_a_trained_model_answers_and_only_attention_carries_the_country_to_it(kind, tmp_path):
    untrained = loaded(kind, tmp_path / "untrained")
    assert untrained.score(FACTS).correct.mean() < 1
    folder = taught(untrained, tmp_path / "taught")
    model = Model.load(resolve(str(folder)), LoadOptions(device="cpu"))
    answers = model.score(FACTS)
    assert answers.correct.all()
    assert answers.exact.all()
    # Without attention what stands in the answer's place is the same after every country.
    first = model.sites.decoder or 0
    layers = range(first, model.architecture.layers)
    cut = tuple(zero_ablation(Site("attn", layer)) for layer in layers)
    found = model.sweep(FACTS, [cut])
    assert found.clean_correct.all()
    np.testing.assert_allclose(found.correct[0].sum(), 1)


def taught(model, folder):
    """The model after sixty steps on the facts, saved beside its tokenizer."""
    own = model.module.own if model.sites.decoder else model.module
    ids = torch.tensor(model.encoder.ids(FACTS))
    answers = torch.tensor([row[0][0] for row in words(model, FACTS)])
    labels = answers[:, None]
    if not model.sites.decoder:
        labels = torch.where(ids == model.tokenizer.mask_token_id, labels, -100)
    own.requires_grad_(True)
    optimizer = torch.optim.Adam(own.parameters(), lr=3e-3)
    for _ in range(60):
        own(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    own.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    return folder
