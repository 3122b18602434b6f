"""What a run takes, from counted tokens and a clock of the test's own."""

import re
from dataclasses import replace

import pytest

from harness.materials.cell_sets import draw_cells, relations_asked
from harness.materials.difficulty import SHUFFLED, Difficulty
from harness.materials.files.crossing import cross_set
from harness.materials.sets import geography
from harness.models.architecture import architecture_of
from harness.models.specs import resolve
from harness.study.cost import PREDICTIONS, Sizes, Work, works_of
from harness.study.forecast import (
    Asked,
    Forecast,
    Planned,
    all_asked,
    asked_of,
    at_speed,
    measurements,
    planned,
    rough,
)
from harness.study.own_prompts import OwnPrompts
from harness.study.plan import Plan, parse_time
from harness.study.speed import Speed, probe
from tests.support.inner_runs import run_hypotheses

TOKENS = {"published": 10, "plain": 30, "crossed": 30, "cells": 30, "cells-crossed": 50}
SPEED = Speed({"answers": 100, "activations": 100, "sweep": 100, "gradients": 10}, TOKENS)
QWEN = architecture_of(resolve("mini-qwen"))


def test_every_prediction_that_ships_has_a_cost():
    options = ("--collect-only", "--model=mini-qwen", "--no-controls")
    status, listed = run_hypotheses([""], *options)
    assert status == 0, listed
    nodes = re.findall(r"^\S+::\S+$", listed, re.MULTILINE)
    found = [asked_of(node, ["mini-qwen"]) for node in nodes]
    assert sorted((a.name, _words(a)) for a in found) == sorted(
        (a.name, _words(a)) for a in all_asked()
    )


def _words(asked: Asked) -> list[str]:
    return sorted(re.findall("layer|head|neuron|retrieval|composing", asked.parameters))


def test_an_id_names_model_and_parameters():
    asked = asked_of(
        "a/test_h1.py::test_x[./my-model-cells-retrieval-head]", ["./my-model", "./my"]
    )
    assert (asked.model, asked.name) == ("./my-model", "test_x")
    assert asked.parameters == "-cells-retrieval-head"


def test_what_two_predictions_share_is_planned_once():
    names = ["test_layers_differ_as_published", "test_heads_differ_as_published"]
    plan = planned([Asked(n, n, "", "m") for n in names], Plan(twins=3), QWEN, SPEED)
    assert [p.passes for p in plan.values()] == [60 * 4, 0]


def test_seconds_are_prompts_times_passes_times_tokens_over_the_speed():
    assert SPEED.seconds(Work("sweep", "cells-crossed", prompts=10, passes=2.5)) == 12.5


def test_heads_are_planned_one_by_one_from_their_layer_on():
    sizes = Sizes(items=200, twins=3, layers=30, heads=9, kind="head")
    works = works_of("test_the_circuits_interact", sizes)
    search = next(w for w in works if w.what == "head search")
    assert search.prompts == 150  # three cells of 100 items, in half of the relations
    assert search.passes == 9 * sum(range(1, 31)) / 30


@pytest.mark.parametrize(("process", "searches"), [("retrieval", 2), ("composing", 3)])
@pytest.mark.parametrize(("kind", "measured"), [("head", "sweep"), ("neuron", "gradients")])
def test_other_stories_of_h9_are_planned_under_full_as_large_as_the_first(
    process, searches, kind, measured
):
    name = f"test_relations_agree_on_what_serves_{process}"
    asked = [asked_of(f"test_h9.py::{name}[m-cells-{kind}]", ["m"])]
    for plan, count in ((Plan(), 1), (Plan(full=True), searches)):
        [works] = measurements(asked, plan, QWEN).values()
        found = [w for w in works if f"{kind} search" in w.what and "once more" not in w.what]
        assert {(w.kind, w.prompts, w.passes) for w in found} == {
            (measured, found[0].prompts, found[0].passes)
        }
        assert len(found) == count
    seconds = [
        sum(p.seconds for p in planned(asked, Plan(full=full), QWEN, SPEED).values())
        for full in (False, True)
    ]
    assert seconds[1] > seconds[0]


def test_a_claim_of_somebody_else_is_planned_as_answers_and_activations():
    works = works_of("test_mine", Sizes(10, 2, 4, 4))
    assert [(w.kind, w.prompts * w.passes) for w in works] == [
        ("answers", 40),
        ("activations", 40),
        ("activations", 80),
    ]


PLAIN = geography(10).where(lambda item: item.task != "lookup", "mine")
MINE = OwnPrompts("my/mine.jsonl", PLAIN)


def passes_on(own: OwnPrompts, *names: str) -> list[float]:
    """Planned passes of some predictions on a file, in turn."""
    nodes = [f"test_h.py::{name}[m-{own.name}]" for name in names]
    asked = [asked_of(node, ["m"], [own]) for node in nodes]
    tokens = {**TOKENS, **dict.fromkeys(own.sets, 20)}
    found = planned(asked, Plan(twins=1), QWEN, replace(SPEED, tokens=tokens))
    return [found[node].passes for node in nodes]


def test_a_file_is_planned_with_its_own_prompts_whatever_items_says():
    asked = asked_of("test_h.py::test_x[m-my/mine.jsonl-head]", ["m"], [MINE])
    assert (asked.own, asked.parameters) == (MINE, "-head")
    names = ("test_layers_differ_as_published", "test_the_model_answers", "test_somebodys_own")
    assert passes_on(MINE, *names) == [20 * 2, 20, 0]  # the third measures what was measured


