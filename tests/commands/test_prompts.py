"""`python -m harness prompts` says what is in a file, and what is wrong with it."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from harness.commands import main
from harness.materials.files.reading import read_prompts
from harness.materials.sets import SETS

ROOT = Path(__file__).resolve().parents[2]
ROWS, TOPICS, BAD = 1586, 57, 30


def questions(count=ROWS, seed=0, longer=True):
    """A labelled multiple-choice set of random words, with topics; reasoning items are longer."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("bdfgklmnprst", k=5)) for _ in range(500)]
    for i in range(count):
        reasoning = i % 2 == 1
        size = rng.randint(12, 40) if reasoning and longer else rng.randint(6, 25)
        yield {
            "question": " ".join(rng.choices(words, k=size)) + f" {i}?",
            "choices": rng.sample(words, 4),
            "answer": rng.randrange(4),
            "subject": f"topic {rng.randrange(TOPICS)}",
            "label": "Reasoning" if reasoning else "Memorization",
            "src": "made up",
        }


def write(folder, rows, name="quiz.jsonl"):
    path = folder / name
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def check(capsys):
    """Status and output of `prompts check`."""

    def run(*arguments):
        status = main(["prompts", "check", *arguments])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return run


def test_a_good_file_is_described_and_its_confound_named(tmp_path, check):
    status, out, err = check(write(tmp_path, questions()))
    assert (status, err) == (0, "")
    assert "1,586 prompts can be used" in out
    assert "label is our task" in out
    assert "choices is our options" in out
    assert "not read  src" in out
    assert "'Memorization' is recall, 'Reasoning' is reasoning" in out
    assert f"subjects    {TOPICS}" in out
    assert "0 hold both recall and reasoning" in out
    assert "an answer 1,586, distractors 1,586, a score 0" in out
    row = next(line for line in out.splitlines() if line.startswith("  recall "))
    assert row.split()[:3] == ["recall", "793", ".50"]
    assert sorted(row.split()[3:]) == ["396", "397"]
    assert "length in words (more: reasoning)" in out
    assert "within subject" in out
    last = out.strip().splitlines()[-1]
    assert last.startswith("Length alone separates the classes with AUC .8")
    assert "is not evidence about the model unless it goes beyond that" in last


def test_a_file_without_confounds_says_so(tmp_path, check):
    status, out, _ = check(write(tmp_path, questions(600, longer=False)))
    assert status == 0
    assert "Nothing looked at tells the classes apart" in out
    assert "chance, which is .5 (the largest is .5" in out


def test_every_bad_line_is_shown_if_asked_for(tmp_path, check):
    rows = list(questions(200))
    bad = random.Random(1).sample(range(200), BAD)
    for n in bad:
        rows[n]["answer"] = 7
    path = write(tmp_path, rows)
    status, out, _ = check(path)
    assert status == 1
    assert f"{BAD} problems:" in out
    assert out.count("answer is 7: expected the text of one of 4 options") == 20
    assert "... and 10 more (--all shows them)" in out
    assert f"{200 - BAD} prompts can be used" in out
    _, everything, _ = check(path, "--all")
    for n in bad:
        assert f"quiz.jsonl, line {n + 1}: answer is 7" in everything


def test_one_prompt_under_two_labels_is_a_problem_and_twice_under_one_is_not(tmp_path, check):
    rows = list(questions(40))
    for n, row in enumerate(rows):
        row["id"] = n
    same = rows[0] | {"id": 40}
    status, out, _ = check(write(tmp_path, [*rows, same]))
    assert status == 0
    assert "1 prompts stand above already (line 41 as 1)" in out
    other = rows[0] | {"id": 40, "label": "Reasoning"}
    status, out, _ = check(write(tmp_path, [*rows, other]))
    assert status == 1
    assert "line 41: the prompt of line 1 again, which is 'recall' there and 'reasoning'" in out


def test_crossing_balances_what_can_be_crossed(tmp_path, check):
    status, out, _ = check(write(tmp_path, questions(100)), "--crossed")
    assert status == 0
    assert "crossed: 200 prompts in 50 pairs; words, their positions and lengths are exactly" in out
    assert "Nothing looked at tells the classes apart" in out
    status, out, _ = check(write(tmp_path, questions(101)), "--crossed")
    assert status == 1
    assert "cannot be crossed: 51 recall and 50 reasoning items" in out


def test_columns_are_told_as_for_pytest(tmp_path, check):
    rows = [{"q": r["question"], "kind": r["label"]} for r in questions(60)]
    path = write(tmp_path, rows)
    status, out, _ = check(path)
    assert status == 1
    assert "line 1: no prompt" in out
    status, out, _ = check(path, "--prompt-columns", "question=q,task=kind")
    assert status == 0
    assert "an answer 0, distractors 0" in out
    assert "controlled claims will be inconclusive" in out


