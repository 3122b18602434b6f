"""What a calibration is asked to do, as one value."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from harness.study.reference_models import shipped

CALIBRATION_PARTS = ("null", "power", "consistency", "processes", "organisms", "programs")
ORGANISMS = (  # of fixtures/training/written.py, which writes them when they are needed
    *("apart", "apart-llama", "apart-75", "apart-50", "apart-25", "backup", "steerable"),
    *("together", "together-llama", "one-relation", "two-relations", "one-step-apart"),
    "labels-alone",
)
PROGRAMS = (  # of fixtures/training/programs.py: their circuits were published by others
    *("frac_prevs", "pair_balance", "detect_pattern", "hist", "count_less_freq"),
    *("unique_extractor", "hist+frac_prevs", "frac_prevs+unique_extractor"),
    "hist+unique_extractor",  # two programs in one network
)
NULLS = ("untrained", "redrawn", "shuffled")


@dataclass(frozen=True, slots=True)
class CalibrationSettings:
    """The runs of a calibration.

    Attributes:
        parts: Which of `PARTS` are run.
        nulls: Which of `NULLS` are run.
        untrained: Models whose architecture and tokenizer untrained networks are made with.
        shuffled: Trained models whose labels are shuffled.
        power: Models on which the suite should find something; recovery is measured on those
            with a circuit.json.
        processes: Models whose claims on processes are judged on shuffled labels and on
            same-process contrasts, from activations that are measured once.
        organisms: Networks written by hand whose verdicts are known, judged with each of
            `power_seeds`.
        programs: Programs that small networks are taught with a circuit that is known.
        consistent: The model that is run twice, in other batches, and so on; "" for none.
        seeds: Runs of each kind of null, each on its own network, shuffling or drawing.
        power_seeds: Drawings of the materials for each point of a power curve.
        items: Facts a task in null runs, and where shares are varied.
        power_items: Facts a task of the power curve.
        shares: Shares of shuffled pairs of the power curve.
        permutations, resamples, twins: As the options of a run.
        shuffles: Of the labels of each process and kind of component.
        process_seeds: Draws of same-process contrasts, 40 pairings of relations each.
        program_seeds: Networks of each program.
        claims: Ids of the claims that are run, such as h2; all if empty.
    """

    parts: tuple[str, ...] = CALIBRATION_PARTS
    nulls: tuple[str, ...] = NULLS
    untrained: tuple[str, ...] = ("mini-qwen", "mini-llama")
    shuffled: tuple[str, ...] = ("mini-qwen",)
    power: tuple[str, ...] = ("mini-qwen",)
    processes: tuple[str, ...] = ("mini-qwen", "mini-llama")
    organisms: tuple[str, ...] = ORGANISMS
    programs: tuple[str, ...] = PROGRAMS
    consistent: str = "mini-qwen"
    seeds: int = 20
    power_seeds: int = 3
    items: int = 200
    power_items: tuple[int, ...] = (15, 30, 60, 100, 200)
    shares: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 0.9)
    permutations: int = 1000
    resamples: int = 1000
    twins: int = 3
    shuffles: int = 1000
    process_seeds: int = 5
    program_seeds: int = 3
    claims: tuple[str, ...] = ()

    @classmethod
    def usual(cls) -> Self:
        """The defaults, on the models with planted circuits where they are there."""
        known = shipped()
        planted = tuple(model.name for model in known if model.role == "positive")
        if not planted:
            return cls()
        return cls(
            shuffled=(*cls().shuffled, planted[0]),
            power=planted,
            processes=(*cls().processes, *(model.name for model in known)),
        )

    def quick(self) -> "CalibrationSettings":
        """The same in little: to see that it works, not to publish."""
        return replace(
            self,
            untrained=self.untrained[:1],
            processes=self.power[:1],
            organisms=("apart", "together"),
            programs=("pair_balance",),
            shuffles=100,
            process_seeds=1,
            program_seeds=1,
            seeds=2,
            power_seeds=1,
            items=60,
            power_items=(15, 60),
            shares=(0.0, 0.75),
            permutations=199,
            resamples=199,
            twins=1,
        )

    def to_json(self) -> Mapping[str, Any]:
        """Plain values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
