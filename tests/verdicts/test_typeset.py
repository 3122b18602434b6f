"""Numbers as a person reads them."""

import pytest

from harness.verdicts import typeset


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.234, "1.23"),
        (-0.5, "−0.50"),
        (530432.0, "530,432"),
        (0, "0"),
        (0.996, "0.996"),
        (0.0312, "0.031"),
        (3.1e-7, "3e−7"),
        ("inf", "∞"),
        (None, "not defined"),
        (float("nan"), "not defined"),
    ],
)
def test_a_number(value, text):
    assert typeset.number(value) == text


def test_differences_carry_their_sign():
    assert typeset.number(1.23, signed=True) == "+1.23"
    assert typeset.interval_text((0.98, 1.51), signed=True) == "[+0.98, +1.51]"
    assert [typeset.signed_quantity(n) for n in ("d", "cohens_d", "heads", "median d")] == [
        *(True, True, False, True)
    ]


@pytest.mark.parametrize(
    ("p", "text"), [(0.034, "0.034"), (1e-5, "1e−5"), (0.0012, "0.0012"), (None, "–"), (1.0, "1")]
)
def test_a_p_value(p, text):
    assert typeset.p_value(p) == text


def test_shares_and_durations():
    assert typeset.share_text(62, 196) == "62 of 196 (32 %)"
    assert [typeset.duration(s) for s in (0.31, 42, 200, 7500)] == [
        *("0.3 s", "42 s", "3 min 20 s", "2 h 5 min")
    ]


def test_thresholds_are_written_as_set():
    assert [typeset.bound(v) for v in (0.5, 5, 0.01, 1e-4, -1.0)] == [
        *("0.5", "5", "0.01", "1e−4", "−1")
    ]


def test_what_has_no_sign_is_written_without():
    assert typeset.signed_quantity("d")
    assert typeset.signed_quantity("difference of logits")
    assert not typeset.signed_quantity("|d|")
    assert not typeset.signed_quantity("mean |d|")


def test_a_sentence_has_a_minus_where_a_number_is_negative():
    said = "add -0.5 [-1, .2], 1e-4, h1-h4, twin-1, (-.3) and p >= -2"
    assert typeset.signs(said) == "add −0.5 [−1, .2], 1e-4, h1-h4, twin-1, (−.3) and p ≥ −2"


def test_a_layer_of_two_stacks_is_named_by_its_own():
    assert typeset.stack(3, 0) == ""
    assert typeset.stack(1, 2, "head") == "encoder 1"
    assert typeset.stack(2, 2, "neuron") == "decoder 0"
    assert typeset.stack(4, 2, "head") == "decoder 2, cross-attention"
