// What a call of the matrix asks of an SDK: the same words as `tests/e2e/sdk_asking.py`.

const parameters = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
};

/** The tool that is offered, as each format names it. */
export const TOOL = { name: "weather", description: "The weather.", parameters };

/** One call: `case` is `CLIENT.KIND.MODE.VIA`; without a base the SDK reads its own variables. */
export class Ask {
  constructor({ case: name, base, model }) {
    Object.assign(this, { case: name, base, model });
    this.kind = name.split(".")[1];
  }

  get prompt() {
    return `case:${this.case}`;
  }

  get messages() {
    return [{ role: "user", content: this.prompt }];
  }

  /** How often the SDK may try again. */
  get tries() {
    return this.kind === "retry" ? 2 : 0;
  }

  get isStreamed() {
    return this.kind === "stream" || this.kind === "refused-stream";
  }

  get hasTools() {
    return this.kind === "tools";
  }

  /** The address of the teacher, with what the SDK wants behind it. */
  under(path) {
    return this.base ? this.base + path : undefined;
  }
}
