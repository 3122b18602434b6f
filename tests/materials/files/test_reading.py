"""People's own files are read whole or refused with every bad line named."""

import csv
import json
import random
from collections import Counter

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.materials.files.columns import COLUMNS, parse_columns
from harness.materials.files.crossing import cross_set
from harness.materials.files.reading import check, read, read_prompts, split_pairs
from harness.materials.items import DISCOVERY, EVALUATION, MaterialsError
from harness.materials.surface import token_balance

ROWS = [
    {
        "prompt": f"What is the capital of country {i}?",
        "task": "recall",
        "answer": f"City{i}",
        "distractors": ["A", "B"],
        "subject": f"country {i}",
        "domain": "geography",
        "pair": f"p{i}",
        "template": "plain",
        "score": 0.5,
        "id": f"r{i}",
    }
    for i in range(6)
] + [
    {
        "prompt": f"Ann has {i} apples and eats one. How many are left?",
        "task": "reasoning",
        "answer": str(i - 1),
        "subject": "arithmetic",
        "pair": f"p{i}",
        "template": "plain",
        "premises": [f"Ann has {i} apples.", "She eats one."],
        "question": "How many are left?",
        "id": f"s{i}",
    }
    for i in range(6)
]


def jsonl(folder, rows, name="mine.jsonl"):
    path = folder / name
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def text(folder, content, name="mine.jsonl"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def two(folder, **changes):
    """A good file but for one row, which is on line 2."""
    rows = [
        {"prompt": "A?", "task": "recall"},
        {"prompt": "B?", "task": "reasoning"} | changes,
    ]
    return jsonl(folder, [{k: v for k, v in row.items() if v is not ...} for row in rows])


def complaint(path, **options) -> str:
    with pytest.raises(MaterialsError) as caught:
        read_prompts(path, **options)
    return str(caught.value)


def test_every_column_arrives(tmp_path):
    prompts = read_prompts(jsonl(tmp_path, ROWS))
    assert (prompts.name, prompts.tasks, prompts.crossed) == (
        "mine",
        ("recall", "reasoning"),
        False,
    )
    assert prompts.count() == {"recall": 6, "reasoning": 6}
    first, last = prompts.items[0], prompts.items[-1]
    assert (first.id, first.pair, first.template, first.domain) == (
        "r0",
        "p0",
        "plain",
        "geography",
    )
    assert (first.answer, first.distractors, first.score) == ("City0", ("A", "B"), 0.5)
    assert first.prompt[slice(*first.subject)] == "country 0"
    assert first.entities == ("country 0",)
    assert (last.domain, last.subject, last.score) == ("arithmetic", None, None)
    assert last.premises == ("Ann has 5 apples.", "She eats one.")
    assert last.question == "How many are left?"


def test_the_three_kinds_of_file_say_the_same(tmp_path):
    from_jsonl = read_prompts(jsonl(tmp_path, ROWS))
    with (tmp_path / "mine.csv").open("w", newline="", encoding="utf-8") as file:
        columns = [c for c in COLUMNS if c not in ("split", "options", "answer_index")]
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for row in ROWS:
            joined = {k: "|".join(v) if isinstance(v, list) else v for k, v in row.items()}
            writer.writerow(joined)
    pd.DataFrame(ROWS).to_parquet(tmp_path / "mine.parquet")
    assert read_prompts(tmp_path / "mine.csv") == from_jsonl
    assert read_prompts(tmp_path / "mine.parquet") == from_jsonl
    assert read_prompts(str(tmp_path / "mine.csv"), name="other").hash != from_jsonl.hash


def test_csv_may_have_a_mark_quoted_line_breaks_json_lists_and_windows_ends(tmp_path):
    content = (
        '\ufeffprompt,task,answer,distractors\r\n"One,\r\ntwo?",recall,a,"[""x|y"", ""z""]"\r\n'
        "\r\nThree?,reasoning,b,c | d\r\n"
    )
    first, second = read_prompts(text(tmp_path, content, "mine.csv")).items
    assert (first.prompt, first.distractors) == ("One,\r\ntwo?", ("x|y", "z"))
    assert second.distractors == ("c", "d")


def test_only_prompt_and_task_are_needed(tmp_path):
    path = two(tmp_path, answer=4, prompt="  2 + 2 = ", template=None)
    item = read_prompts(path).items[1]
    assert item.pair == item.id != ""
    assert (item.prompt, item.answer, item.question) == ("  2 + 2 =", "4", "")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"prompt": ...}, "no prompt, expected the text: if it has another name, say"),
        ({"prompt": None}, "no prompt"),
        ({"prompt": 3}, "prompt is 3: expected text"),
        ({"prompt": ["B?"]}, "prompt is ['B?']: expected text"),
        ({"prompt": " \n"}, "the prompt is empty"),
        ({"prompt": "\ud800"}, "half a surrogate pair"),
        ({"task": ...}, "no task, expected a label: if it has another name, say"),
        ({"task": ""}, "the task is empty"),
        ({"task": True}, "task is True: expected text"),
        ({"prompt": ..., "promt": "B?"}, "unknown column 'promt'; did you mean 'prompt'?"),
        ({"distractor": ["a"]}, "unknown column 'distractor'; did you mean 'distractors'?"),
        ({"score": "high"}, "score is 'high': expected a number"),
        ({"score": True}, "score is True: expected a number"),
        ({"score": float("nan")}, "expected a finite number"),
        ({"answer": 1.5}, "answer is 1.5: expected text"),
        ({"answer": "a", "distractors": 3}, "distractors is 3: expected a list"),
        ({"answer": "a", "distractors": "[1,"}, "distractors is not a JSON list"),
        ({"answer": "a", "distractors": ["b", None]}, "an empty entry"),
        ({"answer": "a", "distractors": ["b", "a "]}, "'a' is among its distractors"),
        ({"distractors": ["b"]}, "distractors without an answer"),
        ({"split": "test"}, "split is 'test': expected discovery or evaluation or second"),
        ({"prompt": "A?", "task": "recall"}, "the prompt and task of line 1 again"),
        ({"prompt": " A?"}, "the prompt of line 1 again, which is 'recall' there and 'reasoning'"),
    ],
)
def test_a_bad_value_is_named_with_file_and_line(tmp_path, changes, expected):
    message = complaint(two(tmp_path, **changes))
    assert "mine.jsonl, line 2: " in message
    assert expected in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"prompt": "A?",}\n', "line 1: not valid JSON"),
        ("\n\n[1]\n", "line 3: [1]: expected a JSON object"),
        ("[" * 100_000, "line 1: not valid JSON"),
        (b'{"prompt": "caf\xe9?", "task": "a"}\n', "line 1: not UTF-8; save the file as UTF-8"),
    ],
)
def test_a_line_that_is_no_object_is_named(tmp_path, content, expected):
    assert expected in complaint(text(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("prompt,tsk\nA?,b\n", "line 1: unknown column 'tsk'; did you mean 'task'?"),
        ("prompt,classs\nA?,b\n", "line 1: unknown column 'classs'; did you mean 'class'?"),
        ("prompt\nA?\n", "line 1: no column 'task'"),
        ("task\nA?\n", "line 1: no column 'prompt' or 'question': if it has another name, say "),
        ("prompt,task,task\nA?,b,c\n", "column 'task' is there 2 times"),
        ('prompt,task\n"A\n?",b\nWhat, now?,c\n', "line 4: 3 fields: expected 2"),
        ("prompt,task\nA?\n", "line 2: 1 fields"),
        ('prompt,task\nA?,b\n"C?,d\n', "line 3: not valid CSV"),
    ],
)
def test_csv_faults_are_named_with_their_line(tmp_path, content, expected):
    assert expected in complaint(text(tmp_path, content, "mine.csv"))


