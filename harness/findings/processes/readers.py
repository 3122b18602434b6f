"""Two readers of words in the residual stream at the last token.

The logit lens reads what stands as the output has it. A name may also stand in other directions,
which a map that is fitted on other relations finds.
"""

import hashlib
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from harness.findings.processes.readable import Scores, Stories
from harness.materials.items import DISCOVERY, Item

if TYPE_CHECKING:
    from harness.adapter import Model

LENS_VERSION = 1  # raise it when what is stored changes its meaning
RIDGE = 0.1  # of the mean square of what is fitted


def by_lens(stories: Stories) -> Scores:
    """The logits of words if the model ended after each layer (nostalgebraist 2020)."""
    prompts = stories.prompts
    words, at = _by_id(stories)
    resid = _resid(stories)  # before the twin is built that the lens is of

    def measure(model: "Model", items: tuple[Item, ...]) -> dict[str, np.ndarray]:
        from harness.adapter.lens import lens  # noqa: PLC0415 - torch and nnsight load here

        stream = resid[[at[item.id] for item in items]]
        return {"logits": lens(model, items, stream, [words[item.id] for item in items])}

    logits = stories.study.subject.fetch(_what("lens", stories), prompts, measure, stories.twin)
    chains, layers = stories.difficulty.chains, logits["logits"].shape[1]
    each = logits["logits"].reshape(len(prompts), layers, chains, -1)[stories.rows]
    return np.stack([each[..., level][:, _two(cell)] for level, cell in stories.places], axis=1)


def by_fitted_map(stories: Stories) -> Scores:
    """The same along a linear map to the unembedding of the word that a question needs.

    It is fitted by ridge regression on discovery entities of all other relations, so that it has
    seen neither the relation nor, in most cases, the word.

    Source: a tuned lens (Belrose et al. 2023, arXiv:2303.08112). Differs: it is fitted to a word
    that the question needs, and not to what the model says in the end.
    """
    rows, resid = _unembedded(stories), _resid(stories)
    relation, discovery = stories.relation, stories.split == DISCOVERY
    scores = np.zeros((len(stories), len(stories.places), 2, resid.shape[1], rows.shape[1]))
    for name in np.unique(relation):
        fit, new = (relation != name) & discovery, relation == name
        for cell, layer in product((0, 1), range(resid.shape[1])):
            both = [resid[stories.rows[new, which], layer] for which in _two(cell)]
            weights = _ridge(resid[stories.rows[fit, cell], layer], np.concatenate(both))
            for word, (level, of) in enumerate(stories.places):
                if of == cell:
                    words = rows[:, :, level]
                    own = words[np.arange(len(words)), stories.asked[:, cell]]
                    read = (weights @ (own - words.mean(1))[fit]).reshape(2, new.sum(), -1)
                    scores[new, word, :, layer] = np.einsum("psd,scd->spc", read, words[new])
    return scores


def _two(cell: int) -> list[int]:
    """The prompt that needs a word, then the other one."""
    return [cell, 1 - cell]


def _ridge(
    seen: Float[np.ndarray, "fit d_model"], new: Float[np.ndarray, "row d_model"]
) -> Float[np.ndarray, "row fit"]:
    """Weights of what was fitted in what is predicted of new rows."""
    mean = seen.mean(0)
    seen, new = seen - mean, new - mean
    alike = seen @ seen.T
    penalty = RIDGE * np.trace(alike) / len(alike)
    if not penalty:  # the stream is the same in all prompts, as before the question is read
        return np.zeros((len(new), len(seen)))
    return np.asarray(np.linalg.solve(alike + penalty * np.eye(len(alike)), seen @ new.T).T)


def _resid(stories: Stories) -> Float[np.ndarray, "prompt layer d_model"]:
    return replace(stories.study, prompts=stories.prompts).extracted(stories.twin).resid


def _unembedded(stories: Stories) -> Float[np.ndarray, "story chain level d_model"]:
    """The unembedding of the first token of every word that a story tells, from the store."""
    words, _ = _by_id(stories)

    def measure(model: "Model", items: tuple[Item, ...]) -> dict[str, np.ndarray]:
        from harness.adapter.lens import unembedded  # noqa: PLC0415 - torch and nnsight load here

        return {"rows": unembedded(model, items, [words[item.id] for item in items])}

    what, prompts = _what("unembedding", stories), stories.prompts
    rows = stories.study.subject.fetch(what, prompts, measure, stories.twin)["rows"]
    by_chain = rows.reshape(len(prompts), stories.difficulty.chains, -1, rows.shape[-1])
    return np.asarray(by_chain[stories.rows[:, 0]])


def _by_id(stories: Stories) -> tuple[dict[str, list[str]], dict[str, int]]:
    """Words and row of each prompt."""
    ids = [item.id for item in stories.prompts.items]
    return dict(zip(ids, stories.words, strict=True)), {name: row for row, name in enumerate(ids)}


def _what(kind: str, stories: Stories) -> dict[str, object]:
    return {
        "kind": f"words, {kind}",
        "version": LENS_VERSION,
        "words": hashlib.sha256(repr(stories.words).encode()).hexdigest(),
        "twin": stories.twin,
    }
