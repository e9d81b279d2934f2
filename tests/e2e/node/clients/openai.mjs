// Chats and responses by OpenAI's SDK.

import OpenAI from "openai";

import { TOOL } from "../asking.mjs";

const client = (ask) => new OpenAI({ baseURL: ask.under("/v1"), maxRetries: ask.tries });

export async function chat(ask) {
  const tools = ask.hasTools ? { tools: [{ type: "function", function: TOOL }] } : {};
  const asked = { model: ask.model, messages: ask.messages, max_tokens: 64, ...tools };
  const made = await client(ask).chat.completions.create({ ...asked, stream: ask.isStreamed });
  if (ask.isStreamed) {
    let text = "";
    for await (const event of made) {
      for (const choice of event.choices) text += choice.delta.content ?? "";
    }
    return { text, tools: [] };
  }
  const { message } = made.choices[0];
  const called = (message.tool_calls ?? []).map((call) => call.function);
  return { text: message.content ?? "", tools: called.map((call) => [call.name, call.arguments]) };
}

export async function responses(ask) {
  const tools = ask.hasTools ? { tools: [{ type: "function", strict: false, ...TOOL }] } : {};
  const asked = { model: ask.model, input: ask.prompt, ...tools };
  const made = await client(ask).responses.create({ ...asked, stream: ask.isStreamed });
  if (ask.isStreamed) {
    let text = "";
    for await (const event of made) {
      if (event.type === "response.output_text.delta") text += event.delta;
    }
    return { text, tools: [] };
  }
  const called = made.output.filter((item) => item.type === "function_call");
  return { text: made.output_text, tools: called.map((call) => [call.name, call.arguments]) };
}