def test_all_bad_lines_are_reported_together_up_to_ten(tmp_path):
    some = complaint(jsonl(tmp_path, [{"prompt": "A?"}, *ROWS, {"task": "recall"}]))
    assert "has 2 faults" in some
    assert "line 1: no task" in some
    assert "line 14: no prompt" in some
    many = complaint(jsonl(tmp_path, [{"prompt": f"{i}?"} for i in range(25)]))
    assert many.count("no task") == 10
    assert "... and 15 more" in many


def test_ids_must_differ(tmp_path):
    rows = [ROWS[0], ROWS[6], ROWS[1] | {"id": "r0"}]
    assert "line 3: id 'r0' is that of line 1 too" in complaint(jsonl(tmp_path, rows))


def test_prompts_of_the_second_set_are_in_no_half_and_change_the_hash(tmp_path):
    stated = [
        row | {"id": f"again {n}", "prompt": f"{row['prompt']} Again.", "pair": "again"}
        for n, row in enumerate(ROWS[5:7])
    ]
    stated = [row | {"split": "second"} for row in stated]
    alone, both = (read_prompts(jsonl(tmp_path, part)) for part in (ROWS, ROWS + stated))
    assert {item.id for item in both.second} == {"again 0", "again 1"}
    assert both.items == alone.items
    assert both.hash != alone.hash
    with pytest.raises(MaterialsError, match="every item into split 'second'"):
        read_prompts(jsonl(tmp_path, stated))


