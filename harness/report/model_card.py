"""A section for a model card or a paper's appendix, in Markdown: what the report's head says."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.report import typeset
from harness.report.formats import LEGEND, escape_markdown, markdown
from harness.report.instrument import Check
from harness.report.parts import Page
from harness.report.verdicts import distinct

HASH = 12  # characters of it that are shown
NUMBERS = ("seed", "items", "permutations", "resamples", "twins")
NOT_CHECKED = "Nothing was checked: this run has no verdict on a model whose circuits are known."


def model_card(page: Page) -> str:
    """The same summary, table, origins and limits as the page, headings from the second level on.

    A run without verdicts gives a section that says so.
    """
    parts = [f"## {escape_markdown(page.title)}"]
    if page.claims:
        parts += [
            *(escape_markdown(" ".join(page.summary)), "### Verdicts"),
            *(markdown(page.table).rstrip("\n"), escape_markdown(LEGEND)),
        ]
    else:
        parts += ["This run holds no verdicts."]
    parts += ["### Instrument check", *(_check(c) for c in page.checks)]
    parts += [] if page.checks else [f"{NOT_CHECKED} (`--no-controls`)"]
    parts += ["### How it was made", _made(page)]
    parts += ["### What it cannot tell", _bullets([escape_markdown(s) for s in page.limits])]
    return "\n\n".join(parts) + "\n"


def _check(check: Check) -> str:
    names = escape_markdown(typeset.listed(list(check.models)))
    said = (
        f"{check.role.capitalize()} control ({names}; {check.known}): "
        f"{check.right} of {typeset.plural(len(check.verdicts), 'verdict')} as known."
    )
    wrong = [
        escape_markdown(
            f"{v.record['claim_id']}, {v.record['criterion']}, {v.record['model']['name']}: "
            f"{v.record['prediction']} Expected {v.record['control']['expected']}, got "
            f"{v.record['outcome']}."
        )
        for v in check.wrong
    ]
    return f"{said} Not so:\n\n{_bullets(wrong)}" if wrong else said


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _made(page: Page) -> str:
    made = page.provenance
    lines = [f"Model {_model(m)}." for m in made.models]
    lines += [f"Materials {_materials(m)}." for m in made.materials]
    for run in made.runs:
        numbers = [f"{n} {_values(run, n)}" for n in NUMBERS if run.get(n)]
        lines.append(_sentence(f"Run {run['run']} of {run['date'][:10]}", numbers))
        versions = [
            f"{name} {_values(run, name)}"
            for name in ("package", "commit", "python", "torch", "transformers", "nnsight", "numpy")
            if run.get(name)
        ]
        lines += [_sentence("Versions", versions)] if versions else []
    said = [escape_markdown(line) for line in lines]
    said += [f"Command: {_code(c)}" for c in commands(page)]
    return _bullets(said)


def commands(page: Page) -> list[str]:
    """How the runs were called, where they say so."""
    return distinct(c for run in page.provenance.runs for c in run.get("command", ()) if c)


def _model(model: Mapping[str, Any]) -> str:
    shape = [f"{model[n]} {n}" for n in ("layers", "heads", "neurons") if model.get(n)]
    said = [str(model[n]) for n in ("architecture", "dtype", "revision") if model.get(n)]
    weights = str(model.get("weights") or "")
    said += [typeset.listed(shape) + (" a layer" if len(shape) > 1 else "")] if shape else []
    said += [f"weights {_short(weights)}"] if weights else []
    return _sentence(str(model["name"]), said, stop="")


def _materials(materials: Mapping[str, Any]) -> str:
    n = materials.get("n")
    sizes = [f"{size} {task}" for task, size in n.items()] if isinstance(n, Mapping) else []
    said = [*sizes, *([f"{materials['pairs']} pairs"] if materials.get("pairs") else [])]
    digest = str(materials.get("hash") or "")
    said += [f"hash {_short(digest)}"] if digest else []
    return _sentence(str(materials["name"]), said, stop="")


def _short(digest: str) -> str:
    kind, colon, rest = digest.rpartition(":")
    return f"{kind}{colon}{rest[:HASH]}"


def _values(run: Mapping[str, Any], name: str) -> str:
    return "/".join(str(v) for v in run[name])


def _sentence(name: str, said: Sequence[str], stop: str = ".") -> str:
    return f"{name}: {', '.join(said)}{stop}" if said else f"{name}{stop}"


def _code(text: str) -> str:
    """Text in backticks, more of them than stand in it."""
    text = " ".join(text.split())
    fence = "`"
    while fence in text:
        fence += "`"
    room = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{room}{text}{room}{fence}"
