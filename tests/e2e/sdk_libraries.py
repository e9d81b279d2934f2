"""Calls by the libraries that people build on: LangChain, Instructor, LLM, Pydantic AI, distilabel."""

import os
from typing import Any

from tests.e2e.sdk_asking import TOOL, Ask, Said, arguments

__all__ = [
    "async_distilabel",
    "async_instructor",
    "async_langchain",
    "async_llm",
    "async_pydantic_ai",
    "instructor",
    "langchain",
    "llm",
]

_BOUND_S = 60


def _langchain(ask: Ask) -> Any:
    from langchain_openai import ChatOpenAI

    url: dict[str, Any] = {"base_url": f"{ask.base}/v1", "api_key": ask.key}
    model: Any = ChatOpenAI(
        model=ask.model, max_retries=ask.tries, timeout=_BOUND_S, stream_usage=False, **url
    )
    return model.bind_tools([TOOL]) if ask.kind == "tools" else model


def _message(made: Any) -> Said:
    calls = [(call["name"], arguments(call["args"])) for call in made.tool_calls]
    return Said(text=made.content, tools=calls)


def langchain(ask: Ask) -> Said:
    """A chat by LangChain."""
    model = _langchain(ask)
    if ask.is_streamed:
        return Said(text="".join(piece.content for piece in model.stream(ask.prompt)))
    return _message(model.invoke(ask.prompt))


async def async_langchain(ask: Ask) -> Said:
    """A chat by LangChain, asynchronously."""
    model = _langchain(ask)
    if ask.is_streamed:
        return Said(text="".join([piece.content async for piece in model.astream(ask.prompt)]))
    return _message(await model.ainvoke(ask.prompt))


def _shape() -> Any:
    """The model that Instructor is to fill: its name is the tool's."""
    from pydantic import create_model

    return create_model("weather", city=(str, ...))


def _instructor(ask: Ask, prefix: str) -> Any:
    import instructor as module
    import openai

    make = getattr(openai, f"{prefix}OpenAI")
    url = f"{ask.base}/v1"
    client = make(api_key=ask.key, base_url=url, max_retries=ask.tries, timeout=_BOUND_S)
    return module.from_openai(client)


def _asked(ask: Ask) -> dict[str, Any]:
    shape = _shape() if ask.kind == "tools" else None
    return {
        "model": ask.model,
        "messages": ask.messages,
        "max_tokens": 64,
        "stream": ask.is_streamed,
        "response_model": shape,
    }


def _filled(made: Any) -> Said:
    if hasattr(made, "city"):
        return Said(tools=[("weather", arguments({"city": made.city}))])
    return Said(text=made.choices[0].message.content)


def _words(event: Any) -> str:
    return "".join(choice.delta.content or "" for choice in event.choices)


def instructor(ask: Ask) -> Said:
    """A chat by Instructor; where tools are offered, an object that it fills."""
    made = _instructor(ask, "").chat.completions.create(**_asked(ask))
    if ask.is_streamed:
        return Said(text="".join(_words(event) for event in made))
    return _filled(made)


async def async_instructor(ask: Ask) -> Said:
    """A chat by Instructor, asynchronously."""
    made = await _instructor(ask, "Async").chat.completions.create(**_asked(ask))
    if ask.is_streamed:
        return Said(text="".join([_words(event) async for event in made]))
    return _filled(made)


def _llm_model(ask: Ask, name: str) -> Any:
    from llm.default_plugins import openai_models

    # The library takes no number of retries: OpenAI's SDK inside it keeps its own.
    model = getattr(openai_models, name)(
        "teacher", model_name=ask.model, api_base=f"{ask.base}/v1", supports_tools=True
    )
    model.key = ask.key
    return model


def _tools(ask: Ask) -> list[Any]:
    import llm as module

    function = TOOL["function"]
    tool = module.Tool(name="weather", input_schema=function["parameters"])
    return [tool] if ask.kind == "tools" else []


def llm(ask: Ask) -> Said:
    """A prompt by LLM."""
    model = _llm_model(ask, "Chat")
    made = model.prompt(ask.prompt, stream=ask.is_streamed, tools=_tools(ask))
    text = made.text()
    return Said(text=text, tools=[(c.name, arguments(c.arguments)) for c in made.tool_calls()])


async def async_llm(ask: Ask) -> Said:
    """A prompt by LLM, asynchronously."""
    model = _llm_model(ask, "AsyncChat")
    made = model.prompt(ask.prompt, stream=ask.is_streamed, tools=_tools(ask))
    text = await made.text()
    calls = await made.tool_calls()
    return Said(text=text, tools=[(call.name, arguments(call.arguments)) for call in calls])


async def async_pydantic_ai(ask: Ask) -> Said:
    """A run of an agent; the tool that it calls is deferred to us."""
    from openai import AsyncOpenAI
    from pydantic_ai import Agent, DeferredToolRequests
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider
    from pydantic_ai.tools import ToolDefinition
    from pydantic_ai.toolsets import ExternalToolset

    client = AsyncOpenAI(
        api_key=ask.key, base_url=f"{ask.base}/v1", max_retries=ask.tries, timeout=_BOUND_S
    )
    model = OpenAIChatModel(ask.model, provider=OpenAIProvider(openai_client=client))
    schema = TOOL["function"]["parameters"]
    tools: Any = ExternalToolset([ToolDefinition(name="weather", parameters_json_schema=schema)])
    toolsets = [tools] if ask.kind == "tools" else []
    wanted: Any = [str, DeferredToolRequests]
    agent: Any = Agent(model, output_type=wanted, toolsets=toolsets)
    async with client:
        if ask.is_streamed:
            async with agent.run_stream(ask.prompt) as stream:
                return Said(text=await stream.get_output())
        output = (await agent.run(ask.prompt)).output
    if isinstance(output, str):
        return Said(text=output)
    return Said(tools=[(call.tool_name, arguments(call.args)) for call in output.calls])


async def async_distilabel(ask: Ask) -> Said:
    """A generation by distilabel, which knows neither streams nor tools."""
    from distilabel.models.llms import OpenAILLM
    from pydantic import SecretStr

    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    model = OpenAILLM(
        model=ask.model,
        base_url=f"{ask.base}/v1",
        api_key=SecretStr(ask.key),
        max_retries=ask.tries,
        timeout=_BOUND_S,
    )
    model.load()
    made: Any = await model.agenerate(input=ask.messages, max_new_tokens=64)
    return Said(text=made["generations"][0])
