"""A student's tokenizer with its chat template: conversations to text, and text to ids."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from student.errors import RowError
from student.intake import Turn

__all__ = ["ChatTokenizer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTokenizer:
    """A student's tokenizer with a chat template."""

    backend: PreTrainedTokenizerBase
    ends: frozenset[int]
    """The ids that end a turn; in some models the padding id is one of them."""
    digest: str
    """sha256 (hex) of the tokenizer's files."""
    template_digest: str
    """sha256 (hex) of the chat template."""
    _controls: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        controls = tuple(filter(None, self.backend.all_special_tokens))
        object.__setattr__(self, "_controls", controls)

    def render(
        self, turns: Sequence[Turn], tools: object, *, opens_answer: bool, reasoning: str = ""
    ) -> str:
        """The conversation as text; with `opens_answer`, up to where the answer begins.

        `reasoning` is what led to the last turn: templates know it as `reasoning_content`.

        Raises:
            RowError: the template refuses the conversation.
        """
        messages = [_as_message(turn) for turn in turns]
        if reasoning:
            messages[-1]["reasoning_content"] = reasoning
        try:
            backend: Any = self.backend  # its types know messages of plain text only
            return str(
                backend.apply_chat_template(
                    messages,
                    tools=tools,
                    add_generation_prompt=opens_answer,
                    tokenize=False,
                )
            )
        except (TemplateError, TypeError) as error:
            raise RowError(f"the chat template refuses it: {error}", code="template") from error

    def encode(self, text: str) -> list[int]:
        """The ids of a rendered text; the template has written the special tokens."""
        return self.encode_all([text])[0]

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each rendered text, made on all cores."""
        if not texts:
            return []
        found = self.backend(
            list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False
        )
        ids: list[list[int]] = found["input_ids"]
        return ids

    def before_end(self, text: str) -> str:
        """A text up to the first end of a turn."""
        for end in self.ends:
            text = text.partition(str(self.backend.decode([end])))[0]
        return text

    def has_control(self, text: str) -> bool:
        """Whether a text spells one of the tokenizer's special tokens."""
        return any(token in text for token in self._controls)


def _as_message(turn: Turn) -> dict[str, object]:
    message: dict[str, object] = {"role": turn.role, "content": turn.text}
    if turn.tool_calls:
        message["tool_calls"] = [
            {
                "type": "function",
                "id": call.id,
                "function": {"name": call.name, "arguments": _parsed(call.arguments)},
            }
            for call in turn.tool_calls
        ]
    if turn.tool_call_id is not None:
        message["tool_call_id"] = turn.tool_call_id
    if turn.name is not None:
        message["name"] = turn.name
    return message


def _parsed(arguments: str) -> object:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments
