"""What the hooks know of one call under way; part of the engine."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from mitmproxy.http import HTTPFlow

from proxy.exchange import Outcome
from proxy.gate import Forward, Passage, Streamed

__all__ = ["EngineCall", "is_gone"]


@dataclass(slots=True, kw_only=True)
class EngineCall:
    """What is known of one passage between its hooks."""

    passage: Passage
    flow: HTTPFlow
    forward: Forward | None = None
    outcome: Outcome | None = None
    streamed: Streamed | None = None
    """The passage, as long as it may still say that the body goes on while it comes in."""
    keep: Callable[[bytes], list[bytes]] | None = None
    """The tap of an answer that is held until it was decided on."""
    kept_bytes: int = 0
    excuse: str = "the teacher gave no answer"
    """Why the client gets none, where it gets none."""
    is_too_large: bool = False
    is_deciding: bool = False
    is_answering: bool = False
    is_ended: bool = False
    heard_at: float = 0.0
    timer: asyncio.TimerHandle | None = None


def is_gone(flow: HTTPFlow) -> bool:
    """Whether the client left while the gate was asked, so that no other hook may follow."""
    return flow.client_conn.timestamp_end is not None
