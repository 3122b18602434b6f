"""Questions of the cells whose answer comes after written steps.

The stories, questions and order are those of a set of cells. What differs is how a question is
solved: in a demonstration the steps stand before the answer, in the story's own sentences, and the
prompt ends where the model's steps begin.
"""

from collections.abc import Iterator
from dataclasses import replace

from harness.materials.cell_sets import item_id, stories_of, whole_cells
from harness.materials.cells import Question, Story
from harness.materials.domains import frames
from harness.materials.items import Item, MaterialsError, PromptSet, put, subject_span


def with_steps(prompts: PromptSet, items: int, seed: int) -> PromptSet:
    """The items of a set of cells, to be answered after written steps.

    An item keeps its id, and all that is said of it. Its `entities` are its chain: the name asked
    about, those that the steps lead to, and the answer. It has no counterfactual. Items without
    sentences for their steps (latent ones) are left out.

    Args:
        prompts: Items of a named set of cells, one question each, or some of them.
        items: With which the set was drawn.
        seed: The same.

    Raises:
        MaterialsError: If the set is none of these, or holds an item that is not drawn so.
    """
    whole = whole_cells(prompts.name)
    if whole is None or whole[0].crossed or whole[0].cell:
        raise MaterialsError(
            f"the steps to the answers of {prompts.name} are not known: take the set cells, which "
            "is written with the steps of each question."
        )
    wanted, difficulty = whole
    drawn = {
        item_id(story, task): (story, question)
        for story in stories_of(wanted, items, seed, difficulty)
        for task, question in story.questions.items()
    }
    unknown = next((item.id for item in prompts.items if item.id not in drawn), None)
    if unknown is not None:
        raise MaterialsError(
            f"{prompts.name} of {items} items and seed {seed} has no item {unknown!r}: give the "
            "numbers that it was drawn with."
        )
    made = tuple(_with_steps(prompts, drawn))
    return replace(prompts, name=f"{prompts.name}, with steps", items=made)


def _with_steps(prompts: PromptSet, drawn: dict[str, tuple[Story, Question]]) -> Iterator[Item]:
    for item in prompts.items:
        story, question = drawn[item.id]
        if question.told:
            yield _item(item, story, question)


def _item(item: Item, story: Story, question: Question) -> Item:
    frame, turns = frames("cells")["written"], _turns(story)
    shared = "\n".join(f"{message} {solved}" for message, solved in turns)
    shared = shared or " ".join(story.premises)
    prompt = put(frame, (shared,), question=question.text)
    return replace(
        item,
        prompt=prompt,
        entities=question.chain,
        subject=subject_span(prompt, question.text, question.name),
        counterfactual_prompt="",
        counterfactual_answer="",
        premises=(shared,),
        turns=turns,
    )


def _turns(story: Story) -> tuple[tuple[str, str], ...]:
    """Solved questions with their steps, the story before the first one."""
    asked, solved = (frames("cells")[name] for name in ("written", "steps"))
    told = " ".join(story.premises)
    return tuple(
        (
            put(asked, (told,) if number == 0 else (), question=question.text),
            solved.format(steps=" ".join(question.told), answer=question.answer),
        )
        for number, question in enumerate(story.demonstrations)
    )
