"""h12: in which order the bridge and the answer become readable, where that is known."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

from harness.activations.extracted import Answers
from harness.findings.processes.bridge import bridge_finding
from harness.findings.processes.hops import HopRule
from harness.findings.processes.kinds import cell_of
from harness.findings.processes.readable import onset
from harness.findings.processes.steps import steps_finding
from harness.materials.cell_sets import draw_cells
from harness.materials.chains import chains_told
from harness.materials.difficulty import parse_difficulty
from harness.models.architecture import Architecture
from harness.study.plan import Plan
from harness.study.study import Study
from harness.verdicts.judge import Criterion, Outcome, judge
from tests.support.judging import evidence, finding_of
from tests.support.synthetic import SIZES

RULE = HopRule(needed=0.1, least=0.05, halves=20, gate=0.6)
PLAN = Plan(seed=0, items=128, resamples=199, twins=1)
SETTING = "chains4-shots4-shuffled-steps2"
LAYERS, WIDTH, LIFTED, HOP = 12, 48, 4.0, 3  # a step takes so many layers
DEEP = replace(SIZES, layers=LAYERS)
IN_TURN = {"bridge": 3, "answer": 6, "answer of one step": 3}


@dataclass
class Speaks:
    """Stands in for `study.Subject`: at which layer which words stand in the stream is stated.

    Attributes:
        shows: From which layer on words of the asked chain stand above the others: `bridge` and
            `answer` of reasoning, `answer of one step` and `name beside` of lookup, and the bridge
            in the prompt that does not need it, `elsewhere`.
        hidden: The same of words that stand in directions which the output does not have.
        misses: Steps that it answers wrong.
    """

    shows: Mapping[str, int]
    hidden: Mapping[str, int] = field(default_factory=dict)
    misses: tuple[int, ...] = ()
    architecture: Architecture = DEEP
    thinking: str = ""
    drawn: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def answers(self, prompts):
        right = np.array([item.steps not in self.misses for item in prompts.items], np.float32)
        return Answers(right, right, right, right, right)

    def activations(self, prompts, twin=None, **_):
        rows = self._alike(prompts, WIDTH)
        rows[:, 0] = 1.0  # the last token is the same in all prompts
        if twin is None:
            turned = np.linalg.qr(np.random.default_rng(1).standard_normal((WIDTH, WIDTH)))[0]
            for row, layer, word in self._shown(prompts, self.hidden):
                rows[row, layer:] += LIFTED * code(word) @ turned
        return SimpleNamespace(resid=rows.astype(np.float32))

    def fetch(self, what, prompts, _measure, twin=None):
        words = [told(item, prompts) for item in prompts.items]
        if what["kind"] == "words, unembedding":
            return {"rows": np.array([[code(word) for word in row] for row in words])}
        logits = self._alike(prompts, len(words[0]))
        if twin is None:
            for row, layer, word in self._shown(prompts, self.shows):
                logits[row, layer:, words[row].index(word)] += LIFTED
        return {"logits": logits}

    def _alike(self, prompts, width):
        """Noise that the two prompts of a story share, as where the question is not read yet."""
        noise = np.zeros((len(prompts), LAYERS, width))
        for two in stories(prompts).values():
            noise[[*two.values()]] = self.drawn.standard_normal((LAYERS, width))
        return noise

    def _shown(self, prompts, layers):
        """(row, first layer, word) of what stands in the stream of a prompt."""
        for two in stories(prompts).values():
            reasoning, lookup = two["reasoning"], two["lookup"]
            composed, looked = (own(prompts.items[row], prompts) for row in (reasoning, lookup))
            bridge = composed.names[-2]
            words = {
                "bridge": (reasoning, bridge),
                "answer": (reasoning, composed.answer),
                "answer of one step": (lookup, looked.answer),
                "name beside": (lookup, looked.names[1]),
                "elsewhere": (lookup, bridge),
            }
            for name, layer in layers.items():
                late = HOP * (len(composed.names) - 2) if name == "answer" else 0
                yield words[name][0], layer + late, words[name][1]


def stories(prompts):
    """Rows of the two prompts of each story, by cell."""
    rows = {}
    for row, item in enumerate(prompts.items):
        key = item.id[:-1] if item.label else item.id.rpartition("-")[0]
        rows.setdefault(key, {})[cell_of(item)] = row
    return rows


@cache
def code(word):
    return np.random.default_rng(zlib.crc32(word.encode())).standard_normal(WIDTH)


def difficulty_of(prompts):
    return parse_difficulty(prompts.name.partition("@")[2].partition(",")[0])


def told(item, prompts):
    chains = chains_told(item, difficulty_of(prompts))
    return [word for chain in chains for word in (chain.answer, *chain.names)]


def own(item, prompts):
    chains = chains_told(item, difficulty_of(prompts))
    return next(chain for chain in chains if chain.answer == item.answer)


def found(finding, subject, setting=SETTING):
    study = Study(subject, draw_cells(f"cells@{setting}", PLAN.items, PLAN.seed), PLAN)
    made = finding_of(finding, study, RULE)
    return made, *judge(made, Criterion.CONTROLLED)


@pytest.mark.parametrize("hidden", [False, True])
def test_a_bridge_that_comes_first_is_supported(hidden):
    world = Speaks({}, IN_TURN) if hidden else Speaks(IN_TURN)
    finding, outcome, why = found(bridge_finding, world)
    assert (outcome, why) == (Outcome.SUPPORTED, "every requirement holds")
    assert evidence(finding, "order").effect.value == pytest.approx(HOP / LAYERS, abs=0.02)
    assert evidence(finding, "same_words").effect.value > 0.3
    assert len(finding.controls) == PLAN.twins
    assert finding.severity.contrasts == 2 * RULE.halves
    assert ("a map fitted on other relations" in finding.notes[0]) is hidden


@pytest.mark.parametrize(
    ("world", "failed"),
    [
        ({"bridge": 6, "answer": 3}, "depth of the answer"),
        ({"bridge": 3, "answer": 3}, "depth of the answer"),
        ({"answer": 3}, "readability of the bridge"),
        ({**IN_TURN, "elsewhere": 3}, "readability of the bridge"),
        ({**IN_TURN, "name beside": 3}, "comparisons won by the bridge"),
    ],
    ids=["the answer first", "together", "no bridge", "a bridge that is merely told", "beside"],
)
def test_any_other_order_is_refuted(world, failed):
    finding, outcome, why = found(bridge_finding, Speaks(world))
    assert outcome is Outcome.REFUTED
    assert why.startswith(failed)
    assert not finding.controls  # they can only take support away


def test_an_answer_that_is_hidden_before_the_bridge_is_refuted():
    """The lens reads the bridge best, and shows the answer at the end alone."""
    finding, outcome, why = found(bridge_finding, Speaks({**IN_TURN, "answer": 11}, {"answer": 1}))
    assert outcome is Outcome.REFUTED
    assert why.startswith("depth of the answer")
    assert "by the logit lens, the answer of reasoning by a map" in finding.notes[0]
    assert evidence(finding, "needed").passed
    assert evidence(finding, "order").effect.value == pytest.approx((1 - 3) / LAYERS, abs=0.02)


def test_an_answer_that_is_shown_before_a_hidden_bridge_is_refuted():
    _, outcome, why = found(bridge_finding, Speaks({"answer": 1}, IN_TURN))
    assert outcome is Outcome.REFUTED
    assert why.startswith("depth of the answer")


def test_an_answer_that_is_never_readable_has_no_depth():
    finding, outcome, why = found(bridge_finding, Speaks({"bridge": 3}))
    assert outcome is Outcome.INCONCLUSIVE
    assert why.endswith("the answer must be readable to have a depth")
    assert all(e.passed for e in finding.evidence)  # it would count as the deepest word


def test_each_further_step_that_takes_a_layer_is_supported():
    finding, outcome, _ = found(steps_finding, Speaks(IN_TURN))
    assert outcome is Outcome.SUPPORTED
    assert [e.key for e in finding.evidence] == ["order", "beyond", "further"]
    for row in (finding.evidence[0], finding.evidence[2]):
        assert row.effect.value == pytest.approx(HOP / LAYERS, abs=0.02)


def test_answers_that_come_as_early_in_two_steps_are_refuted():
    finding, outcome, _ = found(steps_finding, Speaks({"answer": 3, "answer of one step": 3}))
    assert outcome is Outcome.REFUTED
    assert finding.evidence[0].effect.value == pytest.approx(0, abs=0.02)


def test_an_answer_of_two_steps_that_is_hidden_before_that_of_one_is_refuted():
    early = {"answer": 1, "answer of one step": 3}
    finding, outcome, _ = found(steps_finding, Speaks({**IN_TURN, "answer": 8}, early))
    assert outcome is Outcome.REFUTED
    assert evidence(finding, "order").effect.value == pytest.approx((1 - 3) / LAYERS, abs=0.02)


def test_an_order_that_only_one_reader_sees_both_words_of_is_undecided():
    """The map finds both answers in turn before the lens, which reads the bridge, finds either."""
    both = {"answer of one step": 1, "answer": 4}
    late = {"bridge": 3, "answer of one step": 8, "answer": 8}
    finding, outcome, why = found(steps_finding, Speaks(late, both))
    assert outcome is Outcome.INCONCLUSIVE
    assert why.startswith("undecided: depth of the answer of 2 steps")
    low, high = evidence(finding, "order").effect.interval
    assert low == pytest.approx((4 - 8) / LAYERS, abs=0.06)
    assert high == pytest.approx((4 - 1) / LAYERS, abs=0.06)


@pytest.mark.parametrize(
    ("world", "unread"),
    [
        (Speaks({**IN_TURN, "answer": 9}), "answer of 3 steps"),
        (Speaks({"bridge": 3, "answer of one step": 3}), "answer of 2 steps"),
        (Speaks({"bridge": 3, "answer": 6}), "answer of one step"),
    ],
    ids=["three steps", "two steps", "one step"],
)
def test_answers_that_are_never_readable_leave_the_steps_undecided(world, unread):
    _, outcome, why = found(steps_finding, world)
    assert outcome is Outcome.INCONCLUSIVE
    assert f"the {unread} must be readable" in why


def test_three_steps_that_are_not_answered_are_left_out():
    finding, outcome, _ = found(steps_finding, Speaks(IN_TURN, misses=(3,)))
    assert outcome is Outcome.SUPPORTED
    assert any("3 steps could not be asked for" in note for note in finding.notes)


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("chains4-shots4-told-steps2", "told in order"),
        ("chains2-shots2-shuffled-steps2", "3 are needed: words are compared"),
    ],
)
def test_stories_that_cannot_show_it_are_inconclusive(setting, reason):
    _, outcome, why = found(bridge_finding, Speaks(IN_TURN), setting)
    assert outcome is Outcome.INCONCLUSIVE
    assert reason in why


@pytest.mark.parametrize(
    ("curve", "depth"),
    [
        ([0, 0.4, 0.1, 0.1], 1.5),
        ([0.1, 0, 0.1, 0.4], 3 + 1 / 3),
        ([0.3, 0, 0.2, 0.4], 3.0),  # noise before is no onset
        ([0.4, 0.4, 0.4, 0.4], 0.5),
        ([-0.1, -0.2, 0, 0], 5.0),  # never: deeper than every layer
        ([0, 0, 0.4, 0.4, 0.1, 0.4, 0.5, 0.4], 2 + 0.25 / 0.4),  # one layer of eight ends nothing
        ([0, 0, 0.4, 0.4, 0.1, 0.1, 0.5, 0.4], 6 + 0.15 / 0.4),  # two do
    ],
)
def test_a_word_is_readable_where_half_of_its_height_is_passed(curve, depth):
    assert onset(np.array(curve)) * len(curve) == pytest.approx(depth)
