"""A teacher that speaks xAI's gRPC service over TLS: grpcio's own server and the SDK's own messages."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from xai_sdk.proto import chat_pb2, chat_pb2_grpc, deferred_pb2, sample_pb2, usage_pb2

from tests.e2e.harness import MODEL
from tests.e2e.teacher import HOSTS, authority, case_of

__all__ = ["WORDS", "GrpcTeacher", "grpc_teacher"]

WORDS = ("The ", "quick ", "answer", ".")
"""What it says, piece by piece."""


def _usage() -> Any:
    return usage_pb2.SamplingUsage(prompt_tokens=5, completion_tokens=4, total_tokens=9)


def _response(case: str) -> Any:
    message = chat_pb2.CompletionMessage(content="".join(WORDS), role=chat_pb2.ROLE_ASSISTANT)
    output = chat_pb2.CompletionOutput(message=message, finish_reason=sample_pb2.REASON_STOP)
    return chat_pb2.GetChatCompletionResponse(
        id=f"answer-{case}", model=MODEL, outputs=[output], usage=_usage()
    )


def _chunk(case: str, word: str, *, is_last: bool) -> Any:
    delta = chat_pb2.Delta(content=word, role=chat_pb2.ROLE_ASSISTANT)
    output = chat_pb2.CompletionOutputChunk(delta=delta)
    if is_last:
        output.finish_reason = sample_pb2.REASON_STOP
    return chat_pb2.GetChatCompletionChunk(
        id=f"answer-{case}", model=MODEL, outputs=[output], usage=_usage()
    )


@dataclass(slots=True)
class GrpcTeacher(chat_pb2_grpc.ChatServicer):  # type: ignore[misc] # generated code has no types
    """What it saw of each case, and what it does beside answering."""

    port: int = 0
    ledger_size: Callable[[], int] = lambda: 0
    seen: dict[str, tuple[dict[str, str], int]] = field(default_factory=dict)
    """The metadata of each call, and how many entries were durable when it came."""
    gone: set[str] = field(default_factory=set)
    """The cases whose call was given up before its answer was whole."""
    server: Any = None
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    """What the cases named `held` wait for in the middle of their answers."""

    async def stop(self) -> None:
        """Go away in the middle of whatever goes on."""
        await self.server.stop(None)

    async def _note(self, request: Any, context: Any) -> str:
        case = case_of(request.messages[-1].content[0].text.encode())
        metadata = {pair[0]: pair[1] for pair in context.invocation_metadata()}
        self.seen[case] = (metadata, self.ledger_size())
        if ".busy" in case:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "slow down, 100 % busy: später")
        return case

    async def GetCompletion(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name
        """A whole answer."""
        case = await self._note(request, context)
        await self._hold(case)
        return _response(case)

    async def GetCompletionChunk(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 - as above
        """An answer in pieces."""
        case = await self._note(request, context)
        for word in WORDS:
            yield _chunk(case, word, is_last=word == WORDS[-1])
            await self._hold(case)
            if ".breaks" in case:
                await context.abort(grpc.StatusCode.INTERNAL, "the model broke")

    async def _hold(self, case: str) -> None:
        if ".held" not in case:
            return
        try:
            await self.hold.wait()
        except asyncio.CancelledError:
            self.gone.add(case)
            raise

    async def StartDeferredCompletion(self, request: Any, context: Any) -> Any:  # noqa: N802 - as above
        """Promise an answer."""
        return deferred_pb2.StartDeferredResponse(request_id=await self._note(request, context))

    async def GetDeferredCompletion(self, request: Any, context: Any) -> Any:  # noqa: N802 - as above
        """Keep the promise."""
        return chat_pb2.GetDeferredCompletionResponse(
            status=deferred_pb2.DONE, response=_response(request.request_id)
        )


@contextlib.asynccontextmanager
async def grpc_teacher() -> AsyncIterator[GrpcTeacher]:
    """A server on a free port for the time of the block."""
    leaf = authority().issue_cert(*HOSTS)
    chain = b"".join(pem.bytes() for pem in leaf.cert_chain_pems)
    server = grpc.aio.server()
    teacher = GrpcTeacher(server=server)
    chat_pb2_grpc.add_ChatServicer_to_server(teacher, server)
    proof = grpc.ssl_server_credentials([(leaf.private_key_pem.bytes(), chain)])
    teacher.port = server.add_secure_port("127.0.0.1:0", proof)
    await server.start()
    try:
        yield teacher
    finally:
        await server.stop(None)