@pytest.mark.parametrize(
    ("sources", "told"),
    [
        ((None, None), "does not say where the answers of recall and reasoning come from"),
        (("weights", "weights"), "are questions of one process (the same source and steps)"),
        (("weights", "context"), None),
    ],
)
def test_what_the_classes_differ_in_is_said_before_a_run(tmp_path, check, sources, told):
    rows = [
        row | ({"source": source, "steps": 1} if source else {})
        for row, source in zip(questions(60), sources * 30, strict=True)
    ]
    status, out, _ = check(write(tmp_path, rows))
    assert status == 0
    said = " ".join(out.split())
    if told:
        assert told in said
    else:
        assert "says nothing about processes" not in said


def test_one_class_is_a_problem_that_names_the_column(tmp_path, check):
    status, out, _ = check(write(tmp_path, list(questions(20))[::2]))
    assert status == 1
    assert (
        "one class only, 'recall' (10): a comparison needs two values in its column 'label'" in out
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing.jsonl"], "prompt file nothing.jsonl is not there"),
        (["geogrphy"], "did you mean geography"),
        (["{file}", "--prompt-columns", "tsk=label"], "did you mean task."),
        (["{file}", "--tokenizer", "mini-qwem"], "did you mean mini-qwen"),
    ],
)
def test_a_mistaken_command_is_one_sentence_on_stderr(tmp_path, check, arguments, sentence):
    path = write(tmp_path, questions(20))
    status, _, err = check(*(a.format(file=path) for a in arguments))
    assert status == 2
    assert sentence in err
    assert err.startswith("python -m harness: ")
    assert err.count("\n") == 1


def test_tokens_are_counted_without_weights(tmp_path, check):
    folder = ROOT / "fixtures" / "organisms" / "mini-qwen"
    alone = tmp_path / "tokenizer"
    alone.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (alone / name).write_bytes((folder / name).read_bytes())
    path = write(tmp_path, questions(40))
    for name in ("mini-qwen", str(alone)):
        status, out, _ = check(path, "--tokenizer", name)
        assert status == 0
        assert f"tokens, {Path(name).name}" in out
        assert "length in tokens" in out


def test_a_named_set_is_looked_at_in_the_same_way(check):
    status, out, _ = check("geography-published")
    assert status == 0
    assert "length in words: AUC 1.00 (no overlap)" in out


