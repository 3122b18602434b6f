"""The record of the pretrained models as a section of docs/results.md; every figure is from it."""

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.page import README, put_between, table
from harness.verdicts import typeset
from harness.verdicts.evidence import interval_of, number_of

START = "<!-- real models: made from benchmarks/results/real_models.json -->"
STAGES = {
    "competence": "competence: h0",
    "specialisation": "specialisation: h1 to h4, h7",
    "causes": "causes: h5, h6, h8",
    "further": "further claims: h9 to h14",
}
WHOLE = "whole"  # all of them in one run, to be timed: only where asked for, in a record of its own
CELLS = ("recall", "lookup", "reasoning", "latent")
KINDS = ("layer", "head", "neuron")
NOTES = ("difficulty ", "names ", "evidence of grade ", "the same sign ")  # that are shown
NOT_RUN = "not run yet"
DTYPE = "--dtype"  # of the options
# The same models, run otherwise.
BESIDE = (
    "smollm2_float32.json",
    "smollm2_seed1.json",
    "qwen1.5b_seed1.json",
    "qwen_whole.json",
)


def publish(record: dict) -> None:
    """Put the section into docs/results.md and its four rows into the README."""
    put_between(START, rendered(record))
    put_between(START, headline(record), README)


def headline(record: dict) -> str:
    """Four rows: the published rule beside untrained twins, competence, and the two processes."""
    models = list(record["models"].values())
    rows = [
        ["published rule: layers, heads, neurons (most in an untrained twin)"],
        ["recall, lookup, reasoning answered right"],
        ["layers, heads, neurons serve retrieval"],
        ["layers, heads, neurons serve composing"],
    ]
    for model in models:
        found = {_key(v)[2]: v for v in _all(model, "verdicts")}
        rows[0].append(_words([_count(found.get(f"{k}s_differ_as_published")) for k in KINDS]))
        rows[1].append(_shares(_chosen(model)))
        for row, process in zip(rows[2:], ("retrieval", "composing"), strict=True):
            names = (f"some_{kind}s_serve_{process}" for kind in KINDS)
            row.append(_words([_served(found.get(name)) for name in names]))
    return table(["", *(model["name"].split(",")[0] for model in models)], rows)


def _words(words: Sequence[str]) -> str:
    """One word where all are the same."""
    return words[0] if len(set(words)) == 1 else ", ".join(words)


def _served(verdict: dict | None) -> str:
    """`18 [18, 22]: supported`; the word alone where nothing was counted."""
    if verdict is None:
        return NOT_RUN
    counted = next((e["effect"] for e in verdict["evidence"] if e["key"] == "count"), None)
    if counted is None:
        return verdict["outcome"]
    value, bounds = number_of(counted["value"]), interval_of(counted["interval"])
    return f"{typeset.number(value)} {typeset.interval_text(bounds)}: {verdict['outcome']}"


def _count(verdict: dict | None) -> str:
    """`27 of 30 (27)`."""
    if verdict is None:
        return NOT_RUN
    count = next(e for e in verdict["evidence"] if e["decisive"])["effect"]
    of = count["method"].partition(";")[0]
    twins = [number_of(c["value"]) for c in verdict["controls"] if "twin" in c["name"]]
    beside = f" ({typeset.number(max(twins))})" if twins else ""
    return f"{typeset.number(number_of(count['value']))} {of}{beside}"


def _shares(cells: dict[str, dict]) -> str:
    """Shares answered right in the three cells that are demonstrated."""
    shares = (f"{cells[c]['right'] / cells[c]['asked']:.2f}" for c in CELLS[:3] if c in cells)
    return ", ".join(shares) or NOT_RUN


def _chosen(model: dict) -> dict[str, dict]:
    """The answers in each cell at the difficulty that the claims were judged on."""
    named = (v["materials"] for v in _all(model, "verdicts") if v["materials"].startswith("cells@"))
    return _whole(_all(model, "answers")).get(next(named, ""), {})


def rendered(record: dict) -> str:
    """The section: what all models have in common, then each model."""
    models = record["models"].values()
    parts = [_about(record), _published(models), _times(models), _run_otherwise(record)]
    for model in models:
        verdicts, answers = _all(model, "verdicts"), _all(model, "answers")
        parts += [f"### {model['name']}", _difficulty(verdicts), _competence(answers)]
        parts += [_competent(verdicts)]
        parts += [_verdicts(verdicts), _not_run(model), _from_before(model)]
        parts += [_examples(_chosen(model))]
    return "\n\n".join(part for part in parts if part)


