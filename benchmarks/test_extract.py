"""What it costs to measure everything, against a bare forward that only makes logits.

    OMP_NUM_THREADS=1 pytest benchmarks/test_extract.py -s

Both sides take the same batches with eager attention and all logits of the bare forward; `extract`
also encodes the prompts and moves the features to numpy. Rounds alternate, so that another load
on the machine falls on both; the figure is the median of the rounds' ratios. Goal: 1.15.
"""

import statistics
import time
from collections.abc import Callable

import pytest
import torch
from transformers import AutoModelForCausalLM, Qwen2Config

from fixtures.training import corpus
from fixtures.training.tokenizer import word_tokenizer
from harness.adapter import LoadOptions, Model
from harness.materials import sets
from harness.models.specs import resolve

GOAL = 1.15
ROUNDS = 5
SHAPES = {
    # name: width, MLP, layers, heads, key-value heads, vocabulary (None: the tokenizer's), prompts
    "mini": (128, 384, 4, 4, 2, None, 192),
    "100M": (768, 3072, 10, 12, 4, 8192, 16),
}


@pytest.fixture(params=SHAPES, scope="module")
def model(request, tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("model")
    width, mlp, layers, heads, kv_heads, vocabulary, _ = SHAPES[request.param]
    tokenizer = word_tokenizer(corpus.vocabulary())
    config = Qwen2Config(
        vocab_size=vocabulary or len(tokenizer),
        hidden_size=width,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return Model.load(resolve(str(tmp_path)), LoadOptions())


@pytest.fixture(scope="module")
def items(model):
    count = next(shape[-1] for shape in SHAPES.values() if shape[0] == model.architecture.d_model)
    return sets.geography(count).items[::3]  # no two of a pair, which would share a line


def bare_forward(model: Model, items) -> Callable[[], None]:
    """The plain model on the batches that `extract` makes, encoded beforehand."""
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


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@pytest.mark.parametrize("position", ["final", "mean"])
def test_extracting_everything_costs_little_more_than_a_forward(model, items, position):
    def extract() -> None:
        model.extract(items, position)

    extract()  # warms up, and settles the batch size
    forward = bare_forward(model, items)
    forward()
    rounds = [(seconds(forward), seconds(extract)) for _ in range(ROUNDS)]
    ratio = statistics.median(ours / bare for bare, ours in rounds)
    bare, ours = (statistics.median(column) for column in zip(*rounds, strict=True))
    parameters = sum(p.numel() for p in model.module.parameters())
    print(
        f"\n{parameters / 1e6:.1f} M parameters, {len(items)} prompts, {position}: "
        f"bare {bare * 1e3:.0f} ms, extract {ours * 1e3:.0f} ms, ratio {ratio:.2f}"
    )
    if position == "final":
        assert ratio <= GOAL


def test_scoring_four_candidates_costs_less_than_two_forwards(model, items):
    model.score(items)
    forward = bare_forward(model, items)
    forward()
    rounds = [(seconds(forward), seconds(lambda: model.score(items))) for _ in range(ROUNDS)]
    ratio = statistics.median(ours / bare for bare, ours in rounds)
    print(f"\nscore: ratio to a bare forward {ratio:.2f}")
    assert ratio <= 2
