"""When a client gets an answer: held until it was decided on, or cut with its format's own error."""

import asyncio
import contextlib
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path

import anthropic
import httpx
import openai
import pytest

from tests.e2e.harness import MODEL, Running, Workspace
from tests.e2e.teacher import TEXT, Teachers, answer, ask, chat, message_events, teachers
from tests.proxy.upstream import Step, chunked, head

pytestmark = pytest.mark.slow

_RULE = """\
  - id: filtered
    forbid: response
    when: {response.finish: content_filter}
    because: What a filter touched is not for anyone's eyes.
    fix: Ask in other words.
"""


@contextlib.asynccontextmanager
async def _site(
    template: Path, tmp_path: Path, more: str, rule: str = ""
) -> AsyncIterator[tuple[Workspace, Teachers, Running]]:
    async with teachers() as them:
        workspace = Workspace.copy(template, tmp_path / "w", more=more, **them.settings)
        rules = workspace.settings.policies_directory / "organisation" / "house-rules.yaml"
        rules.write_text(rules.read_text() + rule)
        async with workspace.running() as running:
            yield workspace, them, running


def _openai(workspace: Workspace, running: Running) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        base_url=f"{running.url}/plain/v1", api_key=workspace.key, max_retries=0, timeout=60
    )


async def _ask(client: openai.AsyncOpenAI, case: str) -> str | None:
    made = await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": f"case:{case}"}], max_tokens=64
    )
    return made.choices[0].message.content


async def _heard(stream: AsyncIterable[object], is_heard: asyncio.Event) -> None:
    """Listen to a stream to its end."""
    async for _ in stream:
        is_heard.set()


async def test_an_answer_is_seen_by_the_rules_before_its_client(
    template: Path, tmp_path: Path
) -> None:
    """A rule that speaks of the answer keeps it from the client; the record has it all the same."""
    filtered = chat("filtered", finish="content_filter")
    failed = b'{"error": {"message": "slow down", "type": "rate"}}'
    async with _site(template, tmp_path, "delivery: buffer\n", _RULE) as (workspace, them, running):
        them.scripts["filtered"] = (
            head(content_type="application/json", content_length=str(len(filtered))),
            filtered,
        )
        them.scripts["failed"] = (head(429, content_length=str(len(failed))), failed)
        them.scripts["broken"] = (head(content_type="application/json", content_length="2"), b"[}")
        async with _openai(workspace, running) as client:
            assert await _ask(client, "fine") == TEXT
            with pytest.raises(
                openai.PermissionDeniedError, match="not for anyone's eyes"
            ) as caught:
                await _ask(client, "filtered")
            assert TEXT not in caught.value.response.text
            assert "house-rules/filtered" in caught.value.message
            with pytest.raises(openai.RateLimitError, match="slow down"):
                await _ask(client, "failed")
            with pytest.raises(openai.InternalServerError, match="could not be read"):
                await _ask(client, "broken")
        fine, filtered_one, failed_one, broken = workspace.records()
        assert [one.exchange.outcome for one in (fine, filtered_one, failed_one, broken)] == [
            "complete"
        ] * 4
        assert [one.exchange.is_withheld for one in (fine, filtered_one, failed_one, broken)] == [
            False,
            True,
            False,
            True,
        ]
        assert TEXT in filtered_one.answer.decode()
        assert fine.is_admitted
        assert not filtered_one.is_admitted


async def test_a_held_stream_is_released_byte_for_byte(template: Path, tmp_path: Path) -> None:
    """One teacher's answers are held and another's are not; the bytes and the framing stay."""
    more = "deliveries: {plain: buffer}\n"
    async with _site(template, tmp_path, more) as (workspace, them, running):
        parts = answer("stream", is_streamed=True)
        pause = asyncio.Event()
        them.scripts["stream"] = (*parts[0], pause, *parts[1], *parts[2])
        headers = {"x-inbond-key": workspace.key}
        async with httpx.AsyncClient(base_url=running.url, headers=headers, timeout=60) as client:
            path, body = "/plain/v1/chat/completions", ask("stream", is_streamed=True)
            async with asyncio.TaskGroup() as group:
                held = group.create_task(client.post(path, content=body))
                await asyncio.sleep(0.5)
                assert not held.done()
                pause.set()
        got = held.result()
        assert got.headers["content-type"] == "text/event-stream"
        assert got.content.endswith(b"data: [DONE]\n\n")
        (record,) = workspace.records()
        assert record.exchange.wire is not None
        assert record.exchange.wire.size_bytes == len(got.content)
        assert record.is_admitted


async def test_a_cut_stream_raises_in_its_sdk(template: Path, tmp_path: Path) -> None:
    """A drain that cannot wait ends streams in the error event of each format."""
    start = head(Content_Type="text/event-stream", Transfer_Encoding="chunked")
    async with _site(template, tmp_path, "drain_s: 0\n") as (workspace, them, running):
        them.scripts["cut"] = (*answer("cut", is_streamed=True)[0], Step.HOLD)
        them.scripts["claude"] = (start, *chunked(*message_events("claude")[:3])[:-1], Step.HOLD)
        said: list[str] = []
        hearing = [asyncio.Event(), asyncio.Event()]

        async def with_openai() -> None:
            async with _openai(workspace, running) as client:
                stream = await client.chat.completions.create(
                    model=MODEL,
                    messages=[{"role": "user", "content": "case:cut"}],
                    max_tokens=64,
                    stream=True,
                )
                with pytest.raises(openai.APIError) as caught:
                    await _heard(stream, hearing[0])
                said.append(caught.value.message)

        async def with_anthropic() -> None:
            async with anthropic.AsyncAnthropic(
                base_url=f"{running.url}/claude", api_key=workspace.key, max_retries=0, timeout=60
            ) as client:
                stream = await client.messages.create(
                    model=MODEL,
                    messages=[{"role": "user", "content": "case:claude"}],
                    max_tokens=64,
                    stream=True,
                )
                with pytest.raises(anthropic.APIStatusError) as caught:
                    await _heard(stream, hearing[1])
                said.append(str(caught.value.body))

        async with asyncio.TaskGroup() as group:
            group.create_task(with_openai())
            group.create_task(with_anthropic())
            for heard in hearing:
                await asyncio.wait_for(heard.wait(), 30)
            await asyncio.sleep(0.2)
            running.terminate()
        assert len(said) == 2
        assert all("inbond cut this answer off" in text for text in said), said
    assert [record.exchange.outcome for record in workspace.records()] == ["cut", "cut"]
