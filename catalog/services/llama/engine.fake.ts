import type { Engine, EngineEvent, Likelihood, Said, Sampling, Shape } from './contract.ts';

/** One generation of the fake, moved on by the test: nothing comes until it is told. */
export interface FakeRun {
  readonly slot: number;
  readonly prompt: readonly number[];
  /** The prompt as text. */
  readonly text: string;
  readonly sampling: Sampling;
  readonly shape: Shape;
  readonly signal: AbortSignal;
  token(text: string, likelihood?: Likelihood): void;
  end(): void;
  fail(error: Error): void;
}

export interface FakeEngine extends Engine {
  /** The next generation to begin, in order. */
  nextRun(): Promise<FakeRun>;
  /** How many generations have been left, by whatever way. */
  readonly finished: () => number;
}

type Step = { readonly event: EngineEvent } | { readonly error: Error };

/** Calls as this engine's template writes them. */
export const written = ({ text, calls, open }: Said): string =>
  text +
  calls.map(({ name, json }) => `<call>${name}(${json})`).join('') +
  (open === undefined ? '' : open === '' ? '<call>' : `<call>${open}(`);

const tokenize = (text: string) => [...text].map((char) => char.codePointAt(0) ?? 0);

const renderChat: Engine['renderChat'] = (messages, tools = []) => ({
  tokens: tokenize(messages.map(({ role, text }) => `${role}:${text}\n`).join('')),
  stops: ['<end>'],
  ...(tools.length > 0 && { syntax: { marker: '<call>', tokens: (said: Said) => tokenize(written(said)) } }),
});

/** An engine whose tokens are the characters of a text, and whose answers the test dictates. */
export function createFakeEngine(options: { slots?: number; contextTokens?: number } = {}): FakeEngine {
  const slots = options.slots ?? 2;
  const held = new Map<number, readonly number[]>();
  const begun: FakeRun[] = [];
  const wanted: ((run: FakeRun) => void)[] = [];
  let finished = 0;

  const announce = (run: FakeRun) => {
    const taker = wanted.shift();
    if (taker) taker(run);
    else begun.push(run);
  };

  async function* generate(
    slot: number,
    prompt: readonly number[],
    request: { readonly sampling: Sampling; readonly shape: Shape },
    signal: AbortSignal,
  ): AsyncGenerator<EngineEvent> {
    const steps: Step[] = [];
    let wake: (() => void) | undefined;
    const push = (step: Step) => {
      steps.push(step);
      wake?.();
    };
    signal.addEventListener('abort', () => wake?.(), { once: true });
    const end = () => push({ event: { kind: 'end', text: '' } });
    const token = (text: string, likelihood?: Likelihood) =>
      push({ event: { kind: 'token', text, ...(likelihood && { likelihood }) } });
    announce({
      ...request,
      slot,
      prompt,
      text: String.fromCodePoint(...prompt),
      signal,
      token,
      end,
      fail: (error) => push({ error }),
    });
    try {
      yield { kind: 'prompt', cachedTokens: 0 };
      for (;;) {
        signal.throwIfAborted();
        const step = steps.shift();
        if (!step) {
          await new Promise<void>((resolve) => (wake = resolve));
          continue;
        }
        if ('error' in step) throw step.error;
        yield step.event;
        if (step.event.kind === 'end') return;
      }
    } finally {
      held.set(slot, prompt);
      finished++;
    }
  }

  return {
    slots,
    contextTokens: options.contextTokens ?? 100,
    embeddingTokens: 10,
    vocabulary: 0x11_0000,
    generates: true,
    batchTokens: 8,
    threads: 1,
    renderChat,
    renderText: (text) => ({ tokens: tokenize(text), stops: [] }),
    tokenize,
    held: (slot) => held.get(slot) ?? [],
    generate: (slot, prompt, { sampling, shape }, signal) => generate(slot, prompt, { sampling, shape }, signal),
    embeddingLength: (tokens) => Promise.resolve(tokens.length),
    embed: (tokens) => Promise.resolve([3 * tokens.length, 4 * tokens.length]),
    memory: () => ({ modelBytes: 1, contextBytes: 2, embeddingBytes: 0 }),
    close: () => Promise.resolve(),
    nextRun: () => {
      const ready = begun.shift();
      return ready ? Promise.resolve(ready) : new Promise((resolve) => wanted.push(resolve));
    },
    finished: () => finished,
  };
}
