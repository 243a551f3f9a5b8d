import type { ApiModel } from '#contracts/api';
import { Fault, toFault } from '#kernel/faults';
import type { UnitId } from '#kernel/ids';
import { isRecord } from '#kernel/json';
import type { Exchange } from './exchange.ts';
import { bad } from './fields.ts';

/** What the configuration adds to requests for a name. Parameters as OpenAI calls them. */
export interface Manner {
  /** Used where a request says nothing. */
  readonly defaults?: Readonly<Record<string, unknown>>;
  readonly limits?: { readonly max_tokens?: number; readonly n?: number };
  /** Put first where a conversation has no instructions of its own. */
  readonly prompt?: string;
}

/** A model that may answer a request. */
export interface ModelChoice {
  readonly unit: UnitId;
  /** Its id in the catalogue. */
  readonly id: string;
  /** What its engine can do with it: `openai.chat`. */
  readonly provides: readonly string[];
  /** Null when requests go on as they are. */
  readonly manner: Manner | null;
  /** Its name where it is, for one that is asked there without a process here. */
  readonly remote?: string;
}

/** A name of the configuration's own. */
export interface NamedModels {
  readonly name: string;
  /** Ids of models. */
  readonly first: readonly string[];
}

export interface ModelDirectory {
  /**
   * The models that a name stands for, the best first: by id, alias, `default` or a name of the configuration's. Throws
   * NOT_FOUND (param `model`) with the nearest names, NOT_SUPPORTED when none of their engines can do what is asked.
   */
  choose(name: string, capability: Capability): readonly ModelChoice[];
  /** Throws NOT_FOUND as `choose` does. Of several models the best one. */
  unit(name: string): UnitId;
  /** What the engine of the model of this id can do with it. */
  providedBy(id: string): readonly string[];
  list(): readonly ApiModel[];
  names(): readonly NamedModels[];
}

export type Capability = 'openai.chat' | 'openai.completions' | 'openai.embeddings' | 'jina.rerank';

/** What a model can do, in the words of Ollama's API. */
export const capabilitiesOf = (provides: readonly string[]): string[] => [
  ...(provides.includes('openai.chat') ? ['completion', 'tools'] : []),
  ...(provides.includes('openai.vision') ? ['vision'] : []),
  ...(provides.includes('openai.embeddings') ? ['embedding'] : []),
  ...(provides.includes('jina.rerank') ? ['rerank'] : []),
];

/** The parameter model of a body, or BAD_REQUEST. */
export function modelOf({ model }: Readonly<Record<string, unknown>>): string {
  if (model === undefined || model === null)
    throw bad('model', 'The parameter model is missing. "default" always works.');
  if (typeof model !== 'string') throw bad('model', 'The parameter model must be a string.');
  return model;
}

const unable: ReadonlySet<string> = new Set([
  'START_FAILED',
  'NO_MEMORY',
  'CIRCUIT_OPEN',
  'UPSTREAM_FAILED',
  'TIMEOUT',
]);

/** Whether another one may do what this one could not. That too many ask is the caller's to hear, unless it is said elsewhere. */
const goesOn = ({ code, source }: Fault): boolean =>
  unable.has(code) || (code === 'QUEUE_FULL' && source === 'upstream');

/**
 * Tries one after the other, for as long as they cannot be brought up or fail, and nothing of an answer went to the client.
 * `more` says whether another one would be tried.
 */
export function inOrder<T, C = ModelChoice>(
  exchange: Pick<Exchange, 'answered' | 'signal'>,
  choices: readonly C[],
  attempt: (choice: C, more: boolean) => Promise<T>,
): Promise<T> {
  const [only] = choices;
  return choices.length === 1 && only ? attempt(only, false) : oneByOne(exchange, choices, attempt);
}

async function oneByOne<T, C>(
  exchange: Pick<Exchange, 'answered' | 'signal'>,
  choices: readonly C[],
  attempt: (choice: C, more: boolean) => Promise<T>,
): Promise<T> {
  for (const [index, choice] of choices.entries()) {
    try {
      return await attempt(choice, index < choices.length - 1);
    } catch (error) {
      const isOver = index === choices.length - 1 || exchange.answered || exchange.signal.aborted;
      if (isOver || !goesOn(toFault(error))) throw error;
    }
  }
  throw new Fault('NOT_FOUND', 'No model is left to ask.', { param: 'model' });
}

/** A body in OpenAI's API as it goes to this model: with what the configuration adds. Throws BAD_REQUEST over a limit. */
export function inManner(
  body: Readonly<Record<string, unknown>>,
  { id, manner, remote = id }: Pick<ModelChoice, 'id' | 'manner' | 'remote'>,
  capability: Capability,
): Record<string, unknown> {
  const named = { ...body, model: remote };
  if (!manner || capability === 'openai.embeddings' || capability === 'jina.rerank') return named;
  const { defaults = {}, limits = {}, prompt } = manner;
  const said = Object.fromEntries(Object.entries(named).filter(([, value]) => value !== null && value !== undefined));
  const full = { ...withoutTwins(defaults, said), ...said };
  return withPrompt(limited(full, limits), prompt);
}

/** Two names for the same: who gives one of them has given the other. */
function withoutTwins(
  defaults: Readonly<Record<string, unknown>>,
  said: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const rest = { ...defaults };
  if (said.max_completion_tokens !== undefined) delete rest.max_tokens;
  return rest;
}

function limited(
  body: Record<string, unknown>,
  { max_tokens: most, n }: NonNullable<Manner['limits']>,
): Record<string, unknown> {
  const over = (param: string, limit: number | undefined) => {
    const value = body[param];
    if (limit === undefined || typeof value !== 'number' || value <= limit) return;
    throw bad(param, `${param} is ${value}, and at most ${limit} for this model (models in sutaz.yaml).`);
  };
  over('max_tokens', most);
  over('max_completion_tokens', most);
  over('n', n);
  const open = body.max_tokens === undefined && body.max_completion_tokens === undefined;
  return open && most !== undefined ? { ...body, max_tokens: most } : body;
}

function withPrompt(body: Record<string, unknown>, prompt: string | undefined): Record<string, unknown> {
  const { messages } = body;
  if (prompt === undefined || !Array.isArray(messages)) return body;
  const own = messages.some((message) => isRecord(message) && ['system', 'developer'].includes(String(message.role)));
  return own ? body : { ...body, messages: [{ role: 'system', content: prompt }, ...(messages as unknown[])] };
}