def _all(model: dict, what: str) -> list[dict]:
    """Verdicts or answers of the stages that were run."""
    stages = model["stages"]
    return [row for name in (*STAGES, WHOLE) if name in stages for row in stages[name][what]]


def _about(record: dict) -> str:
    hardware = record["hardware"]
    return (
        f"Weights from GGUF files; {hardware['cores']} cores of a shared "
        f"{hardware['cpu']} machine; seed {record['seed']}; revisions in the second table. "
        "`python -m benchmarks.real_models` makes this section from "
        "`benchmarks/results/real_models.json`, which has every piece of evidence."
    )


def _published(models: Iterable[dict]) -> str:
    """The published criterion on every model, its untrained twins and the literature beside."""
    columns = list(models)
    found = {m["name"]: {_key(v): v for v in _all(m, "verdicts")} for m in columns}
    keys = dict.fromkeys(
        key for rows in found.values() for key, v in rows.items() if v["criterion"] == "published"
    )
    rows = [
        [_named(rows[0]), _reported(rows), *(_beside(found[m["name"]].get(key)) for m in columns)]
        for key in keys
        if (rows := [f[key] for f in found.values() if key in f])
    ]
    heads = ["published rule", "reported", *(f"{m['name']} (untrained twins)" for m in columns)]
    return table(heads, rows)


def _key(verdict: dict) -> tuple[str, str, str]:
    return verdict["claim_id"], verdict["criterion"], verdict["prediction_id"]


def _named(verdict: dict) -> str:
    return f"{verdict['claim_id']}: {verdict['prediction_id'].replace('_', ' ')}"


def _reported(verdicts: Sequence[dict]) -> str:
    """What the literature reports for the deciding evidence of a prediction."""
    said = [e["published"] for v in verdicts for e in v["evidence"] if e["published"]]
    return said[0] if said else "–"


def _beside(verdict: dict | None) -> str:
    """`supported: 27 of 30 (26, 23, 27)`."""
    if verdict is None:
        return NOT_RUN
    lead = next((e for e in verdict["evidence"] if e["decisive"]), None)
    if lead is None:
        return f"{verdict['outcome']}: {_unmet(verdict)}"
    twins = [typeset.number(c["value"]) for c in verdict["controls"] if "twin" in c["name"]]
    return f"{verdict['outcome']}: {_value(lead)}" + (f" ({', '.join(twins)})" if twins else "")


def _value(evidence: dict) -> str:
    effect = evidence["effect"]
    bounds = interval_of(effect["interval"])
    span = f" {typeset.interval_text(bounds)}" if bounds else ""
    return f"{effect['name']} {typeset.number(number_of(effect['value']))}{span}"


def _unmet(verdict: dict) -> str:
    return "; ".join(dict.fromkeys(verdict["unmet"])) or verdict["reason"]


def _times(models: Iterable[dict]) -> str:
    """Of all runs with the options of the last: each takes what those before it measured."""
    return table(
        [
            *(
                "stage",
                "model",
                "revision, dtype",
                "wall time",
                "CPU time",
                "peak memory",
            ),
            *("load", "runs"),
        ],
        (row for model in models for row in _times_of(model)),
    )


def _times_of(model: dict) -> Iterator[list[str]]:
    for name, words in STAGES.items():
        stage = model["stages"].get(name)
        if stage is None:
            yield [words, model["name"], NOT_RUN, *["–"] * 5]
            continue
        last = stage["attempts"][-1]
        attempts = [a for a in stage["attempts"] if a["options"] == last["options"]]
        yield [
            words,
            model["name"],
            f"{last['revision']}, {_dtype(last['options'])}",
            typeset.duration(sum(a["seconds"] for a in attempts)),
            typeset.duration(sum(a["cpu_seconds"] or 0 for a in attempts)),
            "–" if last["peak_gib"] is None else f"{last['peak_gib']:.2f} GiB",  # it was stopped
            f"{last['load']:.1f}",
            str(len(attempts)),
        ]


