"""Batches of a user's script, made by the genuine SDKs in a process of their own.

`create` prints the id of the batch; `collect` polls it once and prints each answer by its id.
"""

import json
import sys
from typing import Any

COUNT = 3


def say(**record: object) -> None:
    """Print one line."""
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


def prompt(n: int) -> list[Any]:
    """The prompt of one request."""
    return [{"role": "user", "content": f"case:line{n}"}]


def with_anthropic(url: str, model: str, batch: str) -> None:
    """Message Batches by Anthropic's SDK."""
    import anthropic

    client = anthropic.Anthropic(base_url=url, max_retries=0, timeout=60)
    if not batch:
        requests: list[Any] = [
            {
                "custom_id": f"line-{n}",
                "params": {"model": model, "max_tokens": 9, "messages": prompt(n)},
            }
            for n in range(COUNT)
        ]
        say(batch=client.messages.batches.create(requests=requests).id)
        return
    said = client.messages.batches.retrieve(batch)
    say(status=said.processing_status)
    if url.startswith("https"):
        for result in client.messages.batches.results(batch):
            found: Any = result
            say(id=found.custom_id, text=found.result.message.content[0].text)
        return
    # The address in `results_url` is the provider's own: it is not under the base URL.
    whole = client.get(f"/v1/messages/batches/{batch}/results", cast_to=str)
    for line in whole.splitlines():
        one = json.loads(line)
        say(id=one["custom_id"], text=one["result"]["message"]["content"][0]["text"])


def with_openai(url: str, model: str, batch: str) -> None:
    """A file of requests and a batch of it by OpenAI's SDK."""
    import openai

    client = openai.OpenAI(base_url=f"{url}/v1", max_retries=0, timeout=60)
    if not batch:
        lines = [
            {
                "custom_id": f"line-{n}",
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": {"model": model, "messages": prompt(n)},
            }
            for n in range(COUNT)
        ]
        data = "\n".join(json.dumps(line) for line in lines).encode()
        file = client.files.create(file=("requests.jsonl", data), purpose="batch")
        made = client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        say(batch=made.id)
        return
    said = client.batches.retrieve(batch)
    say(status=said.status)
    for line in client.files.content(said.output_file_id or "").text.splitlines():
        one = json.loads(line)
        text = one["response"]["body"]["choices"][0]["message"]["content"]
        say(id=one["custom_id"], text=text)


if __name__ == "__main__":
    _, name, base, asked_model, made_batch = sys.argv
    {"anthropic": with_anthropic, "openai": with_openai}[name](base, asked_model, made_batch)
