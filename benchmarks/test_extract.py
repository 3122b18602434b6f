"""What it costs to measure everything, and to score answers, beside a bare forward.

    OMP_NUM_THREADS=1 pytest benchmarks/test_extract.py

All take the same batches, with eager attention but for the scores. The bare forward makes all
logits and is encoded beforehand; the others also encode the prompts and move what they measure to
numpy. Goals: 1.15 times the bare forward for everything at the last token, 2 for four candidate
answers.
"""

from collections.abc import Callable

import pytest
import torch

from benchmarks.interleaved import beside
from benchmarks.untrained import untrained
from fixtures.training import corpus
from fixtures.training.tokenizer import word_tokenizer
from harness.materials import sets

GOALS = {"final": 1.15, "score": 2.0}
SHAPES = {
    # name: width, MLP, layers, heads, key-value heads, vocabulary (None: the tokenizer's), prompts
    "mini": (128, 384, 4, 4, 2, None, 192),
    "100M": (768, 3072, 10, 12, 4, 8192, 16),
}


@pytest.fixture(params=SHAPES, scope="module")
def shape(request):
    return request.param


@pytest.fixture(scope="module")
def model(shape, tmp_path_factory):
    *sizes, vocabulary, _ = SHAPES[shape]
    tokenizer = word_tokenizer(corpus.vocabulary())
    return untrained(tmp_path_factory.mktemp("model"), tokenizer, *sizes, vocabulary)


@pytest.fixture(scope="module")
def items(shape):
    return sets.geography(SHAPES[shape][-1]).items[::3]  # no two of a pair, which share a line


@pytest.fixture(scope="module")
def bare_forward(model, items) -> Callable[[], None]:
    """The plain model on the batches that `extract` makes, encoded beforehand."""
    model.extract(items)  # settles the batch size
    ids = model.encoder.ids(items)
    order = sorted(range(len(items)), key=lambda row: len(ids[row]))
    size = model.batcher.size
    batches = [
        model.encoder.batch(ids, order[start : start + size], model.device)
        for start in range(0, len(order), size)
    ]

    @torch.no_grad()
    def forward() -> None:
        for batch in batches:
            model.module(**batch.inputs, use_cache=False).logits[0, -1, 0].item()

    return forward


def test_bare_forward(benchmark, shape, bare_forward):
    benchmark.group = f"measuring everything, {shape}"
    beside(benchmark, bare_forward)


@pytest.mark.parametrize("what", GOALS)
def test_measuring_costs_little_more_than_a_forward(
    benchmark, shape, model, items, bare_forward, what
):
    def measure() -> None:
        model.score(items) if what == "score" else model.extract(items)

    benchmark.group = f"measuring everything, {shape}"
    ratios = beside(benchmark, measure, {"bare_forward": bare_forward})
    if ratios:
        assert ratios["bare_forward"] <= GOALS[what]
