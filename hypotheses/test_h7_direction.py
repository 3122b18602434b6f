"""One linear direction separates reasoning from recall, and steers it.

Source      LiReF, Hong et al. 2025, arXiv:2503.23084; its public code for the direction.
Materials   Published: the 30 + 30 prompts of h1. Controlled: cells, where a direction is judged on
            a relation that had no part in the fit; and crossed prompts of lookup and reasoning, or
            any two labelled classes (--prompts), where it must do better than every baseline.
Measure     Difference in means of the residual stream at the last token; AUC of projections.
Controls    Same-process directions, between relations of one cell. Prompt length, words, template
            and domain without a model; random directions; shuffled labels, refitted; untrained
            twins.
Selection   Layer selected and direction fitted on discovery facts, judged on evaluation facts.
Steering    The direction is fitted on crossed prompts, where words cannot tell the tasks apart,
            and applied to one question a prompt, in the stream after a layer. Fitted on half of
            the discovery facts; layer, dose and edit selected on the other half; judged on
            evaluation facts, in shares of each task's intact logit difference (in nats, an edit
            that ruins both costs more where there was more), against random directions of the
            same length. Reasoning itself must gain such a share too, beyond the same random
            directions; and, where it is answered right .3 to .9 of the time, gain and lose with
            the opposite sign. Cost: KL divergence on recall and latent items and on plain
            statements. An answer that greedy text does not give counts as wrong.
"""

import pytest

from harness.findings.direction.held_out import held_out_direction_finding
from harness.findings.direction.published import published_direction_finding
from harness.findings.direction.search import DirectionRule
from harness.findings.processes.direction import ProcessDirectionRule, process_direction_finding
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL
from harness.findings.processes.materials import contrasted
from harness.findings.steering.added import steering_finding
from harness.findings.steering.corrections import correction_finding
from harness.findings.steering.projected import projection_finding
from harness.findings.steering.rule import (
    RandomDirections,
    SteeringCriterion,
    SteeringEdits,
    SteeringRule,
    SteeringSelection,
)

AUC_PUBLISHED = 0.90  # in-sample, best layer; held out .929 and .978 were reported
AUC_MIN = 0.75  # held out
ALPHA = 0.01
FOLDS = 5  # of the discovery pairs, to select the layer
SHUFFLES = 20
RANDOM_DIRECTIONS = 100
COSINE_STABLE = 0.50  # of two halves of the discovery pairs: shown
GATE = 0.60  # accuracy on each task
DOSES = (0.5, 1.0, 2.0, 4.0)  # times the difference in means of the layer
SCALES = (0.5,)  # s of x + s (x . r) r: shown, with the published 0.1 at every layer
POSITIONS = "all"  # tokens that are edited
ALPHA_STEERING = 0.05
LIFT = 0.01  # share of the intact logit difference that adding must gain, apart and by itself
ROOM = (0.30, 0.90)  # accuracy of the items whose answers must rise, and fall the other way
MARGIN = 0.10  # share of its logit difference that a cell may lose at most
COST = 0.40  # nats of KL on neutral prompts; adding a refusal direction cost .1 to .4
CHOOSING = 8  # discovery stories that layer and dose are selected on, at most
JUDGED = 50  # evaluation stories, at most
STEERING_DIRECTIONS = 20  # random ones of each kind; all of them must be exceeded
CONTROL_PAIRS = 8  # stories that these, costs and dose curves are measured on
BAND = 5  # random directions behind the dose curves, which decide nothing
LEAST = 20  # stories without which nothing is judged
TOKENS = 8  # of greedy generation
PUBLISHED = {
    "auc": "AUROC .929 at block 1, .978 at block 5, held out (a replication, Llama-3-8B)",
    "gap": "peaks at .53 at block 12 (the same replication)",
}
rule = DirectionRule(
    auc=AUC_MIN,
    alpha=ALPHA,
    folds=FOLDS,
    shuffles=SHUFFLES,
    random_directions=RANDOM_DIRECTIONS,
    cosine=COSINE_STABLE,
)
steering = SteeringRule(
    edits=SteeringEdits(doses=DOSES, scales=SCALES, positions=POSITIONS),
    selection=SteeringSelection(pairs=CHOOSING, cost=COST),
    random=RandomDirections(count=STEERING_DIRECTIONS, pairs=CONTROL_PAIRS, band=BAND),
    criterion=SteeringCriterion(
        pairs=JUDGED, least=LEAST, lift=LIFT, room=ROOM, margin=MARGIN, alpha=ALPHA_STEERING
    ),
    tokens=TOKENS,
)


def process_rule(study):
    """When a direction stands for a process."""
    return ProcessDirectionRule(
        auc=AUC_MIN, alpha=ALPHA, permutations=study.plan.permutations, seed=study.plan.seed
    )


@pytest.mark.criterion("published", part="separates")
def test_direction_separates_as_published(study, verdict):
    """Before some layer the difference in means separates its own prompts with AUC 0.9 or more."""
    verdict(published_direction_finding(study, rule, least=AUC_PUBLISHED, published=PUBLISHED))


@pytest.mark.criterion("controlled", part="retrieval", prompts="cells", primary=True)
def test_a_direction_of_retrieval_separates_other_relations(study, verdict):
    """A direction of recall against lookup separates them in relations it was not fitted on."""
    verdict(process_direction_finding(study, RETRIEVAL, process_rule(study), gate=GATE))


@pytest.mark.criterion("controlled", part="composing", prompts="cells", primary=True)
def test_a_direction_of_composing_separates_other_relations(study, verdict):
    """A direction of two steps against one separates them in relations it was not fitted on."""
    verdict(process_direction_finding(study, COMPOSING, process_rule(study), gate=GATE))


@pytest.mark.criterion("controlled", part="separates")
def test_direction_separates_held_out_prompts(study, verdict):
    """The direction of half of the facts separates the other half better than any baseline does."""
    verdict(held_out_direction_finding(study, rule, GATE))


@pytest.mark.criterion("controlled", part="steers", prompts="cells", plain=True)
def test_steering_towards_reasoning_moves_the_tasks_apart(study, verdict):
    """Adding the direction of two steps lifts reasoning against lookup, beyond random ones."""
    verdict(steering_finding(contrasted(study, COMPOSING), steering, GATE))


@pytest.mark.criterion("controlled", part="steers", prompts="cells", plain=True)
def test_projecting_the_direction_out_costs_its_task(study, verdict):
    """Without the direction reasoning is lost, more than without random ones; lookup is spared."""
    verdict(projection_finding(contrasted(study, COMPOSING), steering, GATE))


@pytest.mark.criterion("controlled", part="steers", prompts="cells", plain=True)
def test_steering_activates_the_capability(study, verdict):
    """Reasoning items that the model gets wrong move towards the answer, beyond random ones."""
    verdict(correction_finding(contrasted(study, COMPOSING), steering, GATE))
