"""The calls of `inbond demo`, made by the genuine `openai` SDK in a process of their own.

Run by `inbond run`, once for each mode. Prints one JSON object a line for each call.
"""

import json
import sys

import openai
from openai.types.chat import ChatCompletionMessageParam

__all__ = ["main"]

SYSTEM = "You answer customers of a bicycle shop in one short, friendly sentence."
QUESTIONS = (
    "Do you repair flat tyres?",
    "Can I rent a bicycle for a weekend?",
    "Do you sell helmets for children?",
    "Is the shop open on Sunday?",
    "Can I test a bicycle before I buy it?",
    "Do you take old bicycles back?",
    "What size of bicycle do I need?",
    "Do you offer a yearly service?",
)


def main(kind: str, model: str, base_url: str | None) -> None:
    """Make the calls of one part of the demo: `proxy`, `base-url`, `cut-short` or `rival`."""
    client = openai.OpenAI(base_url=base_url, max_retries=0, timeout=120)
    half = len(QUESTIONS) // 2
    match kind:
        case "proxy":
            _ask(client, model, QUESTIONS[:half], max_tokens=96)
        case "base-url":
            _ask(client, model, QUESTIONS[half:], max_tokens=96)
        case "cut-short":
            _ask(client, model, ("Tell me all about bicycle gears.",), max_tokens=24)
        case _:
            _refused(client, model)


def _ask(client: openai.OpenAI, model: str, questions: tuple[str, ...], *, max_tokens: int) -> None:
    """Ask each question, every second one as a stream."""
    for number, question in enumerate(questions):
        is_streamed = number % 2 == 1
        ask = _streamed if is_streamed else _whole
        words = ask(client, model, question, max_tokens)
        _say(question=question, is_streamed=is_streamed, text="".join(words), pieces=len(words))


def _messages(question: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]


def _whole(client: openai.OpenAI, model: str, question: str, max_tokens: int) -> list[str]:
    answer = client.chat.completions.create(
        model=model, messages=_messages(question), max_tokens=max_tokens, temperature=0
    )
    return [answer.choices[0].message.content or ""]


def _streamed(client: openai.OpenAI, model: str, question: str, max_tokens: int) -> list[str]:
    events = client.chat.completions.create(
        model=model,
        messages=_messages(question),
        max_tokens=max_tokens,
        temperature=0,
        stream=True,
    )
    return [choice.delta.content or "" for event in events for choice in event.choices]


def _refused(client: openai.OpenAI, model: str) -> None:
    """A call that OpenAI's terms forbid for this project's purpose: the SDK raises."""
    try:
        _whole(client, model, QUESTIONS[0], 16)
    except openai.PermissionDeniedError as error:
        _say(
            raised=type(error).__name__,
            status=error.status_code,
            exchange=error.response.headers.get("x-inbond-exchange"),
            message=str(error.message),
        )
    else:
        _say(raised=None)


def _say(**record: object) -> None:
    print(json.dumps(record, ensure_ascii=False), flush=True)  # noqa: T201 - what the demo reads


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3] or None)