def test_a_second_set_of_both_tasks_is_crossed_too(tmp_path):
    again = [row | {"id": f"again {row['id']}", "split": "second"} for row in ROWS]
    again = [
        row | {"prompt": f"{row['prompt']} Again.", "pair": f"b{row['pair']}"} for row in again
    ]
    crossed = cross_set(read_prompts(jsonl(tmp_path, ROWS + again)))
    assert len(crossed.second) == len(crossed.items) == 24
    assert {item.order for item in crossed.second} == {1, 2}
    of_one = cross_set(read_prompts(jsonl(tmp_path, ROWS + again[:6])))
    assert of_one.second == ()


def test_a_pair_in_two_splits_is_refused(tmp_path):
    rows = [ROWS[0] | {"split": DISCOVERY}, ROWS[6] | {"split": EVALUATION}]
    assert "line 2: pair 'p0' is in split 'discovery' above" in complaint(jsonl(tmp_path, rows))


def test_a_file_that_is_not_there_is_answered_with_near_names(tmp_path):
    jsonl(tmp_path, ROWS, "arithmetic.jsonl")
    assert "did you mean arithmetic.jsonl?" in complaint(tmp_path / "aritmetic.jsonl")
    assert "there is no folder" in complaint(tmp_path / "no" / "a.jsonl")
    assert "expected a file (.jsonl, .csv, .tsv, .parquet)" in complaint(tmp_path / "zzz.jsonl")
    with pytest.raises(MaterialsError, match="did you mean geography"):
        check("geogrpahy", ["geography"])
    with pytest.raises(MaterialsError, match="expected geography or a file"):
        check(tmp_path / "zzz.jsonl", ["geography"])


def test_an_unknown_ending_or_a_folder_is_refused(tmp_path):
    assert "expected one of .jsonl, .csv, .tsv, .parquet" in complaint(
        text(tmp_path, "x", "mine.txt")
    )
    assert "is a folder" in complaint(tmp_path)
    assert "not a parquet file" in complaint(text(tmp_path, "x", "mine.parquet"))
    assert check(jsonl(tmp_path, ROWS, "UPPER.JSONL")).name == "UPPER.JSONL"


@pytest.mark.parametrize("content", ["", "\n \n", "prompt,task\n"])
def test_a_file_without_items_is_refused(tmp_path, content):
    name = "mine.csv" if content.startswith("prompt") else "mine.jsonl"
    assert "holds no items" in complaint(text(tmp_path, content, name))


def labelled(folder, *tasks):
    return jsonl(folder, [{"prompt": f"{i}?", "task": task} for i, task in enumerate(tasks)])


def test_the_contrast_is_recall_and_reasoning_or_the_two_classes(tmp_path):
    assert read_prompts(labelled(tmp_path, "b", "a")).tasks == ("a", "b")
    three = labelled(tmp_path, "reasoning", "lookup", "recall")
    assert read_prompts(three).tasks == ("recall", "reasoning")
    assert read_prompts(three, tasks=("lookup", "recall")).tasks == ("lookup", "recall")
    assert "cannot contrast a and recall: it has 'lookup' (1)" in complaint(
        three, tasks=("a", "recall")
    )
    assert "one class only, 'a' (2)" in complaint(labelled(tmp_path, "a", "a"))
    message = complaint(labelled(tmp_path, "a", "b", "recall"))
    assert "3 classes" in message
    assert "name the two to compare recall and reasoning" in message


