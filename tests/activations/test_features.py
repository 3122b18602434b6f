import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.activations import features
from harness.activations.features import HEAD_METRICS, LAYER_FEATURES, Feature
from tests.support import oracle

# One prompt, one head, four keys of which the first is padding.
ROW = torch.tensor([[[0.0, 0.5, 0.25, 0.25]]])
VISIBLE = torch.tensor([[False, True, True, True]])
HALF_LN2 = 1.5 * math.log(2)  # entropy of (1/2, 1/4, 1/4)


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        (features.entropy, HALF_LN2),
        (features.entropy_per_log_length, HALF_LN2 / math.log(3)),
        (features.maximum, 0.5),
        (features.self_focus, 0.25),
        (features.deviation, math.sqrt(((1 / 6) ** 2 + 2 * (1 / 12) ** 2) / 3)),
        # Pairwise differences .25 four times over 2 n^2 mean = 2 * 9 / 3.
        (features.gini, 4 * 0.25 / 6),
    ],
)
def test_head_metrics_of_a_row_worked_by_hand(metric, value):
    assert metric(ROW, VISIBLE).item() == pytest.approx(value, abs=1e-7)


def test_layer_features_of_tensors_worked_by_hand():
    resid = torch.tensor([[3.0, -4.0, 0.0, 5.0]])
    gate = torch.tensor([[0.005, -0.5, 0.009, 1.0, -0.02]])
    rows = torch.tensor([[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])  # two heads, which average to even
    visible = torch.tensor([[False, True, True]])
    found = features.layer_features(resid, rows, gate, visible)[0]
    expected = [math.sqrt(50), 1.0, math.log(2), 1 / (1 + math.log(2)), 1.534 / 5, 0.4, 1.0]
    assert found.tolist() == pytest.approx(expected, abs=1e-6)
    assert len(found) == len(LAYER_FEATURES)


def test_layer_entropy_is_of_the_averaged_row_and_not_the_average_of_entropies():
    rows = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    visible = torch.ones(1, 2, dtype=torch.bool)
    assert features.attention_entropy(rows, visible).item() == pytest.approx(math.log(2))
    assert features.entropy(rows, visible).mean().item() == 0


def test_an_even_row_is_even_and_a_single_key_is_certain():
    even, all_seen = torch.full((1, 1, 8), 1 / 8), torch.ones(1, 8, dtype=torch.bool)
    assert features.gini(even, all_seen).item() == pytest.approx(0, abs=1e-6)
    assert features.deviation(even, all_seen).item() == pytest.approx(0, abs=1e-7)
    assert features.entropy_per_log_length(even, all_seen).item() == pytest.approx(1)
    one = torch.tensor([[[0.0, 1.0]]])
    metrics = features.head_metrics(one, torch.tensor([[False, True]]))[0, 0].tolist()
    assert metrics == [0, 1, 1, 0, 0, 0]  # one key: no length to divide by, not "not a number"


def test_the_token_itself_is_its_last_visible_key():
    row = torch.tensor([[[0.2, 0.7, 0.1, 0.0, 0.0]]])
    visible = torch.tensor([[True, True, True, False, False]])
    assert features.self_focus(row, visible).item() == pytest.approx(0.1)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(0, 6), st.integers(0, 10_000))
def test_metrics_equal_scipy_and_padding_changes_nothing(count, padding, seed):
    rng = np.random.default_rng(seed)
    rows = rng.dirichlet(np.full(count, 0.3), size=3)
    resid, gate = rng.normal(size=(1, 5)), rng.normal(size=(1, 7)) * 0.05
    padded = torch.tensor(np.pad(rows, ((0, 0), (padding, 0)))[None])
    visible = torch.arange(count + padding)[None] >= padding
    heads = features.head_metrics(padded, visible)[0]
    layer = features.layer_features(torch.tensor(resid), padded, torch.tensor(gate), visible)[0]
    np.testing.assert_allclose(heads, [oracle.head_row(row) for row in rows], atol=2e-6)
    np.testing.assert_allclose(layer, oracle.layer_row(rows, gate[0], resid[0]), atol=2e-6)
    np.testing.assert_allclose(heads[:, 0], scipy.stats.entropy(rows, axis=-1), atol=2e-6)


def test_axes_between_batch_and_keys_pass_through():
    row = torch.rand(2, 5, 3, 7).softmax(-1)  # batch layer head key_pos
    visible = torch.ones(2, 7, dtype=torch.bool)
    visible[1, :4] = False
    stacked = features.head_metrics(row, visible)
    assert stacked.shape == (2, 5, 3, len(HEAD_METRICS))
    for layer in range(5):
        torch.testing.assert_close(stacked[:, layer], features.head_metrics(row[:, layer], visible))
    together = features.layer_features(torch.rand(2, 5, 4), row, torch.rand(2, 5, 6), visible)
    assert together.shape == (2, 5, len(LAYER_FEATURES))


def test_half_precision_is_measured_in_float32():
    row = torch.rand(1, 4, 64).softmax(-1).bfloat16()
    visible = torch.ones(1, 64, dtype=torch.bool)
    found = features.head_metrics(row, visible)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, features.head_metrics(row.float(), visible))
    resid = torch.full((1, 4096), 300.0, dtype=torch.float16)  # its square sum overflows float16
    assert features.resid_norm(resid).item() == pytest.approx(300 * 64)


@pytest.mark.parametrize("feature", [*LAYER_FEATURES, *HEAD_METRICS], ids=lambda f: f.name)
def test_every_feature_names_its_source_and_is_used_by_a_criterion(feature):
    assert "Source:" in feature.function.__doc__
    assert feature.published or feature.controlled


def test_a_feature_takes_what_its_arguments_name():
    ratio = Feature(lambda gate, resid: gate.sum(-1) / resid.sum(-1))
    tensors = {"resid": torch.ones(2, 4), "gate": torch.full((2, 3), 8.0), "row": ROW}
    assert ratio(**tensors).tolist() == [6.0, 6.0]


def test_stored_features_are_read_without_torch():
    code = "import sys, harness.findings.specialisation.cells; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
