"""Programs whose circuits were published, and networks that are taught them by exchange."""

import pytest
import torch

from fixtures.training import interchange
from fixtures.training.exchange import Circuit, Network, empty, ids_of, tokenizer_of
from fixtures.training.interchange import Inputs
from fixtures.training.pairs import named
from fixtures.training.programs import PROGRAMS

# Answers at each position, worked out by hand from what Tracr's library says of the programs.
BY_HAND = {
    "frac_prevs": ("x a x b c x", [1, 1 / 2, 2 / 3, 1 / 2, 2 / 5, 1 / 2]),
    "pair_balance": ("open a close close b open", [1, 1 / 2, 0, -1 / 4, -1 / 5, 0]),
    "detect_pattern": ("a b c b a b", [None, None, True, False, False, False]),
    "hist": ("a b a a b c", [1, 1, 2, 3, 2, 1]),
    "count_less_freq": ("b b d a b c", [1, 1, 2, 3, 3, 4]),
    "unique_extractor": ("b b a c a b", ["b", None, "a", "c", None, None]),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_answers_as_worked_out_by_hand(name):
    words, wanted = BY_HAND[name]
    program = PROGRAMS[name]
    tokens = torch.tensor([[program.words.index(word) for word in words.split()]])
    said = program.answer(program.run(tokens))[0].tolist()
    # Answers are numbered: the same value must have the same number, and another one another.
    for one, value in zip(said, wanted, strict=True):
        for other, second in zip(said, wanted, strict=True):
            assert (one == other) == (value == second)
    every = program.answer(program.run(program.inputs()))
    assert every.min() >= 0
    assert every.max() < program.classes


def test_with_another_inputs_value_for_one_part_the_rest_of_the_program_goes_on():
    program = PROGRAMS["detect_pattern"]
    base, other = torch.tensor([[0, 2, 2, 0, 2, 2]]), torch.tensor([[1, 1, 1, 1, 1, 1]])
    values = program.run(other)
    alone = program.answer(program.run(base))
    exchanged = program.answer(program.run(base, {"shift_by(1)": values["shift_by(1)"]}))
    # "a . c" with "b" in the middle, as the other input has it, is the pattern.
    assert alone[0].tolist() == [2, 2, 0, 0, 0, 0]
    assert exchanged[0].tolist() == [2, 2, 1, 0, 0, 1]


@pytest.fixture(scope="module")
def circuit():
    return Circuit.of(PROGRAMS["pair_balance"], seed=0)


@torch.no_grad()
def test_the_short_forward_is_the_models_own_and_an_exchange_touches_its_component_alone(circuit):
    inputs = Inputs(circuit.program, torch.Generator().manual_seed(0))
    network = Network(empty(circuit.program, seed=1).eval())
    base, other = (ids_of(inputs.draw(3)) for _ in range(2))
    intact = network.logits(base)
    torch.testing.assert_close(intact, network.model(base).logits[:, 1:])
    own = dict(network.kept)
    network.logits(other)
    given, taken = dict(network.kept), torch.zeros(3, len(circuit.places), dtype=torch.bool)
    taken[0, circuit.places.index(("head", 1, 2))] = True
    exchanged = network.logits(base, given, taken)
    torch.testing.assert_close(exchanged[1:], intact[1:])
    assert not torch.allclose(exchanged[0], intact[0])
    # The same by hand: of layer 1, head 2 alone takes the other run's values.
    z = own["head", 1].clone()
    z[0, :, 2] = given["head", 1][0, :, 2]
    hook = network.model.transformer.h[1].attn.c_proj.register_forward_pre_hook(
        lambda *_: (z.flatten(2),)
    )
    torch.testing.assert_close(exchanged, network.model(base).logits[:, 1:])
    hook.remove()


def test_prompts_are_held_out_and_state_the_programs_answers(circuit):
    program = circuit.program
    inputs = Inputs(program, torch.Generator().manual_seed(3))
    taught = set(map(tuple, inputs.taught.tolist()))
    assert len(taught) + len(inputs.held_out) == len(program.inputs())
    tokenizer = tokenizer_of(program)
    for told in interchange.prompts_of(circuit, inputs, seed=3):
        ids = torch.tensor([tokenizer(told["prompt"]).input_ids])
        row = ids[:, 1:] - 2
        torch.testing.assert_close(ids_of(row), ids)
        assert tuple(row[0].tolist()) not in taught
        right = program.answers[program.answer(program.run(row))[0, -1]]
        assert told["answer"] == right != told["counterfactual_answer"]
        assert right not in told["distractors"]


def test_parts_lie_where_tracr_puts_them_and_the_seed_draws_the_heads():
    program = PROGRAMS["count_less_freq"]
    found = {tuple(sorted(Circuit.of(program, seed).at.values())) for seed in range(8)}
    assert len(found) > 1
    for at in found:
        assert [place[:2] for place in at] == [("head", 0), ("head", 1), ("mlp", 0), ("mlp", 1)]


def test_of_two_programs_the_one_asked_for_answers_and_the_others_parts_change_nothing():
    pair = named("hist+frac_prevs")
    tokens, before = pair.inputs(), 0
    values = pair.run(tokens)
    said = pair.answer(values)
    for number, program in enumerate(pair.each):
        own = program.inputs()
        alone = program.answer(program.run(own))
        assert torch.equal(said[tokens[:, 0] == number][:, 1:], before + alone)
        before += program.classes
    for part in pair.parts:
        shuffled = values[part.name].flip(0).roll(7, 0)
        moved = (pair.answer(pair.run(tokens, {part.name: shuffled})) != said).any(1)
        assert set(tokens[moved, 0].tolist()) == {pair.asked_by(part.name)}


def test_heads_are_of_one_program_and_others_are_of_the_same_program():
    circuit = Circuit.of(named("hist+unique_extractor"), seed=2)
    heads = [place for place in circuit.at.values() if place[0] == "head"]
    assert len(heads) == len(set(heads)) == 3
    told = interchange.truth(circuit, {})["programs"]
    assert [len(each["heads"]) for each in told] == [1, 2]
    assert set(told[0]["mlps"]) & set(told[1]["mlps"])
    inputs = Inputs(circuit.program, torch.Generator().manual_seed(0))
    tokens = inputs.draw(20)
    others = inputs.others(tokens)
    assert torch.equal(tokens[others, 0], tokens[:, 0])
    assert sorted(others.tolist()) == list(range(20))