def test_claims_on_processes_measure_nothing_on_a_file_that_states_none():
    sizes = Sizes(items=10, twins=1, layers=4, heads=4)
    names = [
        name
        for name in PREDICTIONS
        if {work.materials for work in works_of(name, sizes)} - {"published"}
        and name != "test_the_model_answers"
    ]
    assert len(names) > 20
    assert sum(passes_on(MINE, *names)) == 0
    stating = tuple(replace(i, source="context", steps=1) for i in PLAIN.items)
    some = OwnPrompts("other.jsonl", replace(PLAIN, items=stating))
    assert passes_on(some, "test_some_layers_serve_retrieval")[0] > 20


def test_crossed_prompts_of_a_file_are_counted_apart():
    crossed = OwnPrompts("mine.jsonl", PLAIN, cross_set(PLAIN, "mine-crossed"))
    count = len(crossed.sets["mine.jsonl, crossed"])
    assert count > len(PLAIN)
    found = passes_on(crossed, "test_the_model_answers", "test_shuffled_labels_give_uniform_p")
    assert found[0] == len(PLAIN) + count
    assert found[1] > 0


def forecast_of(**seconds: float) -> Forecast:
    return Forecast({n: Planned(s, n[0], passes=1.0) for n, s in seconds.items()})


def test_before_anything_is_over_the_plan_is_left():
    assert forecast_of(a1=10, a2=20, b1=30).left() == pytest.approx(60)


def test_what_runs_now_is_counted_down_but_never_below_nothing():
    forecast = forecast_of(a1=10, a2=20)
    assert forecast.left("a1", 4) == pytest.approx(26)
    assert forecast.left("a1", 400) == pytest.approx(20)


def test_after_a_tenth_of_a_slower_run_the_rest_is_right_within_three_tenths():
    real = {f"a{n}": 1.5 * (5 + n % 3) for n in range(50)}  # half as fast again as planned
    forecast = Forecast({n: Planned(s / 1.5, "a", 1.0) for n, s in real.items()})
    spent = 0.0
    for name, seconds in real.items():
        forecast.end(name, seconds)
        spent += seconds
        left = sum(real.values()) - spent
        if 0.1 * sum(real.values()) < spent < 0.95 * sum(real.values()):
            assert forecast.left() == pytest.approx(left, rel=0.3)


def test_predictions_that_end_at_a_gate_shorten_those_on_the_same_materials_only():
    forecast = forecast_of(c1=100, c2=100, p1=100)
    forecast.end("c1", 1.0, inconclusive=True)
    assert forecast.left("c2") == pytest.approx(100 + 3, abs=1)


def test_the_pace_of_what_ended_at_a_gate_does_not_count():
    forecast = forecast_of(c1=100, c2=100, p1=100, p2=100)
    forecast.end("c1", 1.0, inconclusive=True)
    forecast.end("p1", 200.0)
    assert forecast.left() == pytest.approx(100 * 1.7 + 5, abs=5)


def test_a_probe_grows_its_batches_while_there_is_time():
    clock, asked = Clock(), []

    def measure(number: int) -> None:
        asked.append(number)
        clock.now += 0.1 * number

    took, spent = probe(measure, 128, seconds=3.0, clock=clock)
    assert asked == [1, 1, 16]
    assert (took.prompts, took.seconds, spent) == (16, pytest.approx(1.6), pytest.approx(1.8))


def test_a_probe_does_not_count_what_is_done_once():
    clock = Clock()

    def measure(number: int) -> None:
        clock.now += 0.5 * number if clock.now else 1000.0

    took, spent = probe(measure, 128, seconds=3.0, clock=clock)
    assert (took.prompts, took.seconds, spent) == (16, pytest.approx(8), pytest.approx(1008.5))


def test_a_probe_of_a_large_model_times_one_prompt():
    clock = Clock()

    def measure(number: int) -> None:
        clock.now += 5.0 * number

    assert probe(measure, 128, seconds=3.0, clock=clock)[0].prompts == 1


def test_what_took_long_or_was_decided_is_not_taken_for_stopped():
    forecast = forecast_of(c1=100, c2=100)
    forecast.end("c1", 10.0)
    assert forecast.left() == pytest.approx(100 * (10 + 20) / 120)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("items", "relations"), [(200, 16), (128, 16), (96, 12), (64, 8)])
def test_relations_asked_are_those_of_the_drawn_cells(items, relations):
    hardest = Difficulty(4, 4, SHUFFLED)
    drawn = {item.relation for item in draw_cells("cells", items, 0, hardest).items}
    assert relations_asked(items) == len(drawn) == relations


@pytest.mark.parametrize(
    ("text", "seconds"), [("20m", 1200), ("90s", 90), ("1h30m", 5400), ("2h", 7200)]
)
def test_times_are_read(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "20", "m", "0m", "-5m", "1d", "20 m", "1m2h"])
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match="expected a time such as 20m"):
        parse_time(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3, "about 10 s"), (44, "about 40 s"), (250, "about 4 min"), (9000, "about 2.5 h")],
)
def test_estimates_are_rough(seconds, text):
    assert rough(seconds) == text


def test_beside_other_work_an_estimate_says_what_an_idle_machine_takes():
    busy = replace(SPEED, share=0.25)
    assert at_speed(3600, SPEED) == "about 60 min here"
    assert at_speed(3600, busy) == "about 60 min here beside other work, about 15 min without it"
