"""The two processes and the contrasts that show them.

|              | one step | two steps |
|--------------|----------|-----------|
| from weights | recall   | latent    |
| from context | lookup   | reasoning |

*Retrieval* from weights is what recall has and lookup has not: the source differs, the steps do
not. *Composing* is what reasoning has and lookup has not: the steps differ, the source does not.
"""

from dataclasses import dataclass

from harness.materials.items import Item

CELLS = ("recall", "lookup", "reasoning")  # in which claims on circuits ask
COLUMNS = {  # of each cell's prompts in a file
    "recall": "source weights, steps 1",
    "latent": "source weights, steps 2",
    "lookup": "source context, steps 1",
    "reasoning": "source context, steps 2",
}


@dataclass(frozen=True, slots=True)
class Process:
    """A process, and the cells that differ in it alone.

    Attributes:
        name: In a sentence: components that serve it.
        cells: With and without it.
    """

    name: str
    cells: tuple[str, str]

    @property
    def target(self) -> str:
        """The cell that needs it."""
        return self.cells[0]

    @property
    def others(self) -> tuple[str, ...]:
        """Those of `CELLS` that do not need it."""
        return tuple(cell for cell in CELLS if cell != self.target)


RETRIEVAL = Process("retrieval", ("recall", "lookup"))
COMPOSING = Process("composing", ("reasoning", "lookup"))
PROCESSES = {process.name: process for process in (RETRIEVAL, COMPOSING)}


def cell_of(item: Item) -> str:
    """The cell that an item asks in, from its source and steps; "" if it states none."""
    if item.source not in ("weights", "context") or not item.steps:
        return ""
    one, more = ("recall", "latent") if item.source == "weights" else ("lookup", "reasoning")
    return one if item.steps == 1 else more
