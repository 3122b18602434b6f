"""Chat templates: the text that one message becomes, the same on every day."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, tzinfo
from typing import Any, Self

from transformers.utils import chat_template_utils

from harness.models.identity import CHAT_DATE
from harness.models.specs import ModelError


def rendered(tokenizer: Any, prompt: str) -> str:
    """The prompt as a user's message, up to where the reply begins.

    A template that asks for today's date is told `CHAT_DATE`: otherwise runs of two days would
    measure two texts.

    Raises:
        ModelError: If the template refuses the message, or is not valid.
    """
    message = [{"role": "user", "content": prompt}]
    try:
        with _fixed_date():
            text: str = tokenizer.apply_chat_template(
                message, tokenize=False, add_generation_prompt=True
            )
    except Exception as error:  # templates are programs: anything may happen in them
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ModelError(
            f"the chat template of the tokenizer cannot be applied to {prompt[:60]!r} ({reason}): "
            "mend it, or leave out --chat-template."
        ) from error
    return text


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
