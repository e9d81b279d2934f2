// Every genuine npm SDK in one process, as a user's script: `node calls.mjs FILE`.
//
// The file has one JSON object a line (`case`, `base`, `model`); prints one for each: what the SDK
// made of the answer, or what it raised.

import { readFileSync } from "node:fs";

import { Ask } from "./asking.mjs";
import * as ai from "./clients/ai.mjs";
import * as anthropic from "./clients/anthropic.mjs";
import * as google from "./clients/google.mjs";
import * as openai from "./clients/openai.mjs";

const CALLS = {
  "npm-openai": openai.chat,
  "npm-openai-responses": openai.responses,
  "npm-anthropic": anthropic.messages,
  "npm-google-genai": google.content,
  "npm-ai": ai.chat,
  "npm-ai-responses": ai.responses,
};

async function made(ask) {
  try {
    return { raised: null, ...(await CALLS[ask.case.split(".")[0]](ask)) };
  } catch (error) {
    const status = error.status ?? error.statusCode ?? null;
    return { raised: error.constructor.name, status, message: error.message };
  }
}

for (const line of readFileSync(process.argv[2], "utf-8").split("\n")) {
  const ask = new Ask(JSON.parse(line));
  const began = performance.now();
  const said = await made(ask);
  const took_s = Math.round((performance.now() - began) / 10) / 100;
  process.stdout.write(`${JSON.stringify({ case: ask.case, took_s, ...said })}\n`);
}
