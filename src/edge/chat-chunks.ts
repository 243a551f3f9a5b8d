import { isRecord } from '#kernel/json';

/** A call of a tool in an answer, or a piece of one: the id and the name come in the first. */
export interface CallPiece {
  readonly index: number;
  readonly id: string | undefined;
  readonly name: string | undefined;
  readonly json: string;
}

export interface ChatUsage {
  readonly input: number;
  readonly output: number;
  /** Of the input, what the engine had evaluated before. */
  readonly cached: number;
}

/** What one object of an OpenAI chat answer says, whole or a chunk of a stream, of its first choice. */
export interface ChatPiece {
  readonly text: string;
  /** What a model that reasons aloud says before its answer, where the engine tells the two apart. */
  readonly reasoning: string;
  readonly calls: readonly CallPiece[];
  /** Why it ended; null while it goes on. */
  readonly reason: string | null;
  /** The stop string that ended it, where the engine says so. */
  readonly stoppedBy: string | null;
  readonly usage: ChatUsage | null;
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
const countOf = (value: unknown): number => (typeof value === 'number' && value >= 0 ? value : 0);
const optional = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;

/** Engines differ in what they leave out: what is missing is nothing. */
export function readPiece(object: Readonly<Record<string, unknown>>): ChatPiece {
  const choices = Array.isArray(object.choices) ? (object.choices as unknown[]) : [];
  const choice = isRecord(choices[0]) ? choices[0] : {};
  const said = isRecord(choice.delta) ? choice.delta : isRecord(choice.message) ? choice.message : {};
  const calls = Array.isArray(said.tool_calls) ? (said.tool_calls as unknown[]) : [];
  return {
    // Plain completions have their text at the choice.
    text: textOf(said.content ?? choice.text),
    reasoning: textOf(said.reasoning_content),
    calls: calls.filter(isRecord).map((call, place) => readCall(call, place)),
    reason: typeof choice.finish_reason === 'string' ? choice.finish_reason : null,
    stoppedBy: typeof choice.stop_reason === 'string' ? choice.stop_reason : null,
    usage: isRecord(object.usage) ? readUsage(object.usage) : null,
  };
}

function readCall(call: Readonly<Record<string, unknown>>, place: number): CallPiece {
  const named = isRecord(call.function) ? call.function : {};
  return {
    index: typeof call.index === 'number' ? call.index : place,
    id: optional(call.id),
    name: optional(named.name),
    json: textOf(named.arguments),
  };
}

function readUsage(usage: Readonly<Record<string, unknown>>): ChatUsage {
  const details = isRecord(usage.prompt_tokens_details) ? usage.prompt_tokens_details : {};
  return {
    input: countOf(usage.prompt_tokens),
    output: countOf(usage.completion_tokens),
    cached: countOf(details.cached_tokens),
  };
}

/** The arguments of a call as an object: none where the model wrote no JSON object. */
export function parseArguments(json: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(json);
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}