def _run_otherwise(record: dict) -> str:
    """How many outcomes runs in single precision and with another seed give too."""
    said = []
    for path in (Path(__file__).with_name("results") / name for name in BESIDE):
        if path.exists():
            other = json.loads(path.read_text(encoding="utf-8"))
            for alias in other["models"].keys() & record["models"].keys():
                models = other["models"][alias], record["models"][alias]
                said.append(_agreement(other["seed"], *models))
    return "\n\n".join(said)


def _agreement(seed: int, otherwise: dict, model: dict) -> str:
    pairs = {_key(v): [v["outcome"]] for v in _all(otherwise, "verdicts")}
    for verdict in _all(model, "verdicts"):
        pairs.get(_key(verdict), []).append(verdict["outcome"])
    both = {key: outcomes for key, outcomes in pairs.items() if len(outcomes) > 1}
    different = [
        f"{claim}, {which.replace('_', ' ')}: {there}, here {here}"
        for (claim, _, which), (there, here) in both.items()
        if there != here
    ]
    decided = sum("inconclusive" not in outcomes for outcomes in both.values())
    ended = [stage["attempts"][-1] for stage in otherwise["stages"].values()]
    how = typeset.listed(sorted({_dtype(attempt["options"]) for attempt in ended}))
    said = f" The others: {'; '.join(different)}." if different else ""
    return (
        f"{model['name']} run with seed {seed} in {how}{_in_one_run(otherwise)}: "
        f"{len(both) - len(different)} of {len(both)} outcomes are the same ({decided} are decided "
        f"in both).{said}"
    )


def _in_one_run(model: dict) -> str:
    """What all claims in one run took, and with which options."""
    if WHOLE not in model["stages"]:
        return ""
    last = model["stages"][WHOLE]["attempts"][-1]
    options, wall = _without_dtype(last["options"][1:]), typeset.duration(last["seconds"])
    processor = typeset.duration(last["cpu_seconds"])
    stopped = "" if last["ended"] else "stopped after "
    took = f"`{' '.join(options)}`, {stopped}{wall}, {processor} of processors"
    return f", all claims in one run ({took})"


def _difficulty(verdicts: Sequence[dict]) -> str:
    """The sentences on difficulty, names, grade and second sets."""
    said = (n for v in verdicts for n in v["notes"] if n.startswith(NOTES))
    return "\n\n".join(f"{note[0].upper()}{note[1:]}." for note in dict.fromkeys(said))


def _competent(verdicts: Sequence[dict]) -> str:
    """The accuracies at which the gates of predictions that were judged were passed."""
    judged = (v for v in verdicts if v["criterion"] == "controlled" and not v["unmet"])
    said = dict.fromkeys(reason for v in judged for reason in v.get("competent", ()))
    passed = f"The gates were passed with {'; '.join(said)}. " if said else ""
    return f"{passed}A row of the table has all drawings of a set." if verdicts else ""


def _competence(answers: Sequence[dict]) -> str:
    """Right by choice and by greedy decoding, a row a set, a column a cell."""
    sets = _whole(answers)
    tasks = [task for task in CELLS if any(task in found for found in sets.values())]
    rows = ([name, *(_right(found.get(task)) for task in tasks)] for name, found in sets.items())
    return table(["right by choice / greedy, of", *tasks], rows)


def _whole(answers: Sequence[dict]) -> dict[str, dict[str, dict]]:
    """By set and task, the most that was asked: parts of a set add up, other selections overlap."""
    sets: dict[str, dict[str, dict]] = {}
    for row in _parts_added(answers):
        found = sets.setdefault(row["materials"].split(", ", maxsplit=1)[0], {})
        if row["asked"] > found.get(row["task"], {"asked": 0})["asked"]:
            found[row["task"]] = row
    return sets


def _parts_added(answers: Sequence[dict]) -> Iterator[dict]:
    """Parts of a set as one row; what two stages asked counts once."""
    once: dict[tuple[str, str], dict] = {}
    for row in answers:
        key = row["materials"], row["task"]
        once[key] = max(row, once.get(key, row), key=lambda either: either["asked"])
    added: dict[tuple[str, str], dict] = {}
    for row in once.values():
        name, part, _ = row["materials"].partition(", discovery, part ")
        if not part:
            yield row
            continue
        whole = added.setdefault((name, row["task"]), {**row, "asked": 0, "right": 0, "greedy": 0})
        for what in ("asked", "right", "greedy"):
            whole[what] += row[what]
    yield from added.values()


