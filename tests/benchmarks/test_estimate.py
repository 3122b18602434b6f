"""The estimate for a model too large to run here: its arithmetic, and the page is the record."""

import json
from dataclasses import replace

import pytest

from benchmarks import estimate, page
from harness.models.architecture import architecture_of
from harness.models.specs import resolve
from harness.study.speed import Speed

TOKENS = {"published": 10, "plain": 30, "crossed": 30, "cells": 30, "cells-crossed": 50}
SPEED = Speed({"answers": 100, "activations": 100, "sweep": 100, "gradients": 10}, TOKENS)
SMALL = architecture_of(resolve("mini-qwen"))


def cpu_seconds(speed: Speed) -> float:
    kinds = estimate.estimated(SMALL, speed)["kinds"].values()
    return sum(kind["cpu_seconds"] for kind in kinds)


def test_time_is_tokens_over_speed_times_how_much_larger_the_model_is():
    found = estimate.estimated(SMALL, SPEED)
    edited = found["kinds"]["sweep"]
    assert edited["cpu_seconds"] == pytest.approx(
        edited["tokens"] / 100 * found["slower"], rel=1e-3
    )


def test_a_probe_beside_other_work_counts_the_time_that_it_computed():
    assert cpu_seconds(replace(SPEED, share=0.5)) == pytest.approx(cpu_seconds(SPEED) / 2, rel=1e-3)


def test_the_page_is_made_from_the_record():
    record = json.loads(estimate.RESULTS.read_text(encoding="utf-8"))
    assert page.between(estimate.START) == estimate.rendered(record)
