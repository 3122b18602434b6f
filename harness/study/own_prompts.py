"""What the claims cost on somebody's own prompt file, whose size `--items` does not change."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.materials.items import PromptSet
from harness.study.cost import PREDICTIONS, Sizes, Work, works_of

# Predictions that need not know which process a prompt asks for; that of the second line compares
# labels of crossed prompts.
ANSWERS = ("test_the_model_answers",)
CROSSED = ("test_nothing_differs_before_the_label",)


@dataclass(frozen=True, slots=True)
class OwnPrompts:
    """A prompt file.

    Attributes:
        name: As on the command line.
        plain: Its prompts.
        crossed: The same in pairs, by two orders and two labels; None if they are not crossed.
    """

    name: str
    plain: PromptSet
    crossed: PromptSet | None = None

    @property
    def sets(self) -> Mapping[str, PromptSet]:
        """Its sets by the name that a `Work` has as its materials."""
        crossed = {} if self.crossed is None else {f"{self.name}, crossed": self.crossed}
        return {self.name: self.plain, **crossed}

    @property
    def items(self) -> int:
        """Prompts of a task, a mean."""
        return -(-len(self.plain) // len(self.plain.count()))

    @property
    def states_cells(self) -> bool:
        """Whether it says where answers come from, and in how many steps."""
        return any(item.source and item.steps for item in self.plain.items)


def works_on(own: OwnPrompts, prediction: str, sizes: Sizes) -> tuple[Work, ...]:
    """The measurements of a prediction on a file; see `cost.works_of`.

    A claim on processes ends before it measures anything on a file that states none. A file has
    no other stories that could be drawn.
    """
    works = works_of(prediction, replace(sizes, items=own.items, full=False))
    published = all(work.materials == "published" for work in works)
    ships = prediction in PREDICTIONS
    if ships and not published and prediction not in (*ANSWERS, *CROSSED) and not own.states_cells:
        return ()
    if prediction in CROSSED and own.crossed is None and not own.plain.crossed:
        return ()
    return tuple(_moved(work, own) for work in works if work.what != "difficulty")


def _moved(work: Work, own: OwnPrompts) -> Work:
    """The same measurement on the file's prompts."""
    crossed = "crossed" in work.materials and own.crossed is not None
    name = list(own.sets)[crossed]
    prompts = len(own.sets[name])
    whole = work.materials == "published"
    return replace(work, materials=name, prompts=prompts if whole else min(work.prompts, prompts))
