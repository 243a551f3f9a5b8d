import type { CallSyntax, Engine, Form, Likelihood, Prompt, Said, Sampling } from './contract.ts';
import { contextExceeded } from './errors.ts';
import { run, type Pass, type PassEnd } from './pass.ts';
import type { SlotPool } from './slots.ts';
import type { ToolUse } from './tools.ts';

export interface GenerationOptions {
  /** Tokens to generate at most; undefined: as many as the context has room for. */
  readonly maxTokens: number | undefined;
  readonly stops: readonly string[];
  readonly sampling: Sampling;
  readonly shape: { readonly kind: 'text' } | Form;
  readonly toolUse?: ToolUse | undefined;
  /** Tells of each token of its text how likely it was, beside so many others. */
  readonly likelihoods?: number | undefined;
  /** Called for each token as it is generated. */
  readonly onToken?: () => void;
}

export interface Usage {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
}

/** What an answer is made of, as it comes. Calls are counted from 0. */
export type Piece =
  | { readonly kind: 'text'; readonly text: string; readonly likelihoods?: readonly Likelihood[] }
  | { readonly kind: 'call'; readonly index: number; readonly name: string }
  | { readonly kind: 'arguments'; readonly index: number; readonly text: string };

export type GenerationEvent =
  /** A slot was granted: from here on the request is being worked on. */
  | { readonly kind: 'started'; readonly slot: number }
  | Piece
  | {
      readonly kind: 'done';
      readonly reason: 'stop' | 'length' | 'tool_calls';
      /** The client's stop string that ended it, where one did. */
      readonly stoppedBy?: string | undefined;
      readonly usage: Usage;
      readonly timing: Timing;
    };

/** Milliseconds. */
export interface Timing {
  readonly waited: number;
  readonly prompt: number;
  readonly generation: number;
}

export interface GenerationHost {
  readonly engine: Engine;
  readonly pool: SlotPool;
  readonly now: () => number;
}

/** @throws `context_length_exceeded` where the prompt leaves no room for even one token. */
export function checkFits(engine: Engine, prompt: Prompt, param: string): void {
  if (prompt.tokens.length >= engine.contextTokens) {
    throw contextExceeded(engine.contextTokens, prompt.tokens.length, param);
  }
}

// The longest tokens in use are runs of spaces of 128 or 256 characters.
const longestToken = 512;

/** Refuses what cannot fit whatever its tokens are: finding the tokens of megabytes would hold up every other stream. */
export function checkLength(limitTokens: number, characters: number, param: string): void {
  const least = Math.ceil(characters / longestToken);
  if (least > limitTokens) throw contextExceeded(limitTokens, least, param, true);
}

type Reason = 'stop' | 'length' | 'tool_calls';

/**
 * One answer, from waiting for a slot to its last token. The slot is given back however this ends; a consumer that
 * stops iterating ends the generation.
 */
export async function* generation(
  { engine, pool, now }: GenerationHost,
  prompt: Prompt,
  options: GenerationOptions,
  signal: AbortSignal,
): AsyncGenerator<GenerationEvent, void, void> {
  const asked = now();
  const slot = await pool.acquire(prompt.tokens, signal);
  try {
    const granted = now();
    yield { kind: 'started', slot: slot.id };
    let cachedTokens: number | undefined;
    let completionTokens = 0;
    let evaluated: number | undefined;
    // Of tokens whose text is not told yet: it may still become a stop string.
    let untold: Likelihood[] = [];
    let stoppedBy: string | undefined;
    const meter = {
      // Later passes of one answer find what the earlier ones left: that is not what the client's prompt was spared.
      cached: (tokens: number) => void (cachedTokens ??= tokens),
      token(likelihood: Likelihood | undefined) {
        completionTokens++;
        options.onToken?.();
        if (likelihood) untold.push(likelihood);
        evaluated ??= now();
      },
    };
    const ends = (by: string) => void (stoppedBy = options.stops.includes(by) ? by : undefined);
    const begin = (pass: Partial<Pass> & Pick<Pass, 'tokens'>) => {
      const room = engine.contextTokens - pass.tokens.length;
      const limit = Math.min((options.maxTokens ?? Infinity) - completionTokens, room);
      const { sampling, shape, likelihoods } = options;
      return run(
        engine,
        slot.id,
        { sampling, shape, likelihoods, stops: [], ...pass, limit },
        { ...meter, stopped: ends },
        signal,
      );
    };
    const { toolUse } = options;
    const { syntax } = prompt;
    const stops = [...options.stops, ...prompt.stops];
    const say = (text: string): Piece => {
      const likelihoods = untold;
      untold = [];
      return { kind: 'text', text, ...(options.likelihoods === undefined ? {} : { likelihoods }) };
    };
    const reason =
      toolUse && syntax
        ? yield* calling(begin, say, { ...toolUse, syntax, form: options.shape }, prompt.tokens, stops)
        : yield* texts(begin({ tokens: prompt.tokens, stops }), say);
    const started = evaluated ?? now();
    yield {
      kind: 'done',
      reason,
      stoppedBy: reason === 'stop' ? stoppedBy : undefined,
      usage: { promptTokens: prompt.tokens.length, cachedTokens: cachedTokens ?? 0, completionTokens },
      timing: { waited: granted - asked, prompt: started - granted, generation: now() - started },
    };
  } finally {
    slot.release();
  }
}

