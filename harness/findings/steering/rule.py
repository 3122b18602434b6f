"""The numbers of the steering predictions, which a hypothesis file gives by name."""

from dataclasses import dataclass

from harness.interventions.sites import Positions


@dataclass(frozen=True, slots=True, kw_only=True)
class SteeringEdits:
    """The edits that are tried.

    Attributes:
        doses: Of adding, in multiples of the difference in means, rising.
        scales: s of rescaling, x + s (x . r) r: shown.
        positions: Which tokens are edited.
    """

    doses: tuple[float, ...]
    scales: tuple[float, ...]
    positions: Positions


@dataclass(frozen=True, slots=True, kw_only=True)
class SteeringSelection:
    """How layer, edit and dose are selected.

    Attributes:
        pairs: Discovery pairs that they are selected on, at most.
        cost: KL divergence on neutral prompts, nats, up to which a dose may be selected.
    """

    pairs: int
    cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomDirections:
    """The random directions that an effect is compared with.

    Attributes:
        count: Directions of each kind; the effect must exceed all of them.
        pairs: Pairs that random directions, costs and dose curves are measured on, at most.
        band: Directions behind the grey band of the dose curves, which decide nothing.
    """

    count: int
    pairs: int
    band: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SteeringCriterion:
    """What evaluation items must show.

    Attributes:
        pairs: Evaluation pairs, at most.
        least: Items without which nothing is judged.
        lift: Share of the intact logit difference that adding must gain one task against the
            other, and that task by itself; rounding alone gives 1e-5.
        room: Accuracy, least and most, of the items whose answers must rise and fall.
        margin: A task is spared if less than this share of its correct answers is lost.
        alpha: Of every test.
    """

    pairs: int
    least: int
    lift: float
    room: tuple[float, float]
    margin: float
    alpha: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SteeringRule:
    """Everything that the steering predictions fix in advance.

    Attributes:
        tokens: Written by greedy generation.
    """

    edits: SteeringEdits
    selection: SteeringSelection
    random: RandomDirections
    criterion: SteeringCriterion
    tokens: int
