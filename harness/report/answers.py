"""What the models were asked and what they answered: a table a model and set of materials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.foreign import border, strictly_parsed, table_at
from harness.report.anchors import Anchors
from harness.report.component_tables import packed_json
from harness.verdicts import typeset
from harness.verdicts.components import REMEDY
from harness.verdicts.records import ANSWERS_NAME

if TYPE_CHECKING:
    import pandas as pd

EACH = 5  # right and wrong answers of a class that are shown before a reader asks for more
CARRIED = 2_000  # answers of a sheet that travel with the page; answers.parquet has the others
_COLUMNS = (
    *("task", "prompt", "answer", "options", "chosen", "right", "log_probability", "best_other"),
)
_NUMBERS = ("right", "log_probability", "best_other")  # the other columns are text
EXPECTED = "a table of answers"


@dataclass(frozen=True, slots=True)
class AnswerSheet:
    """How one model answered one set of materials.

    Attributes:
        said: `recall 198 of 200 right, reasoning 200 of 200 right`.
        tasks: The classes.
        rows: The first `EACH` right and wrong answers of each class.
        carried: How many answers the page has; `total` how many there are.
        packed: The columns of what it carries as gzipped JSON in base64.
    """

    anchor: str
    model: str
    materials: str
    said: str
    tasks: Sequence[str]
    rows: Sequence[Mapping[str, Any]]
    carried: int
    total: int
    packed: str


def read_answers(folder: Path) -> "pd.DataFrame | None":
    """What the models were asked and answered in a run; None if its folder has no such file.

    Raises:
        ForeignError: If the file is damaged; names it and the column.
    """
    path = folder / ANSWERS_NAME
    if not path.exists():
        return None
    texts = ("model", "materials", *(name for name in _COLUMNS if name not in _NUMBERS))
    frame = table_at(path, dict.fromkeys(_NUMBERS, False), texts, EXPECTED, REMEDY)
    with border(path, EXPECTED, REMEDY):
        right = frame["right"]
        for wrong in right[right.notna() & ~right.isin([0, 1])]:
            raise ValueError(f"column 'right' holds {wrong}, expected true or false")
        frame["right"] = right.astype("boolean").astype(object).where(right.notna(), None)
        for options in frame["options"].unique():
            _check_options(options)
    return frame


def _check_options(text: str) -> None:
    options = strictly_parsed(text)
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        raise ValueError(f"column 'options' holds {text[:40]!r}, expected a JSON list of texts")


def answer_sheets(answers: "pd.DataFrame | None", anchors: Anchors) -> list[AnswerSheet]:
    """A sheet a model and set of materials, in the order of the file.

    A set whose prompts all stand in another one, of which it is a part, has none of its own.
    """
    if answers is None or not len(answers):
        return []
    answers = answers.astype(object)  # of which rows are picked much faster than of arrow's texts
    return [
        _sheet(str(model), str(materials), rows, anchors)
        for model, of_model in answers.groupby("model", sort=False, observed=True)
        for materials, rows in _whole_sets(of_model)
    ]


def _whole_sets(answers: "pd.DataFrame") -> "list[tuple[str, pd.DataFrame]]":
    """The materials of one model that are no part of others; of equal ones, the shortest name."""
    groups = answers.groupby("materials", sort=False, observed=True)
    sets = {str(name): (rows, set(rows["prompt"])) for name, rows in groups}
    by_size = sorted(sets, key=lambda name: (-len(sets[name][1]), len(name)))
    whole: list[str] = []
    for name in by_size:
        if not any(sets[name][1] <= sets[other][1] for other in whole):
            whole.append(name)
    return [(name, rows) for name, (rows, _) in sets.items() if name in whole]


def _sheet(model: str, materials: str, rows: "pd.DataFrame", anchors: Anchors) -> AnswerSheet:
    tasks = list(dict.fromkeys(rows["task"].astype(str)))
    picked = [
        of_task[of_task["right"] == right].head(EACH)
        for task in tasks
        for of_task in [rows[rows["task"] == task]]
        for right in (True, False)
    ]
    carried = rows.head(CARRIED)
    columns = {name: [_plain(v) for v in carried[name].tolist()] for name in _COLUMNS}
    return AnswerSheet(
        anchor=anchors.claim("answers", model, materials),
        model=model,
        materials=materials,
        said=", ".join(_count(task, rows[rows["task"] == task]) for task in tasks),
        tasks=tasks,
        rows=[
            {str(name): _plain(value) for name, value in row.items()}
            for part in picked
            for row in part[list(_COLUMNS)].to_dict("records")
        ],
        carried=len(carried),
        total=len(rows),
        packed=packed_json(columns),
    )


def _count(task: str, rows: "pd.DataFrame") -> str:
    judged = rows["right"].notna()
    if not judged.any():
        return f"{task} {typeset.count(len(rows))}, no options to choose from"
    right = int((rows["right"] == True).sum())  # noqa: E712 - the column has gaps
    return f"{task} {typeset.count(right)} of {typeset.count(int(judged.sum()))} right"


def _plain(value: Any) -> Any:
    """A value for JSON; None for what is missing."""
    if value is None or value != value:  # noqa: PLR0124 - not a number
        return None
    if isinstance(value, float):
        return round(value, 3)
    return value if isinstance(value, str) else bool(value)
