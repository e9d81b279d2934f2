// Texts by the AI SDK, with OpenAI's provider: its chats, and the responses that it asks for by itself.

import { createOpenAI } from "@ai-sdk/openai";
import { generateText, jsonSchema, streamText, tool } from "ai";

import { TOOL } from "../asking.mjs";

async function text(ask, model) {
  const weather = tool({
    description: TOOL.description,
    inputSchema: jsonSchema(TOOL.parameters),
  });
  const tools = ask.hasTools ? { tools: { [TOOL.name]: weather } } : {};
  const asked = { model, prompt: ask.prompt, maxOutputTokens: 64, maxRetries: ask.tries, ...tools };
  if (ask.isStreamed) {
    let failed;
    const made = streamText({ ...asked, onError: ({ error }) => (failed = error) });
    let said = "";
    for await (const words of made.textStream) said += words;
    // The stream of words ends quietly: what went wrong is told to `onError` alone.
    if (failed) throw failed;
    return { text: said, tools: [] };
  }
  const made = await generateText(asked);
  return { text: made.text, tools: made.toolCalls.map((call) => [call.toolName, call.input]) };
}

const provider = (ask) => createOpenAI({ baseURL: ask.under("/v1") });

export const chat = (ask) => text(ask, provider(ask).chat(ask.model));
export const responses = (ask) => text(ask, provider(ask)(ask.model));