def test_splits_do_not_depend_on_the_order_of_lines(tmp_path):
    rows = [{k: v for k, v in row.items() if k != "id"} for row in ROWS]
    before = {i.id: i.split for i in read_prompts(jsonl(tmp_path, rows)).items}
    random.Random(0).shuffle(rows)
    again = read_prompts(jsonl(tmp_path, rows))
    assert {i.id: i.split for i in again.items} == before
    assert len({(i.pair, i.split) for i in again.items}) == 6
    assert Counter(i.split for i in again.items) == {DISCOVERY: 6, EVALUATION: 6}
    many = read_prompts(labelled(tmp_path, *["a", "b"] * 20))
    other = read_prompts(labelled(tmp_path, *["a", "b"] * 20), seed=1)
    assert [i.split for i in many.items] != [i.split for i in other.items]


def test_given_splits_are_kept_and_the_others_drawn(tmp_path):
    rows = [dict(row) for row in ROWS]
    rows[0]["split"] = EVALUATION  # its partner, line 7, follows
    items = read_prompts(jsonl(tmp_path, rows)).items
    assert items[0].split == items[6].split == EVALUATION
    assert {i.split for i in items} == {DISCOVERY, EVALUATION}
    one = jsonl(tmp_path, [row | {"split": DISCOVERY} for row in ROWS])
    assert "every item into split 'discovery'" in complaint(one)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from("ab"), min_size=2, max_size=40), st.integers(0, 5))
def test_each_class_is_split_in_halves(tasks, seed):
    from harness.materials.items import Item

    items = [Item(str(i), task, "?", str(i)) for i, task in enumerate(tasks)]
    split = split_pairs(items, seed)
    for task in set(tasks):
        n = Counter(split[i.pair] for i in items if i.task == task)
        assert abs(n[DISCOVERY] - n[EVALUATION]) <= 1
    n = Counter(split.values())
    assert abs(n[DISCOVERY] - n[EVALUATION]) <= 1


def test_a_large_file_is_read(tmp_path):
    path = labelled(tmp_path, *["a", "b"] * 10_000)
    assert len(read_prompts(path)) == 20_000


# Columns of other names, and multiple choice

QUIZ = [
    {"question": "Where is Oslo?", "choices": ["Norway", "Chad"], "answer": 0, "label": "Memory"},
    {"question": "What is 2 + 3?", "choices": ["4", "5"], "answer": "B", "label": "Reasoning"},
]


def quiz(folder, **changes):
    """A good file of multiple choice but for its second row."""
    second = {k: v for k, v in (QUIZ[1] | changes).items() if v is not ...}
    return jsonl(folder, [QUIZ[0], second], "quiz.jsonl")


