"""What the design of a file gives away is said; of a file that gives nothing away, nothing is."""

from dataclasses import replace

from harness.materials.files.design import separating
from harness.materials.items import Item, PromptSet, stands_in

CITIES = ("Rome", "Oslo", "Paris", "Bern")
CLAIM = "no claim about processes can be made"


def made(prompt, changes=lambda _task, _n: {}):
    """Twelve items a class; `prompt` and `changes` get the task and a number."""
    items = [
        Item(
            f"{task}{n}",
            task,
            prompt(task, n),
            f"p{n}",
            answer=CITIES[n % 4],
            distractors=(CITIES[(n + 1) % 4],),
        )
        for task in ("recall", "reasoning")
        for n in range(12)
    ]
    changed = [replace(i, **changes(i.task, n)) for n, i in enumerate(items)]
    return PromptSet("made", tuple(changed))


def told(_task, n):
    """Prompts that hold answer and distractor in both classes, in a wording of their own each."""
    return f"w{n * 7} x{n * 5} {CITIES[n % 4]} y{n * 3} {CITIES[(n + 1) % 4]} z{n}?"


def test_nothing_is_said_where_nothing_differs():
    assert separating(made(told)) == ()


def test_words_are_whole_and_in_any_case():
    assert stands_in("rome", "Is it Rome?")
    assert not stands_in("Rome", "The romers")
    assert stands_in("a+b", "say a+b.")


def test_an_answer_in_the_prompts_of_one_class_is_said():
    prompts = made(lambda task, n: told(task, n) if task == "reasoning" else f"w{n} x{n * 5} z?")
    said = separating(prompts)
    assert said == (
        "the answer stands in the prompt for reasoning only (12 of 12; recall: 0 of 12)",
        "the distractors stand in the prompt for reasoning only (12 of 12; recall: 0 of 12)",
    )


def test_answers_that_share_nothing_are_said():
    def other(task, n):
        return {"answer": f"name{n % 2}", "distractors": ()} if task == "recall" else {}

    (said,) = (s for s in separating(made(told, other)) if "share nothing" in s)
    assert said == (
        "the answers share nothing between the classes: 2 of recall (name0, name1) and 4 of "
        "reasoning (bern, oslo, paris, ...)"
    )


def test_one_relation_a_class_leaves_no_claim_and_many_shared_ones_do():
    one = made(told, lambda task, _: {"relation": {"recall": "capital"}.get(task, "currency")})
    assert CLAIM in separating(one)[0]
    assert "(recall: capital; reasoning: currency)" in separating(one)[0]
    apart = made(told, lambda task, n: {"template": f"{task}-{n % 2}"})
    assert "no type of question in common" in separating(apart)[0]
    assert CLAIM in separating(apart)[0]
    assert separating(made(told, lambda _, n: {"relation": f"r{n % 8}"})) == ()


def test_one_wording_a_class_is_told_from_the_prompts():
    prompts = made(
        lambda task, n: (
            f"The capital of land {n} is" if task == "recall" else f"Where lives Ann {n}?"
        )
    )
    assert CLAIM in separating(prompts)[0]
    assert "recall: 'the capital of land ... is'" in separating(prompts)[0]


def test_source_and_steps_that_differ_at_once_are_said():
    both = {
        "recall": {"source": "weights", "steps": 1},
        "reasoning": {"source": "context", "steps": 2},
    }
    assert separating(made(told, lambda task, _: both[task]))[0].startswith("source and steps")
    steps = {
        "recall": {"source": "context", "steps": 1},
        "reasoning": {"source": "context", "steps": 2},
    }
    assert separating(made(told, lambda task, _: steps[task])) == ()
