"""What a call of the matrix asks of an SDK, and what the SDK said: the same for every one."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["BAD_MODEL", "TOOL", "Ask", "Said", "SyncCall", "arguments"]

BAD_MODEL = "not-this-teacher"
"""The name that the house rules of the matrix forbid to ask."""
_PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "weather", "description": "The weather.", "parameters": _PARAMETERS},
}
"""The tool that is offered, as OpenAI's chat names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One call: `case` is `CLIENT.KIND.MODE.VIA`, and the prompt carries it."""

    case: str
    base: str
    """Where the teacher is: its own address, or the proxy's with the prefix."""
    model: str

    @property
    def kind(self) -> str:
        """Plain, stream, tools, error, refused, refused-stream or retry."""
        return self.case.split(".")[1]

    @property
    def prompt(self) -> str:
        """The words of the prompt."""
        return f"case:{self.case}"

    @property
    def messages(self) -> list[Any]:
        """The prompt as most formats have it."""
        return [{"role": "user", "content": self.prompt}]

    @property
    def key(self) -> str:
        """The key that a user's script finds in its environment."""
        return os.environ["OPENAI_API_KEY"]

    @property
    def tries(self) -> int:
        """How often the SDK may try again."""
        return 2 if self.kind == "retry" else 0

    @property
    def is_streamed(self) -> bool:
        """Whether the answer is wanted in pieces."""
        return self.kind in {"stream", "refused-stream"}

    @property
    def chat(self) -> dict[str, Any]:
        """The arguments that OpenAI's SDK and those made after it take."""
        tools = {"tools": [TOOL]} if self.kind == "tools" else {}
        return {"model": self.model, "messages": self.messages, "max_tokens": 64, **tools}


@dataclass(slots=True)
class Said:
    """What an SDK made of an answer."""

    text: str = ""
    tools: list[tuple[str, str]] = field(default_factory=list)
    """Name and arguments of each call, the arguments as canonical JSON."""


type SyncCall = Callable[[Ask], Said]


def arguments(value: Any) -> str:
    """Arguments as canonical JSON, whether the SDK gives text or an object."""
    read = json.loads(value or "{}") if isinstance(value, str) else dict(value)
    return json.dumps(read, sort_keys=True, ensure_ascii=False)