def test_multiple_choice_is_understood_by_its_obvious_names(tmp_path):
    first, second = read_prompts(quiz(tmp_path)).items
    assert first.prompt == "Q: Where is Oslo?\nA:"
    assert (first.task, first.answer, first.distractors) == ("recall", "Norway", ("Chad",))
    assert first.question == "Where is Oslo?"
    assert (second.task, second.answer, second.distractors) == ("reasoning", "5", ("4",))


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"answer": 1}, "5"),
        ({"answer": "5"}, "5"),
        ({"answer": "b"}, "5"),
        ({"answer": "(B)"}, "5"),
        ({"answer": 1.0}, "5"),
        ({"answer": ..., "answer_index": "0"}, "4"),
        ({"answer": "A", "answer_index": 0}, "4"),
        ({"answer": "4", "answer_idx": "A"}, "4"),
        ({"choices": '["4", "5"]'}, "5"),
        ({"choices": "['4', \"5\"]"}, "5"),
        ({"choices": ..., "Options": "4 | 5"}, "5"),
        ({"choices": list("KLMNOPQRST"), "answer": "J"}, "T"),
    ],
)
def test_the_right_option_may_be_an_index_a_letter_or_a_text(tmp_path, changes, answer):
    assert read_prompts(quiz(tmp_path, **changes)).items[1].answer == answer


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"answer": 2},
            "answer is 2: expected the text of one of 2 options, a letter A to B, or 0",
        ),
        ({"answer": "C"}, "answer is 'C': expected the text"),
        ({"answer": True}, "answer is True: expected the text"),
        ({"answer": ..., "answer_index": 2}, "answer_index is 2: expected 0 to 1 (counted from 0)"),
        ({"answer": ..., "answer_index": -1}, "answer_index is -1: expected 0 to 1"),
        ({"answer": ..., "answer_index": 0.5}, "answer_index is 0.5: expected 0 to 1"),
        ({"answer": ...}, "options without an answer"),
        ({"answer": "B", "answer_index": 0}, "answer_index 0 means '4': expected the same option"),
        ({"answer": "1", "choices": ["1", "2"]}, "the text of one option and the place of another"),
        ({"choices": ["5", "5", "4"], "answer": 0}, "the right option '5' is there twice"),
        ({"choices": ["4", ""]}, "options holds an empty entry"),
        ({"choices": ["4"], "answer": 0}, "expected a JSON list of two or more"),
        ({"choices": "['4' '5']"}, "expected a JSON list of two or more"),
        ({"choices": "[4, oh]"}, "options is not a JSON list: '[4, oh]'"),
        ({"choices": ..., "answer_index": 0}, "answer_index without options"),
        ({"distractors": ["a"]}, "options and distractors: expected one of the two"),
        ({"question": " "}, "no prompt, expected the text"),
        ({"label": ""}, "the task is empty"),
        ({"type": "x"}, "columns 'label' and 'type' could each be the task; say --prompt-columns"),
        ({"question": "Where  is Oslo?"}, "the prompt of line 1 again"),
    ],
)
def test_a_bad_choice_is_named_with_file_and_line(tmp_path, changes, expected):
    message = complaint(quiz(tmp_path, **changes))
    assert "quiz.jsonl, line 2: " in message
    assert expected in message


def test_other_columns_are_named_or_listed_as_unread(tmp_path):
    rows = [
        {"text": row["question"], "kind": row["label"], "pick": row["answer"], "Src": "x"}
        | {"options": row["choices"], "id": 7}
        for row in QUIZ
    ]
    path = jsonl(tmp_path, rows)
    columns = parse_columns(["question=text, task = kind", "answer=pick,id="])
    with pytest.raises(MaterialsError, match="answer is 0: expected the text of one of 2 options"):
        read_prompts(path, columns=columns)  # told to be the text
    columns = parse_columns(["question=text,task=kind,answer_index=pick,id="])
    assert [i.answer for i in read_prompts(path, columns=columns).items] == ["Norway", "5"]
    found = read(path, columns)
    assert list(found.names.unread) == ["Src", "id"]
    assert found.names.labels == {"Memory": "recall", "Reasoning": "reasoning"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["task"], "--prompt-columns 'task': expected OURS=THEIRS, such as task=label"),
        (["tusk=label"], "'tusk' is none of our columns; did you mean task?"),
        (["zzzzz=label"], "expected prompt, task"),
        (["task=a", "task=b"], "two columns for task, 'a' and 'b'"),
    ],
)
def test_a_wrong_mapping_is_refused_in_one_sentence(given, expected):
    with pytest.raises(MaterialsError, match=expected):
        parse_columns(given)


def test_a_mapped_column_that_never_comes_is_named_first(tmp_path):
    message = complaint(quiz(tmp_path), columns={"task": "lable"})
    first = message.splitlines()[1]
    assert first.endswith(
        "no column 'lable', which --prompt-columns names for task; did you mean 'label'?"
    )
    content = "question,label\nA?,a\nB?,b\n"
    message = complaint(text(tmp_path, content, "mine.csv"), columns={"score": "grade"})
    assert "mine.csv: no column 'grade', which --prompt-columns names for score" in message
    assert "it has question, label" in message


