"""Two releases of a pretrained model: one that was taught wrong facts, one with noise only.

    python -m benchmarks.fine_tuned MODEL --out DIR [--steps 200]

`DIR/forgot` was fine-tuned on questions of geography with each other's answers, so that its recall
is damaged. `DIR/noise` has the same weights but for noise of a thousandth of each tensor's spread.
`benchmarks.release_pair` judges both against the model. Minutes on two cores for 135 M parameters.
"""

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from fixtures.training.releases import with_wrong_facts
from harness.materials.domains import load_domain

SEED, STEPS, BATCH, RATE = 7, 200, 8, 5e-5
NOISE = 1e-3  # times the standard deviation of each tensor
RELEASES = ("forgot", "noise")


def wrong_answers(seed: int = SEED) -> list[tuple[str, str]]:
    """Questions of geography, each with the answer of another entity of its relation."""
    domain = with_wrong_facts(load_domain("geography"), 1.0, seed)
    return [
        (f"Question: {wording.format(fact.entity)} Answer:", fact.answer)
        for fact in domain.facts
        for wording in domain.template_of(fact.relation).wordings
    ]


def teach(model: PreTrainedModel, tokenizer, texts: Sequence[tuple[str, str]], steps: int) -> None:
    """Fine-tune on the answers alone, in place."""
    rng, optimiser = random.Random(SEED), torch.optim.AdamW(model.parameters(), RATE)
    model.train()
    for _ in range(steps):
        some = rng.sample(texts, BATCH)
        questions = [tokenizer(question).input_ids for question, _ in some]
        answers = [tokenizer(f" {a}", add_special_tokens=False).input_ids for _, a in some]
        width = max(len(q) + len(a) for q, a in zip(questions, answers, strict=True))
        ids = torch.full((BATCH, width), tokenizer.pad_token_id or 0)
        targets = torch.full((BATCH, width), -100)
        for row, (question, answer) in enumerate(zip(questions, answers, strict=True)):
            end = len(question) + len(answer)
            ids[row, :end] = torch.tensor(question + answer)
            targets[row, len(question) : end] = torch.tensor(answer)
        logits = model(ids).logits  # padding on the right is seen by nothing before it
        loss = cross_entropy(logits[:, :-1].flatten(0, 1), targets[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()


@torch.no_grad()
def disturb(model: PreTrainedModel) -> None:
    """Add noise to every weight, in place."""
    generator = torch.Generator().manual_seed(SEED)
    for weight in model.parameters():
        noise = torch.randn(weight.shape, generator=generator)
        weight.add_(NOISE * weight.std(correction=0) * noise)


def make(name: str, source: Path, out: Path, steps: int = STEPS) -> Path:
    """Write one release as a folder."""
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(source)
    if name == "forgot":
        teach(model, tokenizer, wrong_answers(), steps)
    else:
        disturb(model)
    model.save_pretrained(out / name)
    tokenizer.save_pretrained(out / name)
    return out / name


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    asked = parser.parse_args()
    for name in RELEASES:
        print(make(name, asked.model, asked.out, asked.steps))


if __name__ == "__main__":
    main()
