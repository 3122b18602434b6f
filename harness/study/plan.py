"""The plan of a run: the numbers that hold for every prediction, and how they are typed."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from harness.materials.items import PromptSet


@dataclass(frozen=True, slots=True)
class Plan:
    """The numbers that a run fixes for every prediction.

    Attributes:
        seed: Of materials, permutations and resamples.
        items: Facts of each task.
        permutations: Of each permutation test.
        resamples: Of each bootstrap.
        twins: Untrained twins that the model is compared with.
        shuffle_labels: Share of pairs whose task labels are exchanged at random. Above 0 the run
            measures the suite's error rates, not the model.
        competence_gate: Accuracy below which a claim is inconclusive; it replaces the gate in the
            claim's file. 0 lets every model pass, also one that guesses.
        full: Whether controls are measured also where the model itself does not meet what is
            required, so that they can take no support away.
        cut: What --budget took away, as a sentence; empty if nothing.
    """

    seed: int = 0
    items: int = 200
    permutations: int = 1000
    resamples: int = 1000
    twins: int = 3
    shuffle_labels: float = 0.0
    competence_gate: float | None = None
    full: bool = False
    cut: str = ""

    def labelled(self, prompts: PromptSet, seed: int | None = None) -> PromptSet:
        """The materials with their labels shuffled if the plan says so; call it after each draw.

        Args:
            prompts: As they were drawn or read.
            seed: That they were drawn with, if it is not the run's.
        """
        from harness.materials.relabelling import shuffle_labels  # noqa: PLC0415 - scipy loads here

        return shuffle_labels(prompts, self.shuffle_labels, self.seed if seed is None else seed)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that stand on every verdict of an unusual run."""
        notes = []
        if self.shuffle_labels:
            notes.append(
                "NOT A RESULT ABOUT THE MODEL: the task labels of a share of "
                f"{self.shuffle_labels:g} of the pairs were shuffled (--shuffle-labels), which "
                "measures the instrument"
            )
        if self.competence_gate is not None:
            opened = " and so opened: even a model that guesses passes it"
            notes.append(
                f"the competence gate was set to {self.competence_gate:g} (--competence-gate)"
                + (opened if not self.competence_gate else "")
            )
        if self.cut:
            notes.append(self.cut)
        return tuple(notes)


def whole_number(least: int) -> Callable[[str], int]:
    """A parser of whole numbers of at least `least`.

    The parser raises ValueError with the text typed and what was expected.
    """

    def parse(text: str) -> int:
        number = int(text) if text.removeprefix("-").isdecimal() else least - 1
        if number < least:
            raise ValueError(f"{text!r}: expected a whole number of at least {least}")
        return number

    return parse


def parse_share(text: str) -> float:
    """A number between 0 and 1.

    Raises:
        ValueError: If the text is not one.
    """
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise ValueError(f"{text!r}: expected a share between 0 and 1")
    return number


def parse_time(text: str) -> float:
    """Seconds of a time such as `90s`, `20m` or `1h30m`.

    Raises:
        ValueError: If the text is not one.
    """
    found = re.fullmatch(r"(?:(\d{1,3})h)?(?:(\d{1,4})m)?(?:(\d{1,5})s)?", text)
    parts = [int(number or 0) for number in found.groups()] if found else [0, 0, 0]
    total = 3600 * parts[0] + 60 * parts[1] + parts[2]
    if not total:
        raise ValueError(f"{text!r}: expected a time such as 20m, 90s or 1h30m")
    return total