def test_the_rest_of_many_faults_is_a_command_away(tmp_path):
    path = jsonl(tmp_path, [{"kind": "a"} for _ in range(25)])
    message = complaint(path, columns={"task": "kind"})
    command = f"python -m harness prompts check {path} --prompt-columns task=kind --all"
    assert f"... and 15 more; all of them: {command}" in message


def test_the_labels_of_memory_and_reasoning_are_known_and_others_kept(tmp_path):
    labels = ("Memorization", "memory", "memorisation", "RECALL", "Reasoning", "reasoning")
    found = read_prompts(labelled(tmp_path, *labels))
    assert [i.task for i in found.items] == ["recall"] * 4 + ["reasoning"] * 2
    assert read_prompts(labelled(tmp_path, "Fact", "Logic")).tasks == ("Fact", "Logic")


def test_the_published_score_divides_the_tasks_where_there_is_no_label(tmp_path):
    rows = [
        {"question_id": i, "question": f"{i}?", "category": "law", "memory_reason_score": score}
        for i, score in enumerate((0.1, 0.5, 0.6))
    ]
    items = read_prompts(jsonl(tmp_path, rows)).items
    assert [i.task for i in items] == ["recall", "recall", "reasoning"]
    assert [(i.id, i.domain, i.score) for i in items][2] == ("2", "law", 0.6)


def test_a_topic_is_a_domain_even_where_its_word_stands_in_the_prompt(tmp_path):
    rows = [row | {"subject": "is"} for row in QUIZ]
    assert {(i.domain, i.subject) for i in read_prompts(jsonl(tmp_path, rows)).items} == {
        ("is", None)
    }
    plain = [
        {"prompt": "What is law?", "task": "a", "subject": "law"},
        {"prompt": "May one steal?", "task": "b", "subject": "law"},
        {"prompt": "Where is Oslo?", "task": "a", "subject": "Oslo"},
    ]
    first, second, third = read_prompts(jsonl(tmp_path, plain)).items
    assert first.domain == second.domain == "law"
    assert first.subject is None
    assert (third.domain, third.subject) == ("", (9, 13))


def test_one_question_with_other_options_is_another_item(tmp_path):
    again = QUIZ[0] | {"question": "Which is true?"}
    rows = [again, again | {"answer": 1}, QUIZ[1]]
    found = read(jsonl(tmp_path, rows))
    assert found.faults.count == 0
    assert found.again == ((2, 1),)
    assert len({i.id for i in found.items}) == 3


def test_multiple_choice_reads_the_same_from_csv_and_parquet(tmp_path):
    from_jsonl = read_prompts(jsonl(tmp_path, QUIZ))
    frame = pd.DataFrame([row | {"answer": str(row["answer"])} for row in QUIZ])
    frame.to_parquet(tmp_path / "mine.parquet")
    frame.to_csv(tmp_path / "mine.csv", index=True)  # lists as Python writes them, an index column
    assert read_prompts(tmp_path / "mine.parquet") == from_jsonl
    assert read_prompts(tmp_path / "mine.csv") == from_jsonl


# What libraries trip over


def huge(digits=5000):
    return "1" * digits


def parquet(folder, **columns):
    import pyarrow as pa

    path = folder / "mine.parquet"
    pa.parquet.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"options": ["a", "b"], "answer_index": huge()}, "answer_index is '1111"),
        ({"options": ["a", "b"], "answer": huge()}, "expected the text of one of 2 options"),
        ({"options": "[{[]}, 'a']", "answer": "a"}, "options is not a JSON list: \"[{[]}, 'a']\""),
        ({"options": "[" * 5000, "answer": "a"}, "options is not a JSON list"),
        ({"options": "-" * 50_000 + "1", "answer": "a"}, "a JSON list of two or more"),
        ({"options": "[" + "-" * 50_000 + "1]", "answer": "a"}, "options is not a JSON list"),
        ({"options": f"[{huge()}, 'a']", "answer": "a"}, "options is not a JSON list"),
        ({"score": huge()}, "score is '1111"),
        ({"steps": huge()}, "steps is '1111"),
        ({"steps": 1.5}, "steps is 1.5: expected a whole number, 1 or more"),
        ({"steps": ["add", "carry"]}, "left out by --prompt-columns steps="),
    ],
)
def test_a_value_that_python_cannot_build_is_named(tmp_path, changes, expected):
    message = complaint(two(tmp_path, **changes))
    assert "mine.jsonl, line 2: " in message
    assert expected in message


