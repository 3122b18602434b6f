"""Chat templates: the text that messages become, the same on every day."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, tzinfo
from itertools import cycle
from typing import Any, Self

from transformers.utils import chat_template_utils

from harness.adapter.loading import load_tokenizer
from harness.models.identity import CHAT_DATE
from harness.models.specs import LoadOptions, ModelError, ModelSpec

SWITCHES = ("enable_thinking", "thinking")  # arguments of templates, by other makers
PROBE = "What is the capital of France?"


def probe(spec: ModelSpec, options: LoadOptions) -> str:
    """What the chat template makes of one fixed prompt; only the tokenizer is loaded."""
    return rendered(load_tokenizer(spec, options), [PROBE], dict(options.template_args))


def thinking(spec: ModelSpec, options: LoadOptions) -> str:
    """How to keep the model from thinking before it answers, as a clause; empty if it does not.

    It does where the template opens the reply with `<think>`, and where an argument of the template
    that switches thinking off changes what it makes of a prompt.
    """
    tokenizer, given = load_tokenizer(spec, options), dict(options.template_args)
    text = rendered(tokenizer, [PROBE], given)
    for name in SWITCHES:
        if rendered(tokenizer, [PROBE], {**given, name: False}) != text:
            return (
                "its replies begin with thinking, not with the answer: "
                f"--template-arg {name}=false switches that off"
            )
    if text.rfind("<think>") > text.rfind("</think>"):
        return (
            "its chat template opens every reply with <think>, so that no answer follows the "
            "prompt: leave out --chat-template"
        )
    return ""


def rendered(
    tokenizer: Any, messages: Sequence[str], arguments: Mapping[str, Any] | None = None
) -> str:
    """Messages of user and assistant in turn, up to where the reply to the last one begins.

    A template that asks for today's date is told `CHAT_DATE`: otherwise runs of two days would
    measure two texts.

    Args:
        tokenizer: A transformers tokenizer with a chat template.
        messages: Of user and assistant in turn.
        arguments: What else the template is given, by name.

    Raises:
        ModelError: If the template refuses the messages, or is not valid.
    """
    roles = cycle(("user", "assistant"))
    chat = [{"role": role, "content": text} for role, text in zip(roles, messages, strict=False)]
    try:
        with _fixed_date():
            text: str = tokenizer.apply_chat_template(
                chat, tokenize=False, add_generation_prompt=True, **(arguments or {})
            )
    except Exception as error:  # templates are programs: anything may happen in them
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ModelError(
            "the chat template of the tokenizer cannot be applied to "
            f"{messages[0][:60]!r} ({reason}): mend it, or leave out --chat-template."
        ) from error
    return text


def spans_in(
    text: str, prompt: str, messages: Sequence[str], spans: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Where characters of the prompt stand in the text that its messages became.

    A span that reaches over several messages falls into as many. Empty if a message is not in
    the text as it was.
    """
    found, end, stop = [], len(text), len(prompt)
    for message in reversed(messages):
        stop, end = prompt.rfind(message, 0, stop), text.rfind(message, 0, end)
        if stop < 0 or end < 0:
            return []
        for left, right in spans:
            first, last = max(left, stop), min(right, stop + len(message))
            if first < last:
                found.append((first - stop + end, last - stop + end))
    return sorted(found)


class _Then(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls.fromisoformat(CHAT_DATE).replace(tzinfo=tz)


@contextmanager
def _fixed_date() -> Iterator[None]:
    """Let `strftime_now` of templates give the fixed date; transformers has no option for it."""
    before = chat_template_utils.datetime
    chat_template_utils.datetime = _Then
    try:
        yield
    finally:
        chat_template_utils.datetime = before
