// Messages by Anthropic's SDK.

import Anthropic from "@anthropic-ai/sdk";

import { TOOL } from "../asking.mjs";

export async function messages(ask) {
  const { parameters, ...named } = TOOL;
  const tools = ask.hasTools ? { tools: [{ ...named, input_schema: parameters }] } : {};
  const asked = { model: ask.model, messages: ask.messages, max_tokens: 64, ...tools };
  const client = new Anthropic({ baseURL: ask.under(""), maxRetries: ask.tries });
  if (ask.isStreamed) {
    let text = "";
    for await (const event of client.messages.stream(asked)) {
      if (event.type === "content_block_delta") text += event.delta.text ?? "";
    }
    return { text, tools: [] };
  }
  const { content } = await client.messages.create(asked);
  const words = content.filter((block) => block.type === "text").map((block) => block.text);
  const called = content.filter((block) => block.type === "tool_use");
  return { text: words.join(""), tools: called.map((call) => [call.name, call.input]) };
}