def test_json_that_python_cannot_build_is_named(tmp_path):
    content = f'{{"prompt": "A?", "task": "a", "answer": {huge()}}}\n{"[" * 100_000}\n'
    message = complaint(text(tmp_path, content))
    assert "line 1: not valid JSON (a number of more than 4,300 digits)" in message
    assert "line 2: not valid JSON (nested too deep)" in message
    deep = '{"prompt": ' + "[" * 900 + "]" * 900 + ', "task": "a"}'
    assert "line 1: prompt is [[[" in complaint(text(tmp_path, deep))


def test_half_a_surrogate_in_a_column_name_is_no_obstacle(tmp_path):
    rows = [{"prompt": f"{n}?", "task": "ab"[n % 2], "no\ud800te": 1} for n in range(4)]
    assert len(read_prompts(jsonl(tmp_path, rows))) == 4


def test_parquet_values_that_python_cannot_hold_matter_only_where_they_are_read(tmp_path):
    import pyarrow as pa

    far = pa.array([1, 2**30], pa.int32()).cast(pa.date32())
    good = {"prompt": ["A?", "B?"], "task": ["a", "b"]}
    assert len(read_prompts(parquet(tmp_path, **good, when=far))) == 2
    message = complaint(parquet(tmp_path, **good, id=far))
    assert "row 1: id is datetime.date(1970, 1, 2): expected text" in message
    assert "row 2: id is a value that cannot be read (days=1073741824" in message
    message = complaint(parquet(tmp_path, prompt=["A?", "B?"], task=[b"a", b"\xff"]))
    assert "row 2: task is b'\\xff': expected text" in message
    broken = pa.StringArray.from_buffers(
        2, pa.py_buffer(b"\0\0\0\0\1\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xff\xfe")
    )
    message = complaint(parquet(tmp_path, prompt=["A?", "B?"], task=broken))
    assert "row 2: task is a value that cannot be read ('utf-8' codec" in message


def test_control_characters_of_a_label_are_escaped_where_it_is_read(tmp_path):
    rows = [{"prompt": f"{n}?", "task": ("a\x1b[2J", "b")[n % 2]} for n in range(4)]
    assert read_prompts(jsonl(tmp_path, rows)).tasks == ("a\\x1b[2J", "b")


def test_a_path_that_cannot_be_looked_at_is_one_sentence(tmp_path):
    assert "cannot be read: File name too long" in complaint("a" * 5000 + ".jsonl")
    (tmp_path / "round.jsonl").symlink_to("round.jsonl")
    assert "is not there" in complaint(tmp_path / "round.jsonl")


def test_white_space_at_the_end_of_a_prompt_is_dropped_and_counted(tmp_path):
    prompts = ["0? ", "1?\n", "2?", "3?"]
    rows = [{"prompt": prompt, "task": "ab"[n % 2]} for n, prompt in enumerate(prompts)]
    found = read(jsonl(tmp_path, rows))
    assert [item.prompt for item in found.items] == ["0?", "1?", "2?", "3?"]
    assert found.trimmed == (1, 2)


def test_relation_source_and_steps_arrive_and_are_no_part_of_other_hashes(tmp_path):
    rows = [
        {"prompt": f"{n}?", "task": "ab"[n % 2], "relation": "capital", "steps": "2"}
        | {"source": ("Context", "wikipedia")[n % 2]}
        for n in range(4)
    ]
    found = read(jsonl(tmp_path, rows))
    first, second = found.items[:2]
    assert (first.relation, first.source, first.steps) == ("capital", "context", 2)
    assert second.source == ""
    assert list(found.names.other_sources) == ["wikipedia"]
    plain = read(jsonl(tmp_path, [{"prompt": "0?", "task": "a"}])).items[0]
    assert not {"relation", "source", "steps"} & set(plain.to_json())


