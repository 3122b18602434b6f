"""A section for a model card or a paper's appendix, in Markdown: what the report's head says."""

from collections.abc import Mapping, Sequence

from harness.report.formats import LEGEND, escape_markdown, markdown
from harness.report.instrument import InstrumentCheck
from harness.report.parts import Page
from harness.report.verdicts import distinct
from harness.verdicts import typeset
from harness.verdicts.verdict import Named

_HASH = 12  # characters of it that are shown
_NUMBERS = ("seed", "items", "permutations", "resamples", "twins")
VERSIONS = ("package", "commit", "python", "torch", "transformers", "nnsight", "numpy")
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
    if page.by_claim:
        parts.append(" ".join(page.by_claim))
    if not page.checks:
        parts.append(f"{NOT_CHECKED} (`--no-controls`)")
    parts += ["### How it was made", _made(page)]
    parts += ["### What it cannot tell", _bullets([escape_markdown(s) for s in page.limits])]
    return "\n\n".join(parts) + "\n"


def _check(check: InstrumentCheck) -> str:
    names = escape_markdown(typeset.listed(list(check.models)))
    said = (
        f"{check.role.capitalize()} reference model ({names}; {check.known}): "
        f"{check.right} of {typeset.plural(len(check.verdicts), 'verdict')} as known."
    )
    wrong = [
        escape_markdown(
            f"{v.record.claim_id}, {v.record.criterion}, {v.record.model.name}: "
            f"{v.record.prediction} Expected {v.known.expected}, got "
            f"{v.record.outcome}."
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
        numbers = [f"{n} {_values(run, n)}" for n in _NUMBERS if run.facts.get(n)]
        lines.append(_sentence(f"Run {run.name} of {run.facts['date'][:10]}", numbers))
        versions = [f"{name} {_values(run, name)}" for name in VERSIONS if run.facts.get(name)]
        lines += [_sentence("Versions", versions)] if versions else []
    said = [escape_markdown(line) for line in lines]
    said += [f"Command: {_code(c)}" for c in commands(page)]
    return _bullets(said)


def commands(page: Page) -> list[str]:
    """How the runs were called, where they say so."""
    runs = page.provenance.runs
    return distinct(command for run in runs for command in run.facts.get("command", ()) if command)


def _model(model: Named) -> str:
    facts = model.facts
    shape = [f"{facts[n]} {n}" for n in ("layers", "heads", "neurons") if facts.get(n)]
    said = [str(facts[n]) for n in ("architecture", "dtype", "revision") if facts.get(n)]
    weights = str(facts.get("weights") or "")
    said += [typeset.listed(shape) + (" a layer" if len(shape) > 1 else "")] if shape else []
    if facts.get("encoder_layers"):
        said.append(f"the first {facts['encoder_layers']} layers the encoder's")
    said += [f"weights {_short(weights)}"] if weights else []
    return _sentence(model.name, said, stop="")


def _materials(materials: Named) -> str:
    facts = materials.facts
    n = facts.get("n")
    sizes = [f"{size} {task}" for task, size in n.items()] if isinstance(n, Mapping) else []
    said = [*sizes, *([f"{facts['pairs']} pairs"] if facts.get("pairs") else [])]
    digest = str(facts.get("hash") or "")
    said += [f"hash {_short(digest)}"] if digest else []
    return _sentence(materials.name, said, stop="")


def _short(digest: str) -> str:
    kind, colon, rest = digest.rpartition(":")
    return f"{kind}{colon}{rest[:_HASH]}"


def _values(run: Named, name: str) -> str:
    return "/".join(str(v) for v in run.facts[name])


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
