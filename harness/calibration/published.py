"""The published figures: tables in docs/, made from calibration.json."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.calibration.rates import counted
from harness.calibration.record import read_calibration
from harness.files import DATA, write_text
from harness.verdicts import typeset

RECORD = DATA / "benchmarks" / "results" / "calibration.json"  # the one that is published
PAGE = DATA / "docs" / "calibration.md"  # where the table stands
START, END = "<!-- calibration: made from benchmarks/results/calibration.json -->", "<!-- end -->"
README = DATA / "README.md"
README_ROWS = {
    "h1 to h3, h7": ("h1", "h2", "h3", "h7"),
    "h5, h8": ("h5", "h8"),
    "h4, h6": ("h4", "h6"),
}
KNOWN_MARKS = (
    "<!-- known verdicts: made from benchmarks/results/calibration.json -->",
    "<!-- end known verdicts -->",
)
AGAIN_MARKS = (
    "<!-- drawn by itself: made from benchmarks/results/calibration_*.json -->",
    "<!-- end drawn by itself -->",
)
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
_NULLS = {
    "shuffled": "labels shuffled",
    "same_process": "questions of one process",
    "told": "answers told first against last",
}
_README_NULLS = {
    "labels shuffled": ("shuffled",),
    "questions of one process": ("same_process", "told"),
}
_KNOWN = {"not supported": "nothing to find", "supported": "something to find"}
_Entry = Mapping[str, Any]


def published_table(record: _Entry) -> str:
    """A Markdown table: a claim a row; errors where nothing is, and what was found where it is."""
    heads = ["claim", *_NULLS.values(), *(f"{words}: supported" for words in _KNOWN.values())]
    lines = [_line(heads), _line(["---"] * len(heads))]
    asked = {e["claim"] for e in record["processes"] if "claim" in e}
    asked |= {e["prediction"].partition("/")[0] for e in record["known"]}
    in_order = sorted(asked, key=lambda claim: (len(claim), claim))  # h2 before h10
    return "\n".join([*lines, *(_line(_row(record, claim)) for claim in in_order)])


def readme_table(record: _Entry) -> str:
    """A Markdown table: some claims a row; errors of the draws that decided, and all draws."""
    heads = ["wrongly held, of decided (drawn)", *_README_NULLS]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for words, claims in README_ROWS.items():
        counts = (counted(_of_claims(record, claims, *nulls)) for nulls in _README_NULLS.values())
        cells = [f"{errors} of {decided:,} ({drawn:,})" for errors, decided, drawn in counts]
        lines.append(_line([words, *cells]))
    return "\n".join(lines)


def _of_claims(record: _Entry, claims: Iterable[str], *nulls: str) -> list[_Entry]:
    """What was counted of some claims, but for models where a gate was unmet."""
    mine = [e for e in record["processes"] if e.get("claim") in claims]
    return [e[null] for e in mine for null in nulls if e[null]]


def known_table(record: _Entry) -> str:
    """A Markdown table: a model whose verdicts are known a row, and what came out."""
    heads = ["model", "verdicts that must be", "draws", "came out", "did not", "undecided"]
    heads.append("not as expected")
    lines = [_line(heads), _line(["---"] * len(heads))]
    for (part, is_null, model), mine in sorted(_by_model(record["known"]).items()):
        runs = [run for run in record["runs"] if (run["part"], run["base"]) == (part, model)]
        hits = sum(e["rate"]["count"] for e in mine)
        misses = sum(e["rate"]["n"] for e in mine) - hits
        undecided = sum(e["inconclusive"] + e["not_measured"] for e in mine)
        numbers = (len({run["seed"] for run in runs}), hits, misses, undecided)
        missed = [_place(e) for e in mine if e["rate"]["count"] < e["rate"]["n"]]
        expected = "not supported" if is_null else "supported"
        cells = (f"`{model}`", expected, *map(str, numbers), ", ".join(missed) or "–")
        lines.append(_line(cells))
    return "\n".join(lines)


def again_table() -> str:
    """The same of each record beside the published one: of some claims on a model alone."""
    beside = sorted(RECORD.parent.glob(f"{RECORD.stem}_*.json"))
    records = [{"known": [], "runs": []}, *map(read_calibration, beside)]  # heads, then rows
    tables = [known_table(record).splitlines() for record in records]
    return "\n".join([*tables[0], *(row for table in tables for row in table[2:])])


def _by_model(known: Iterable[_Entry]) -> dict[tuple[str, bool, str], list[_Entry]]:
    """Entries of one part, of verdicts that must not be supported or that must be, of one model."""
    found: dict[tuple[str, bool, str], list[_Entry]] = {}
    for entry in known:
        key = entry["part"], entry["expected"] != "supported", entry["model"]
        found.setdefault(key, []).append(entry)
    return found


def _place(entry: _Entry) -> str:
    """h5 of retrieval, heads (seed 3): what tells predictions of a claim apart."""
    claim, _, prediction = entry["prediction"].partition("/")
    named = [process for process in ("retrieval", "composing") if process in prediction]
    of = f" of {named[0]}" if len(named) == 1 else ""
    kind = prediction.partition("-")[2]
    seeds = ", ".join(map(str, entry.get("missed", ())))
    return f"{claim}{of}" + (f", {kind}s" if kind else "") + (f" (seed {seeds})" if seeds else "")


def between_marks(text: str, start: str = START, end: str = END) -> str | None:
    """The table that stands in a text between the marks; None if there is none."""
    _, start, rest = text.partition(start)
    table, end, _ = rest.partition(end)
    return table.strip() if start and end else None


def put_into(path: Path, record: _Entry) -> None:
    """Write the tables between the marks of a file.

    Raises:
        ValueError: If the file has no marks.
    """
    _put(path, published_table(record), START, END)
    _put(path, known_table(record), *KNOWN_MARKS)
    _put(path, again_table(), *AGAIN_MARKS)


def put_into_readme(record: _Entry) -> None:
    """Write the short table between the marks of the README."""
    _put(README, readme_table(record), START, END)


def _put(path: Path, table: str, start: str, end: str) -> None:
    text = path.read_text(encoding="utf-8")
    if between_marks(text, start, end) is None:
        raise ValueError(f"{path} has no place for the table: expected {start!r} and {end!r}.")
    before, _, rest = text.partition(start)
    _, _, after = rest.partition(end)
    path.write_text(f"{before}{start}\n{table}\n{end}{after}", encoding="utf-8")


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _row(record: _Entry, claim: str) -> Iterator[str]:
    yield claim
    for null in _NULLS:
        yield _errors(_of_claims(record, [claim], null))
    for expected in _KNOWN:
        yield _supported(
            e
            for e in record["known"]
            if (e["prediction"].partition("/")[0], e["expected"]) == (claim, expected)
        )


def _errors(entries: Sequence[_Entry]) -> str:
    """Errors, draws that decided, all draws, and the largest upper bound of one entry."""
    if not entries:
        return "–"
    errors, decided, drawn = counted(entries)
    most = max(e["of_all"]["interval"][1] for e in entries)
    return f"{errors} of {decided:,} decided ({drawn:,} drawn); each at most {_precise(most)}"


def _supported(entries: Iterable[_Entry]) -> str:
    """Verdicts that decided, of all models and seeds; the others are counted beside."""
    words = ("supported", "refuted", "inconclusive", "not_measured")
    found = list(entries)
    supported, refuted, *others = (sum(e[word] for e in found) for word in words)
    open_ = sum(others)
    if not supported + refuted + open_:
        return "–"
    beside = f"; {open_} undecided" if open_ else ""
    return f"{supported} of {supported + refuted}{beside}"


def _precise(share: float) -> str:
    """.0037 or .014."""
    return f"{share:.2g}".removeprefix("0")


def _short(share: float) -> str:
    """.07, 0 or 1."""
    text = f"{share:.2f}"
    return {"0.00": "0", "1.00": "1"}.get(text, text.removeprefix("0"))


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
