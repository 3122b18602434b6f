"""Crossed prompts whose own question is about another name: where only what is found differs."""

import random
from dataclasses import replace

import numpy as np

from harness.findings.processes.kinds import cell_of
from harness.materials.cell_sets import whole_cells
from harness.materials.cells import known_by_answer
from harness.materials.chains import chains_told
from harness.materials.difficulty import Difficulty
from harness.materials.items import Item, PromptSet
from harness.materials.relations import FOLDER, load_relations
from harness.study.study import Study


def of_another_name(study: Study, prompts: PromptSet, cell: str) -> PromptSet:
    """The prompts, with counterfactuals that ask the question of a cell about another name.

    The answer about that name becomes the right one. It is another answer of the story, the name
    has as many tokens as the own one, and its question is not solved before. Left out are prompts
    for which there is no such name, and those of which the model answers that question wrong.

    Args:
        study: On prompts with one question each, of the same stories.
        prompts: Their counterfactuals ask the question of the cell, and their answers are to that.
        cell: Recall or reasoning.
    """
    whole = whole_cells(study.prompts.name)
    if whole is None:  # of the stories of others no further names are known
        return replace(prompts, items=())
    own = {_story(item): item for item in study.prompts.items if cell_of(item) == cell}
    about = {story: _others(item, cell, whole[1]) for story, item in own.items()}
    names = sorted({name for each in about.values() for name, _, _ in each})
    names += sorted({item.entities[0] for item in own.values()})
    tokens = dict(zip(names, study.subject.pieces(names), strict=True))
    kept, asked = [], []
    for item in prompts.items:
        plain = own[_story(item)]
        before, _, after = item.counterfactual_prompt.rpartition(plain.question)
        for name, question, answer in about[_story(item)]:
            alike = tokens[name] == tokens[plain.entities[0]]
            if alike and answer in item.distractors and question not in before:
                break
        else:
            continue
        wrong = (item.answer, *(d for d in item.distractors if d != answer))
        new = replace(
            item,
            answer=answer,
            distractors=wrong,
            counterfactual_prompt=f"{before}{question}{after}",
            counterfactual_answer=answer,
        )
        every = (plain.answer, *plain.distractors)
        kept.append(new)
        asked.append(
            replace(
                new,
                prompt=new.counterfactual_prompt,
                distractors=tuple(a for a in every if a != answer),
            )
        )
    name = f"{prompts.name}, of another name"
    donors = replace(prompts, name=f"{name}, as asked", items=tuple(asked))
    right = study.subject.answers(donors).correct == 1 if asked else np.array([])
    items = tuple(item for item, known in zip(kept, right, strict=True) if known)
    return replace(prompts, name=name, items=items)


def _story(item: Item) -> str:
    """What the numbers of items of one story begin with."""
    return item.id.rpartition("-")[0]


def _others(item: Item, cell: str, difficulty: Difficulty) -> list[tuple[str, str, str]]:
    """Other names that the cell's question can be asked about, with question and answer.

    In an order that is drawn for each item, so that not all items take the same name.
    """
    relation = {r.name: r for r in load_relations(FOLDER, difficulty.names)}[item.relation]
    if cell == "recall":
        level, told = 0, known_by_answer(relation, item.split)
    else:
        level = difficulty.steps - 1
        told = {chain.answer: [chain.names[level]] for chain in chains_told(item, difficulty)}
    found = [
        (name, relation.ask(name, level), answer)
        for answer in item.distractors
        for name in told.get(answer, ())
    ]
    return random.Random(item.id).sample(found, len(found))