type Running = AsyncGenerator<string, PassEnd, void>;
type Begin = (pass: Partial<Pass> & Pick<Pass, 'tokens'>) => Running;

type Say = (text: string) => Piece;

async function* texts(running: Running, say: Say): AsyncGenerator<Piece, Reason, void> {
  const { end } = yield* told(running, say);
  return end === 'length' ? 'length' : 'stop';
}

/** Hands the text on in pieces, and returns it whole with its end. */
async function* told(running: Running, piece: Say) {
  let text = '';
  try {
    for (;;) {
      const next = await running.next();
      if (next.done) return { text, end: next.value };
      text += next.value;
      yield piece(next.value);
    }
  } finally {
    // Left early, or over already: then it does nothing.
    await running.return('stop');
  }
}

/**
 * An answer that may call tools.
 * 1. Unless a call is forced the model says what it likes, in the form that is asked for, until it writes what a call
 *    begins with.
 * 2. From there on it has no choice but of a name that exists, and of arguments that its schema allows.
 * 3. After a call it may go on with another one; anything else it would say ends the answer.
 */
async function* calling(
  begin: Begin,
  say: Say,
  { tools, forced, most, syntax, form }: Calling,
  prompt: readonly number[],
  stops: readonly string[],
): AsyncGenerator<Piece, Reason, void> {
  let said: Said = { text: '', calls: [] };
  const tokens = (open?: string) => [...prompt, ...syntax.tokens(open === undefined ? said : { ...said, open })];
  if (!forced) {
    const first = begin({ tokens: prompt, stops, ...freely(form, syntax, tools) });
    const { text, end } = yield* told(first, say); // 1
    if (end !== 'marker') return end === 'length' ? 'length' : 'stop';
    said = { text, calls: [] };
  }
  for (let index = 0; ; index++) {
    const name = await chosenName(begin, tokens(''), tools); // 2
    const tool = tools.find((one) => one.name === name);
    if (!tool) return 'length';
    yield { kind: 'call', index, name };
    const json = yield* argued(begin, tokens(name), tool, index);
    if (json === undefined) return 'length';
    said = { ...said, calls: [...said.calls, { name, json }] };
    if (index + 1 >= most || !(await goesOn(begin({ tokens: tokens(), stops, ...freely(plain, syntax, tools) }))))
      return 'tool_calls'; // 3
  }
}

interface Calling extends ToolUse {
  readonly syntax: CallSyntax;
  readonly form: GenerationOptions['shape'];
}

const plain = { kind: 'text' } as const;

/** A text that may become a call. */
function freely(form: GenerationOptions['shape'], { marker }: CallSyntax, tools: ToolUse['tools']) {
  if (form.kind === 'text') return { shape: form, markers: [marker] };
  // Where calls are written as JSON an answer in the form may begin like one: the name of a tool tells them apart.
  const openings = marker.startsWith('{') ? tools.map(({ name }) => marker + name) : [marker];
  return { shape: { kind: 'callOr', openings, form } as const, markers: openings };
}

async function chosenName(begin: Begin, tokens: readonly number[], tools: ToolUse['tools']): Promise<string> {
  const options = tools.map(({ name }) => name);
  if (options.length === 1) return options[0] ?? '';
  let name = '';
  for await (const text of begin({ tokens, shape: { kind: 'choice', options } })) name += text;
  return name;
}

/** The arguments of a call as they come; undefined when there was no room for all of them. */
async function* argued(
  begin: Begin,
  tokens: readonly number[],
  { grammar: schema, param }: ToolUse['tools'][number],
  index: number,
): AsyncGenerator<Piece, string | undefined, void> {
  const piece = (text: string): Piece => ({ kind: 'arguments', index, text });
  if (schema === null) {
    yield piece('{}');
    return '{}';
  }
  const { text, end } = yield* told(begin({ tokens, shape: { kind: 'schema', schema, param } }), piece);
  return end === 'length' ? undefined : text;
}

async function goesOn(running: Running): Promise<boolean> {
  try {
    for (;;) {
      const next = await running.next();
      if (next.done) return next.value === 'marker';
      if (next.value.trim() !== '') return false;
    }
  } finally {
    await running.return('stop');
  }
}
