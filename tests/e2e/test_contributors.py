"""A chain of calls by the genuine SDK that says what each was made from, up to the sealed dataset."""

import asyncio
from pathlib import Path

import openai
import pytest

from proxy.clock import new_id
from proxy.keys import load_keys
from proxy.ledger.bundle import read_bundle
from tests.e2e.harness import MODEL, Workspace
from tests.e2e.teacher import case_of, chat, teachers
from tests.proxy.upstream import Script, Seen, head

pytestmark = pytest.mark.slow


def _speak(seen: Seen) -> Script:
    """A chat completion; what a case calls cut was cut short."""
    case = case_of(seen.body)
    body = chat(case, finish="length" if case.startswith("cut") else "stop")
    return (head(Content_Type="application/json", Content_Length=str(len(body))), body)


def _asked(client: openai.OpenAI, case: str, **headers: str) -> str:
    """One call of the SDK; gives its exchange."""
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=[{"role": "user", "content": f"case:{case}"}],
        max_tokens=64,
        extra_headers={name.replace("_", "-"): value for name, value in headers.items()},
    )
    return str(raw.headers["x-inbond-exchange"])


def _chain(url: str, key: str) -> dict[str, str]:
    """What a user's script does: draft, revise, judge; one of them from an answer that was cut."""
    with openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=60) as client:
        draft = _asked(client, "draft", x_inbond_source="tickets")
        revised = _asked(client, "revised", x_inbond_parent=draft)
        cut = _asked(client, "cut")
        mixed = _asked(client, "mixed", x_inbond_parent=f"{revised}, {cut}")
        with pytest.raises(openai.BadRequestError, match="is not on record") as caught:
            _asked(client, "stray", x_inbond_parent=new_id())
    assert "`x-inbond-exchange`" in caught.value.message
    return {"draft": draft, "revised": revised, "cut": cut, "mixed": mixed}


async def test_a_chain_of_calls_reaches_the_dataset_with_its_parents(
    template: Path, tmp_path: Path
) -> None:
    """Parents are decided on and named; of what may not be learned, nothing made of it is either."""
    async with teachers() as stage:
        stage.otherwise = _speak
        workspace = Workspace.copy(template, tmp_path / "workspace", **stage.settings)
        words = ("--licence", "CC-BY-4.0", "--may-train", "--reason", "our own")
        added = await workspace.said("source", "add", "tickets", "--duty", "attribution=Us", *words)
        assert added.status == 0, added.err
        async with workspace.running():
            url = f"http://{workspace.settings.listen}/plain/v1"
            made = await asyncio.to_thread(_chain, url, workspace.key)
        assert [visit.case for visit in stage.visits] == list(made)  # nothing was sent for `stray`
        for visit in stage.visits:
            assert not [name for name, _ in visit.seen.headers if "inbond" in name.lower()]
    built = await workspace.said("dataset", "build", "--student", "shop-assistant")
    assert built.status == 0, built.err
    assert built.record["left_out"] == {"not-admitted": 1, "contributor-not-admitted": 1}
    path = Path(built.record["path"])
    with read_bundle(path) as bundle:
        rows = {row.exchange: row for row in bundle.examples()}
    source = str(added.record["entry"])
    assert rows.keys() == {made["draft"], made["revised"]}
    assert rows[made["draft"]].contributors == (source,)
    assert rows[made["revised"]].contributors == tuple(sorted((made["draft"], source)))
    assert all("attribution: Us" in row.duties for row in rows.values())
    key = load_keys(workspace.settings.keys_directory).log.verifier.to_text()
    checked = await workspace.said("audit", "verify", str(path), "--key", key)
    assert checked.status == 0, checked.err