def _right(row: dict | None) -> str:
    if row is None:
        return "–"
    right, greedy = (row[what] / row["asked"] for what in ("right", "greedy"))
    return f"{right:.2f} / {greedy:.2f} of {row['asked']}, guessing {1 / row['options']:.2f}"


def _verdicts(verdicts: Sequence[dict]) -> str:
    """A row a controlled prediction; those that the same gates left open stand in one row."""
    controlled = [v for v in verdicts if v["criterion"] == "controlled"]
    left_open: dict[str, list[dict]] = {}
    for verdict in controlled:
        if verdict["unmet"]:
            left_open.setdefault(_unmet(verdict), []).append(verdict)
    rows = [_row(v) for v in controlled if not v["unmet"]]
    for unmet, same in left_open.items():
        names = typeset.listed(list(dict.fromkeys(v["claim_id"] for v in same)))
        many = typeset.plural(len(same), "prediction")
        rows.append([f"{names}: {many}", same[0]["outcome"], unmet, "–", "–"])
    return table(["controlled", "verdict", "what decided it", "severity", "controls"], rows)


def _row(verdict: dict) -> list[str]:
    severity = verdict.get("severity")
    behaved = [c["passed"] for c in verdict["controls"] if c["passed"] is not None]
    return [
        _named(verdict) + (" (primary)" if verdict.get("primary") else ""),
        verdict["outcome"],
        typeset.signs(verdict["deciding"]["text"]) + _interval(verdict),
        f"{severity['supported']} of {severity['contrasts']}" if severity else "–",
        f"{sum(behaved)} of {len(behaved)} behaved" if behaved else "–",
    ]


def _interval(verdict: dict) -> str:
    """The interval of the evidence that decided, where its text does not have it."""
    named = verdict["deciding"]["name"]
    shown = next((e for e in verdict["evidence"] if e["name"] == named), None)
    bounds = interval_of(shown["effect"]["interval"]) if shown else None
    if bounds is None or "[" in verdict["deciding"]["text"]:
        return ""
    return f" {typeset.interval_text(bounds)}"


def _from_before(model: dict) -> str:
    """Predictions that the last run of a stage left out."""
    found = {(v["criterion"], v["revision"]) for v in _all(model, "verdicts") if "revision" in v}
    return " ".join(f"The {what} rule: revision {when}." for what, when in sorted(found))


def _not_run(model: dict) -> str:
    left = [words for name, words in STAGES.items() if name not in model["stages"]]
    stopped = [STAGES[name] for name, stage in model["stages"].items() if not stage["ended"]]
    said = {"Not run yet": left, "Stopped before its end": stopped, "Run in part": _in_part(model)}
    return " ".join(f"{what}: {'; '.join(names)}." for what, names in said.items() if names)


def _in_part(model: dict) -> list[str]:
    """Stages that were run with options that leave something out or make it smaller."""
    options = {
        name: _without_dtype(stage["attempts"][-1]["options"][1:])
        for name, stage in model["stages"].items()
    }
    return [f"{STAGES[n]} (`{' '.join(some)}`)" for n, some in options.items() if some]


def _without_dtype(options: Sequence[str]) -> list[str]:
    return _parted(options)[0]


def _dtype(options: Sequence[str]) -> str:
    """In which a run computed."""
    return _parted(options)[1]


def _parted(options: Sequence[str]) -> tuple[list[str], str]:
    """The other options, and the dtype: `--dtype X` or `--dtype=X`."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(DTYPE, default="float32")
    found, others = parser.parse_known_args(options)
    return others, found.dtype


def _examples(cells: dict[str, dict]) -> str:
    """Questions that were answered wrongly, of every cell."""
    lines = [
        f"- {task}: `{_asked(wrong['prompt'])}` {wrong['chosen']}, not {wrong['answer']}."
        for task, row in cells.items()
        for wrong in row["wrong"]
    ]
    return (
        "\n".join(["Some of the wrong answers, with the right one:", "", *lines]) if lines else ""
    )


def _asked(prompt: str) -> str:
    """The question that a prompt ends in."""
    return " ".join(prompt[prompt.rfind("Question") :].split())