def test_the_named_sets_are_listed(capsys):
    assert main(["prompts", "list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in SETS)
    assert "60 prompts in 30 pairs: 30 recall, 30 reasoning" in out
    assert "About symbols and atomic numbers of the elements" in out
    assert "partial" not in out


def test_what_alone_separates_the_classes_stands_first(tmp_path, check):
    rows = [
        {"prompt": f"What is the capital of land {n}?", "task": "recall", "answer": f"City{n % 4}"}
        | {"distractors": ["Rome"]}
        for n in range(20)
    ] + [
        {"prompt": f"Ann is in hut{n}, Bo in hut{n + 1}. Where is Ann?", "task": "reasoning"}
        | {"answer": f"hut{n}", "distractors": [f"hut{n + 1}"]}
        for n in range(20)
    ]
    path = write(tmp_path, rows)
    status, out, _ = check(path)
    assert status == 0
    blocks = out.split("\n\n")
    said = blocks[1].splitlines()
    assert said[0] == "controlled claims will be inconclusive, whatever the model:"
    assert said[1].startswith("  all: quiz does not say where the answers of recall and reasoning")
    assert said[2].startswith("  those about retrieval: quiz does not say that it asks for recall")
    assert said[3].startswith("  those about composing: ")
    assert "claims about processes compare within pairs (column pair, or --crossed)" in out
    assert blocks[2].startswith("what alone separates the classes:\n  each class asks one type of")
    assert "no claim about processes can be made" in blocks[2]
    assert "the answer stands in the prompt for reasoning only (20 of 20; recall: 0 of 20)" in out
    assert "the answers share nothing between the classes" in blocks[2]
    assert "length in words: AUC 1.00 (no overlap), more in reasoning" in blocks[2]
    last = blocks[-1] if blocks[-1].strip() else blocks[-2]
    assert "where it goes beyond what alone separates them (above; --crossed" in last
    assert "AUC" not in last  # it does not say the first paragraph again
    assert read_prompts(path).notes[0].startswith("each class asks one type of question")
    status, out, _ = check(path, "--crossed")
    assert "no claim about processes can be made" in out


def test_retrieval_on_a_file_can_only_be_refuted(tmp_path, check):
    both = (("recall", "weights", "France"), ("lookup", "context", "Dral"))
    rows = [
        {"prompt": f"Dral has {n}. What {relation} has {name}?", "task": task, "steps": 1}
        | {"source": source, "relation": relation, "pair": f"{relation}{n}", "answer": str(n)}
        | {"distractors": ["none"], "split": ("discovery", "evaluation")[n % 2]}
        for relation in "abcdefgh"
        for n in range(4)
        for task, source, name in both
    ]
    _, out, _ = check(write(tmp_path, rows))
    assert "claims about retrieval in h1 to h3 and h7 can be refuted here, but not supported" in out
    _, out, _ = check(write(tmp_path, rows[:-8]))  # seven relations decide nothing
    assert "those about retrieval: quiz asks for recall and lookup" in out
    assert "can be refuted here" not in out


def table(folder, separator=",", encoding="utf-8", label="Memorization", name="quiz.csv"):
    """A file of 60 questions with an option a column and a letter as answer, as MMLU has it."""
    rows = [["question", "A", "B", "C", "D", "answer", "class"]]
    for number, row in enumerate(questions(60)):
        kind = label if number == 6 else row["label"]
        rows.append([row["question"], *row["choices"], "ABCD"[row["answer"]], kind])
    path = folder / name
    path.write_text("\n".join(separator.join(row) for row in rows), encoding=encoding)
    return str(path)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_of_spreadsheets_with_an_option_a_column_are_read(
    tmp_path, check, separator, encoding
):
    path = table(tmp_path, separator, encoding)
    status, out, err = check(path)
    assert (status, err) == (0, "")
    assert "60 prompts can be used" in out
    assert "A to D is our options" in out
    first, given = read_prompts(path).items[0], next(questions(1))
    assert first.answer == given["choices"][given["answer"]]
    assert set(first.distractors) == set(given["choices"]) - {first.answer}


def test_a_misspelt_label_is_named(tmp_path, check):
    status, out, _ = check(table(tmp_path, label="Memmory"))
    assert status == 1
    assert "quiz.csv, line 8: label 'Memmory'; did you mean 'memory'?" in out
    assert "pytest refuses the file until this is mended" in out


def test_another_encoding_is_one_problem(tmp_path, check):
    path = Path(table(tmp_path))
    path.write_bytes(path.read_bytes().replace(b"?", "é?".encode("latin-1")))
    status, out, _ = check(str(path))
    assert status == 1
    assert "1 problem:\n  quiz.csv, line 2 and 59 more: not UTF-8; save the file as UTF-8" in out


def test_white_space_that_is_left_out_is_said(tmp_path, check):
    rows = [{"prompt": f"{n}?\n", "task": "ab"[n % 2]} for n in range(8)]
    status, out, _ = check(write(tmp_path, rows))
    assert status == 0
    assert "8 prompts end in a space or a new line (line 1, 2, 3, 4, 5, ...)" in out
    assert "measured without it, and the answer follows after one space" in out


def test_control_characters_do_not_reach_the_terminal(tmp_path, check):
    rows = [
        {"prompt": f"{n}?", "task": f"a\x1b[2J{n % 2}", "co\x1b]0;x\x07l\ud800": 1}
        for n in range(8)
    ]
    status, out, _ = check(write(tmp_path, rows))
    assert status == 0
    assert "\\x1b[2J" in out
    assert "co\\x1b]0;x\\x07l\\ud800" in out
    assert not set("\x1b\x07\ud800") & set(out)


def test_an_ascii_terminal_gets_escapes_and_a_full_disk_one_sentence(tmp_path):
    path = write(tmp_path, ({"prompt": f"{n}?", "task": ("é", "ü")[n % 2]} for n in range(8)))
    command = [sys.executable, "-m", "harness", "prompts", "check", path]
    plain = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, cwd=ROOT, env=plain, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\xe9" in done.stdout
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr == "python -m harness: the output cannot be written: the disk is full.\n"


def test_a_path_that_cannot_be_written_gets_one_sentence(capsys):
    assert main(["new", "claim", "mine_x", "--folder", "/proc/nowhere"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("python -m harness: /proc/nowhere")
    assert "give a path that can be read and written" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["prompts"], ["prompts", "check"]])
def test_help_shows_an_example_and_a_missing_part_is_a_mistake(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--help"])
    assert stopped.value.code == 0
    assert "python -m harness prompts check mine.jsonl" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


def test_it_runs_as_a_module_and_into_a_closed_pipe(tmp_path):
    path = write(tmp_path, ({"prompt": f"{i}?"} for i in range(20_000)))
    command = f"{sys.executable} -m harness prompts check {path} --all"
    done = subprocess.run(
        f"{command} | head -n 1", shell=True, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith(f"{path}: 0 prompts can be used")
    assert done.stderr == ""
