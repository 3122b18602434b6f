"""The published figures: tables in docs/, made from calibration.json."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.calibration.rates import ALL, AS_USED, BEHIND
from harness.files import DATA, write_text
from harness.verdicts import typeset

RECORD = DATA / "benchmarks" / "results" / "calibration.json"  # the one that is published
PAGE = DATA / "docs" / "calibration.md"  # where the table stands
START, END = "<!-- calibration: made from benchmarks/results/calibration.json -->", "<!-- end -->"
PROGRAMS = DATA / "benchmarks" / "results" / "programs.json"
PROGRAM_MARKS = (
    "<!-- programs: made from benchmarks/results/programs.json -->",
    "<!-- end programs -->",
)
_TAUGHT = {"circuit": "taught the circuit", "answers": "answers alone"}
_KINDS = {"head": "heads", "component": "heads and MLPs"}
_WAYS = {"mean": "mean ablation (as h5)", "attribution": "attribution on a path"}
_PAIRS = {
    "auroc": "what they cost it beyond the other (as h5)",
    "auroc_cost": "what they cost it",
}
_NULLS = (
    ("untrained", AS_USED, "untrained networks"),
    ("untrained", BEHIND, "the same, gate open"),
    ("shuffled", BEHIND, "labels shuffled"),
)
_Entry = Mapping[str, Any]


def published_table(record: _Entry) -> str:
    """A Markdown table: a claim a row, runs that support any of its predictions, and power."""
    models = list(dict.fromkeys(e["model"] for e in record["power"]))
    heads = ["claim, controlled", *(words for *_, words in _NULLS), *(f"`{m}`" for m in models)]
    lines = [_line(heads), _line(["---"] * len(heads))]
    claims = sorted({e["claim_id"] for e in record["any_error"]} - {ALL})
    lines += [_line(_row(record, claim, "controlled", models)) for claim in claims]
    lines += [_line(_row(record, ALL, c, models)) for c in ("controlled", "published")]
    return "\n".join(lines)


def between_marks(text: str, start: str = START, end: str = END) -> str | None:
    """The table that stands in a text between the marks; None if there is none."""
    _, start, rest = text.partition(start)
    table, end, _ = rest.partition(end)
    return table.strip() if start and end else None


def put_into(path: Path, record: _Entry) -> None:
    """Write the table between the marks of a file.

    Raises:
        ValueError: If the file has no marks.
    """
    _put(path, published_table(record), START, END)


def _put(path: Path, table: str, start: str, end: str) -> None:
    text = path.read_text(encoding="utf-8")
    if between_marks(text, start, end) is None:
        raise ValueError(f"{path} has no place for the table: expected {start!r} and {end!r}.")
    before, _, rest = text.partition(start)
    _, _, after = rest.partition(end)
    path.write_text(f"{before}{start}\n{table}\n{end}{after}", encoding="utf-8")


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _row(record: _Entry, claim: str, criterion: str, models: Sequence[str]) -> Iterator[str]:
    yield claim if claim != ALL else f"any, {criterion}"
    for null, gate, _ in _NULLS:
        place = (claim, criterion, null, gate)
        names = ("claim_id", "criterion", "null", "gate")
        mine = [e for e in record["any_error"] if tuple(e[n] for n in names) == place]
        yield _errors(mine[0]) if mine else "–"
    for model in models:
        yield _power(record, claim, criterion, model)


def _errors(entry: _Entry) -> str:
    """Runs that support it, of those that decided anything; the others are counted beside."""
    decided, undecided = entry.get("rate_decided", entry["rate"]), entry.get("undecided", 0)
    beside = f"; {undecided} undecided" if undecided else ""
    return (_share(decided) if decided["n"] else "0 of 0") + beside


def _share(rate: _Entry) -> str:
    if not rate["n"]:
        return "–"
    low, high = (_short(bound) for bound in rate["interval"])
    return f"{rate['count']} of {rate['n']} [{low}, {high}]"


def _short(share: float) -> str:
    """.07, 0 or 1."""
    text = f"{share:.2f}"
    return {"0.00": "0", "1.00": "1"}.get(text, text.removeprefix("0"))


def _power(record: _Entry, claim: str, criterion: str, model: str) -> str:
    """Verdicts that support it, of a model that has what is looked for, at the usual size."""
    mine = [
        e
        for e in record["power"]
        if (e["model"], e["criterion"]) == (model, criterion)
        and (e["items"], e["share"]) == (record["settings"]["items"], 0)
        and (e["claim_id"] == claim or (claim == ALL and e["claim_id"] != "h0"))
    ]
    n = sum(e["rate"]["n"] for e in mine)
    return f"{sum(e['supported'] for e in mine)} of {typeset.plural(n, 'verdict')}" if n else "–"


def publish_programs(record: _Entry) -> Path:
    """Write what was measured on programs beside the record of claims, and its table in docs/."""
    kept = {name: record[name] for name in ("created", "provenance", "programs")}
    write_text(PROGRAMS, json.dumps(kept, ensure_ascii=False, indent=1) + "\n")
    _put(PAGE, programs_table(record["programs"]), *PROGRAM_MARKS)
    return PROGRAMS


def programs_table(programs: _Entry) -> str:
    """A Markdown table: a way to rank a row; what was taught, and what is ranked, a column."""
    columns = [(taught, kind) for taught in ("circuit", "answers") for kind in _KINDS]
    heads = [f"{_TAUGHT[taught]}: {_KINDS[kind]}" for taught, kind in columns]
    table = {(e["way"], e["taught"], e["kind"]): e for e in programs["recovery"]}
    heads.append("found, of these in the circuit, of all in it")
    lines = [_line(["ranked by", *heads]), _line(["---"] * (1 + len(heads)))]
    for way in dict.fromkeys(e["way"] for e in programs["recovery"]):
        cells = (_auroc(table[way, taught, kind]) for taught, kind in columns)
        both = table[way, "circuit", "component"]
        counts = f"{both['found']}, {both['found_own']} of {both['positives']}"
        lines.append(_line([_WAYS.get(way, f"{way} ablation"), *cells, counts]))
    if programs["search"]:
        lines += ["", *_of_pairs(programs["search"])]
    return "\n".join(lines)


def _of_pairs(pairs: _Entry) -> Iterator[str]:
    networks = typeset.plural(pairs["networks"], "network")
    yield _line([f"two programs, heads of one ranked by ({networks})", "AUROC"])
    yield _line(["---", "---"])
    for name, words in _PAIRS.items():
        yield _line([words, _span(pairs[name])])
    yield ""
    yield (
        f"There the search of h5 stops at {pairs['found']} heads in all, {pairs['found_own']} of "
        f"the {pairs['positives']} of the circuits among them."
    )


def _auroc(entry: _Entry) -> str:
    if entry["auroc"] is None:
        return "–"
    return f"{_span(entry)}, {typeset.plural(entry['networks'], 'network')}"


def _span(entry: _Entry) -> str:
    if entry["auroc"] is None:
        return "–"
    span = entry["interval"]
    beside = f" [{_short(span[0])}, {_short(span[1])}]" if span else ""
    return f"{_short(entry['auroc'])}{beside}"
