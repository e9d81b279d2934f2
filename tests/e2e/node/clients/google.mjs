// Content by Google's SDK.

import { GoogleGenAI } from "@google/genai";

import { TOOL } from "../asking.mjs";

const RETRIES = { initialDelay: 0.01, jitter: 0.01 };

function read(answer, said) {
  for (const part of answer.candidates[0].content.parts ?? []) {
    if (part.functionCall) said.tools.push([part.functionCall.name, part.functionCall.args]);
    else if (!part.thought) said.text += part.text ?? "";
  }
}

export async function content(ask) {
  const { parameters, ...named } = TOOL;
  const offered = [{ functionDeclarations: [{ ...named, parametersJsonSchema: parameters }] }];
  const retryOptions = ask.tries ? { attempts: ask.tries + 1, ...RETRIES } : undefined;
  const { models } = new GoogleGenAI({ httpOptions: { baseUrl: ask.under(""), retryOptions } });
  const config = { maxOutputTokens: 64, tools: ask.hasTools ? offered : undefined };
  const asked = { model: ask.model, contents: ask.prompt, config };
  const said = { text: "", tools: [] };
  if (ask.isStreamed) {
    for await (const answer of await models.generateContentStream(asked)) read(answer, said);
  } else {
    read(await models.generateContent(asked), said);
  }
  return said;
}
