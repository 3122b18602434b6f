"""What a calibration is asked to do, as one value."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from harness.study.reference_models import shipped

CALIBRATION_PARTS = ("processes", "controls", "organisms", "power", "programs", "consistency")
ORGANISMS = (  # of fixtures/training/written.py, which writes them when they are needed
    *("apart", "apart-writes", "apart-writes-light", "apart-sink", "apart-mends"),
    *("apart-through", "apart-layers", "apart-llama", "apart-75", "apart-50", "apart-25", "backup"),
    *("steerable", "steerable-further", "together", "together-llama", "one-relation"),
    *("two-relations", "one-step-apart", "labels-alone", "mixed-up"),
)
PROGRAMS = (  # of fixtures/training/programs.py: their circuits were published by others
    *("frac_prevs", "pair_balance", "detect_pattern", "hist", "count_less_freq"),
    *("unique_extractor", "hist+frac_prevs", "frac_prevs+unique_extractor"),
    "hist+unique_extractor",  # two programs in one network
)


# Organisms answer without a demonstration, and prompts that hold none are a quarter as long.
ON_ORGANISMS: Mapping[str, Any] = {"shots": 0, "chains": 3, "order": "shuffled"}


@dataclass(frozen=True, slots=True)
class CalibrationSettings:
    """What a calibration asks.

    Attributes:
        parts: Which of `CALIBRATION_PARTS` are made.
        processes: Models and organisms whose claims are judged where nothing is, from activations
            and effects of components that are measured once.
        controls: Models whose verdicts are known, judged over `seeds`.
        organisms: Networks written by hand whose verdicts are known, judged over `organism_seeds`;
            but those that are among the controls.
        power: Models that have what is looked for, judged with fewer facts.
        programs: Programs that small networks are taught with a circuit that is known.
        consistent: The model that is run twice, in other batches, and so on; "" for none.
        seeds: Drawings of the materials for each of the controls.
        organism_seeds: The same for each organism, and for each point of a power curve.
        items: Facts of each task, of models where nothing is and of the run that is made twice.
        control_items, organism_items: The same on controls, and on organisms, whose answers are
            surer. With fewer than 120 steering has not the stories that it needs.
        power_items: The same on the power curve.
        permutations, resamples, twins: As the options of a run.
        shuffles: Of the labels of each process and kind of component, on activations.
        effect_shuffles: The same on effects, and as many same-process contrasts there.
        process_seeds: Draws of same-process contrasts on activations, 40 pairings each.
        program_seeds: Networks of each program.
        first_seed: Of everything that is drawn; the others follow it.
        claims: Ids of the claims that are run, such as h2; all if empty.
    """

    parts: tuple[str, ...] = CALIBRATION_PARTS
    processes: tuple[str, ...] = ("mini-qwen", "mini-llama")
    controls: tuple[str, ...] = ()
    organisms: tuple[str, ...] = ORGANISMS
    power: tuple[str, ...] = ("mini-qwen",)
    programs: tuple[str, ...] = PROGRAMS
    consistent: str = "mini-qwen"
    seeds: int = 20
    organism_seeds: int = 3
    items: int = 200
    control_items: int = 120
    organism_items: int = 120
    power_items: tuple[int, ...] = (60, 200)
    permutations: int = 1000
    resamples: int = 1000
    twins: int = 1
    shuffles: int = 1000
    effect_shuffles: int = 368
    process_seeds: int = 5
    program_seeds: int = 3
    first_seed: int = 0
    claims: tuple[str, ...] = ()

    @classmethod
    def usual(cls) -> Self:
        """The defaults, on the reference models where they are there."""
        known = shipped()
        names = tuple(model.name for model in known)
        # One that states how it is asked was made for a claim alone.
        shipping = [model for model in known if not model.spec.recipe and model.asked is None]
        if not known:
            return cls()
        return cls(
            processes=(*cls().processes, *(model.name for model in shipping), ORGANISMS[0]),
            controls=names,
            organisms=tuple(name for name in ORGANISMS if name not in names),
            power=tuple(model.name for model in shipping if model.role == "positive"),
        )

    def quick(self) -> "CalibrationSettings":
        """The same in little: to see that it works, not to publish."""
        return replace(
            self,
            parts=("processes", "organisms", "programs"),
            processes=self.power[:1],
            organisms=("apart", "together"),
            programs=("pair_balance",),
            claims=("h5",),
            shuffles=100,
            effect_shuffles=20,
            process_seeds=1,
            program_seeds=1,
            organism_seeds=1,
            items=100,
            permutations=199,
            resamples=199,
        )

    def to_json(self) -> Mapping[str, Any]:
        """Plain values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