# Crossing


def words(items):
    return [[hash(word) for word in item.prompt.split()] for item in items]


def test_crossing_matches_pairs_and_is_balanced(tmp_path):
    rows = [dict(row) for row in ROWS]
    random.Random(1).shuffle(rows)
    prompts = read_prompts(jsonl(tmp_path, rows))
    crossed = cross_set(prompts, "mine-crossed")
    assert (crossed.name, crossed.crossed, len(crossed)) == ("mine-crossed", True, 24)
    assert set(crossed.pairs) == {f"p{i}" for i in range(6)}
    assert token_balance(crossed.items, words(crossed.items), crossed.tasks).exact
    assert len({item.id for item in crossed.items}) == 24
    for item in crossed.items:
        number = item.pair.removeprefix("p")
        assert f"capital of country {number}?" in item.prompt
        assert f"Ann has {number} apples. She eats one. How many are left?" in item.prompt
        assert item.answer in (f"City{number}", str(int(number) - 1))
        if item.task == "recall":
            assert item.prompt[slice(*item.subject)] == f"country {number}"
    split = {i.pair: i.split for i in prompts.items}
    assert all(item.split == split[item.pair] for item in crossed.items)
    used = Counter((item.split, item.template) for item in crossed.items)
    assert len(used) == 4
    assert max(used.values()) - min(used.values()) <= 4


def test_without_pairs_item_i_meets_item_i(tmp_path):
    path = labelled(tmp_path, "a", "a", "a", "b", "b", "b")
    crossed = cross_set(read_prompts(path))
    assert crossed.name == "mine-crossed"
    prompts = [item.prompt for item in crossed.items if (item.order, item.label) == (1, 1)]
    found = {tuple(sorted(w for w in p.split() if w.endswith("?"))) for p in prompts}
    assert found == {("0?", "3?"), ("1?", "4?"), ("2?", "5?")}
    assert not any(p.startswith(" ") or "  " in p for p in prompts)
    assert len({(i.pair, i.split) for i in crossed.items}) == 3
    assert {i.split for i in crossed.items} == {DISCOVERY, EVALUATION}


def test_shared_premises_stand_before_the_questions(tmp_path):
    shared = {"premises": "Ann is in Rome.|Bob is in Oslo.", "pair": "x"}
    rows = [
        {"prompt": "1", "task": "recall", "question": "Where is Ann?", **shared},
        {"prompt": "2", "task": "reasoning", "question": "Who is in Oslo?", **shared},
        {"prompt": "3?", "task": "recall", "pair": "y"},
        {"prompt": "4?", "task": "reasoning", "pair": "y"},
    ]
    crossed = cross_set(read_prompts(jsonl(tmp_path, rows)))
    for item in crossed.items[:4]:
        assert item.prompt.startswith("Ann is in Rome. Bob is in Oslo. ")
        assert item.prompt.count("Ann is in Rome.") == 1


def test_an_item_without_a_partner_is_named(tmp_path):
    prompts = read_prompts(labelled(tmp_path, "a", "a", "a", "b"))
    with pytest.raises(MaterialsError, match="3 a and 1 b items without") as caught:
        cross_set(prompts)
    assert "take 2 a items away" in str(caught.value)


def test_braces_and_line_breaks_in_prompts_survive_crossing(tmp_path):
    rows = [{"prompt": "f{x} = {0}\n?", "task": "a"}, {"prompt": "{label}", "task": "b"}]
    crossed = cross_set(read_prompts(jsonl(tmp_path, rows)))
    assert all("f{x} = {0}\n?" in i.prompt and "{label}" in i.prompt for i in crossed.items)


def test_an_unread_column_may_be_a_misspelt_one_of_the_cells(tmp_path):
    """It is no error, as such columns may mean something else; controlled claims need ours."""
    rows = [{"prompt": "a", "task": "x", "relatoin": "capital", "notes": ""}]
    rows += [{"prompt": "b", "task": "y", "relatoin": "capital", "notes": ""}]
    found = read(jsonl(tmp_path, rows))
    assert not found.faults.count
    assert found.names.unread == {"relatoin": "relation", "notes": ""}
