"""The table of claims as text for other documents: CSV in full, Markdown and LaTeX as shown."""

import csv
import io
import math
import re
from typing import Any

from harness.report.claims_table import ClaimRow, ClaimsTable
from harness.verdicts import typeset
from harness.verdicts.evidence import Evidence
from harness.verdicts.typeset import DASH, MINUS

HEADINGS = (
    *("Claim", "Model", "Criterion", "Verdict", "Effect", "95 % interval", "q", "Controls"),
    "What fails",
)
LEGEND = (
    "Effect: what decided the verdict; of several predictions, that of the first with the verdict "
    "shown: the headline effect of a supported one, the first requirement or control that failed, "
    "or the gate that was not met. q: p adjusted over the family of tests; a dash where an effect "
    "is held against a bound alone. Controls: how many of those with a requirement behaved as they "
    "must; under the published criterion they are shown and do not decide."
)


def cells(row: ClaimRow, unit: str) -> list[str]:
    """One row as `HEADINGS` has it; what is not there is empty."""
    sentence = row.shown.prediction if unit == "requirement" else row.claim
    return [
        *(f"{row.claim_id}: {sentence}", row.model, row.criterion, row.verdict, row.effect),
        *(row.interval, row.q, row.controls, "; ".join(row.fails)),
    ]


def csv_text(table: ClaimsTable) -> str:
    """A row a claim (or requirement), numbers in full."""
    rows = [_full(row) for row in table.rows]
    file = io.StringIO()
    writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else ["claim_id"])
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _full(row: ClaimRow) -> dict[str, Any]:
    judged = [c.passed for c in row.shown.controls if c.passed is not None]
    return {
        "claim_id": row.claim_id,
        "claim": row.claim,
        "model": row.model,
        "criterion": row.criterion,
        "verdict": row.outcome,
        "predictions_of_that_verdict": row.agreeing,
        "predictions": row.predictions,
        "materials": row.shown.materials.name,
        "prediction": row.shown.prediction,
        **_numbers(row.evidence),
        "controls_behaved": sum(judged),
        "controls": len(judged),
        "fails": "; ".join(row.fails),
        "reason": row.shown.reason,
        "deciding": typeset.plain(row.shown.deciding.text),
    }


_NUMBERS = (
    *("evidence", "effect_name", "effect", "low", "high", "level"),
    *("relation", "threshold", "q", "alpha", "n"),
)


def _numbers(evidence: Evidence | None) -> dict[str, Any]:
    if evidence is None:
        return dict.fromkeys(_NUMBERS)
    effect = evidence.effect
    low, high = effect.interval or (None, None)
    values = (
        *(evidence.name, effect.name, effect.value, low, high, effect.level),
        *(evidence.relation, evidence.threshold, evidence.p_adjusted, evidence.alpha, evidence.n),
    )
    return {name: _known(value) for name, value in zip(_NUMBERS, values, strict=True)}


def _known(value: Any) -> Any:
    """An empty cell for what is not a number."""
    return None if isinstance(value, float) and math.isnan(value) else value


def markdown(table: ClaimsTable) -> str:
    """A table of GitHub's Markdown."""
    lines = [list(HEADINGS), ["---"] * len(HEADINGS)]
    for row in table.rows:
        line = [escape_markdown(cell) or DASH for cell in cells(row, table.unit)]
        line[HEADINGS.index("95 % interval")] = row.interval or DASH  # its brackets are no link
        lines.append(line)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def escape_markdown(text: str) -> str:
    """Text that is no markup wherever it stands: in a cell, a list or a paragraph."""
    text = re.sub(r"([\\`*_\[\]<>#|~$&!])", r"\\\1", " ".join(text.split()))
    text = re.sub(r"^([-+](?=\s|$)|\d+(?=[.)](?:\s|$)))", _quoted, text)
    # A bare address would become a link.
    return re.sub(r"(https?)://", r"\1\\://", text)


def _quoted(opening: re.Match[str]) -> str:
    """What would open a list, no longer doing so."""
    return f"\\{opening[1]}" if opening[1] in "-+" else f"{opening[1]}\\"


def latex(table: ClaimsTable) -> str:
    """A table over as many pages as it takes, to be compiled as UTF-8."""
    wide = {"Claim": 0.16, "Effect": 0.2, "What fails": 0.14}
    columns = "".join(f"p{{{wide[h]}\\linewidth}}" if h in wide else "l" for h in HEADINGS)
    body = [[escape_latex(c) or "--" for c in cells(row, table.unit)] for row in table.rows]
    lines = [
        "% needs \\usepackage{booktabs,longtable}, one column and a wide page",
        "{\\scriptsize\\setlength{\\tabcolsep}{4pt}",
        f"\\begin{{longtable}}{{{columns}}}",
        f"\\caption{{{escape_latex(LEGEND)}}} \\\\",
        "\\toprule",
        f"{' & '.join(escape_latex(h) for h in HEADINGS)} \\\\",
        "\\midrule",
        "\\endhead",
        *(f"{' & '.join(line)} \\\\" for line in body),
        "\\bottomrule",
        "\\end{longtable}}",
    ]
    return "\n".join(lines) + "\n"


LATEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    **{"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"},
    **{"<": "\\textless{}", ">": "\\textgreater{}", "|": "\\textbar{}", '"': "''"},
    **{MINUS: "$-$", "≥": "$\\geq$", "≤": "$\\leq$", "×": "$\\times$", "∞": "$\\infty$"},
    **{"→": "$\\rightarrow$", "±": "$\\pm$", "·": "$\\cdot$", "[": "{[}", "]": "{]}"},
}


def escape_latex(text: str) -> str:
    """Text that LaTeX sets as it stands, signs of mathematics among it."""
    return "".join(LATEX.get(c, c) for c in " ".join(text.split()))
