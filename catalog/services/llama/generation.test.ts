import { describe, expect, it } from 'vitest';
import type { Tool } from './contract.ts';
import { createFakeEngine } from './engine.fake.ts';
import { generation, type GenerationEvent, type GenerationOptions } from './generation.ts';
import { createSlotPool } from './slots.ts';

const sampling = {
  ...{ temperature: 1, topP: 1, topK: 0, minP: 0, seed: 1, repeatPenalty: 1 },
  ...{ frequencyPenalty: 0, presencePenalty: 0, logitBias: new Map<number, number>() },
};
const schema = { type: 'object', properties: { city: { type: 'string' } } };
const weather: Tool = { name: 'weather', parameters: schema, grammar: schema, param: 'tools[0]' };
const time: Tool = { name: 'time', parameters: {}, grammar: null, param: 'tools[1]' };

function begin(
  tools: readonly Tool[],
  more: Partial<GenerationOptions> = {},
  forced = false,
  most = 16,
  marker?: string,
) {
  const engine = createFakeEngine({ slots: 1, contextTokens: 300 });
  const pool = createSlotPool({ slots: 1, maxWaiting: 1, held: () => [] });
  const rendered = engine.renderChat([{ role: 'user', text: 'q' }], tools);
  const { syntax } = rendered;
  const prompt = { ...rendered, ...(syntax && { syntax: { ...syntax, marker: marker ?? syntax.marker } }) };
  const options = {
    ...{ maxTokens: undefined, stops: [], sampling, shape: { kind: 'text' } as const },
    ...(tools.length > 0 && { toolUse: { tools, forced, most } }),
    ...more,
  };
  const events = generation({ engine, pool, now: () => 0 }, prompt, options, new AbortController().signal);
  const seen: GenerationEvent[] = [];
  const done = (async () => {
    for await (const event of events) seen.push(event);
  })();
  const pieces = () => seen.filter(({ kind }) => kind !== 'started' && kind !== 'done');
  return { engine, pool, events, done, pieces, reason: () => seen.find((event) => event.kind === 'done')?.reason };
}

/** What the model says in its next pass. */
async function say(engine: ReturnType<typeof createFakeEngine>, ...tokens: readonly string[]) {
  const run = await engine.nextRun();
  for (const token of tokens) run.token(token);
  run.end();
  return run;
}

describe('an answer with tools', () => {
  it('is plain text where the model calls nothing', async () => {
    const { engine, done, pieces, reason } = begin([weather]);
    await say(engine, 'He', 'llo <ca');
    await done;
    expect(pieces()).toEqual([
      { kind: 'text', text: 'He' },
      { kind: 'text', text: 'llo ' },
      { kind: 'text', text: '<ca' },
    ]);
    expect(reason()).toBe('stop');
  });

  it('becomes a call where the model begins one: a name that exists, arguments by its schema, perhaps another', async () => {
    const { engine, done, pieces, reason } = begin([weather, time]);
    await say(engine, 'Let me see.<ca', 'll>somewhere');
    const choice = await say(engine, 'w');
    expect(choice.shape).toEqual({ kind: 'choice', options: ['weather', 'time'] });
    expect(choice.text).toBe('user:q\nLet me see.<call>');
    const argued = await say(engine, '{"city":', '"Rome"}', '\n\n');
    expect(argued.shape).toEqual({ kind: 'schema', schema, param: 'tools[0]' });
    expect(argued.text).toBe('user:q\nLet me see.<call>weather(');
    expect((await say(engine, '\n', '<call>')).text).toBe('user:q\nLet me see.<call>weather({"city":"Rome"})');
    await say(engine, 'time');
    await say(engine, 'And so on');
    await done;
    expect(pieces()).toEqual([
      { kind: 'text', text: 'Let me see.' },
      { kind: 'call', index: 0, name: 'weather' },
      { kind: 'arguments', index: 0, text: '{"city":' },
      { kind: 'arguments', index: 0, text: '"Rome"}' },
      { kind: 'call', index: 1, name: 'time' },
      { kind: 'arguments', index: 1, text: '{}' },
    ]);
    expect(reason()).toBe('tool_calls');
  });

  const json = { kind: 'json' } as const;

  it('keeps to the form that is asked for where the model calls nothing', async () => {
    const { engine, done, pieces, reason } = begin([weather], { shape: json });
    const run = await say(engine, '{"a":', ' {}', '}\n', '\n');
    expect(run.shape).toEqual({ kind: 'callOr', openings: ['<call>'], form: json });
    await done;
    expect(pieces()).toEqual([
      { kind: 'text', text: '{"a":' },
      { kind: 'text', text: ' {}' },
      { kind: 'text', text: '}' },
    ]);
    expect(reason()).toBe('stop');
  });

  it('calls instead of answering in the form, and is asked for nothing more in it after that', async () => {
    const { engine, done, pieces, reason } = begin([weather], { shape: json });
    await say(engine, '<ca', 'll>{');
    expect((await say(engine, '{}')).shape).toMatchObject({ kind: 'schema' });
    expect((await say(engine, 'Done.')).shape).toEqual({ kind: 'text' });
    await done;
    expect(pieces().map(({ kind }) => kind)).toEqual(['call', 'arguments']);
    expect(reason()).toBe('tool_calls');
  });

  it('tells a call from an answer by the name of the tool where both are JSON', async () => {
    const marker = '{"name": "';
    const called = begin([weather, time], { shape: json }, false, 1, marker);
    expect((await say(called.engine, '{"name": "we', 'ather')).shape).toMatchObject({
      openings: ['{"name": "weather', '{"name": "time'],
    });
    await say(called.engine, 'weather');
    await say(called.engine, '{}');
    await called.done;
    expect(called.reason()).toBe('tool_calls');
    const answered = begin([weather, time], { shape: json }, false, 1, marker);
    await say(answered.engine, '{"name": "wea', 'ver"}');
    await answered.done;
    expect(answered.pieces()).toEqual([{ kind: 'text', text: '{"name": "weaver"}' }]);
  });

  it('begins with a call where one is forced, and makes only one where only one may be', async () => {
    const { engine, done, pieces, reason } = begin([weather], {}, true, 1);
    expect((await say(engine, '{}')).text).toBe('user:q\n<call>weather(');
    await done;
    expect(pieces().map(({ kind }) => kind)).toEqual(['call', 'arguments']);
    expect(reason()).toBe('tool_calls');
  });

  it('ends with length where the arguments have no room', async () => {
    const { engine, done, reason } = begin([weather], { maxTokens: 2 }, true);
    await say(engine, '{"city"', ':"R', 'ome"}');
    await done;
    expect(reason()).toBe('length');
  });

  it.each([0, 1, 2])('gives its slot back when it is left in pass %i', async (passes) => {
    const { engine, pool, events, done } = begin([weather, time], {}, true);
    const answers = [['w'], ['{}']];
    for (let pass = 0; pass < passes; pass++) await say(engine, ...(answers[pass] ?? []));
    const run = await engine.nextRun();
    run.fail(new Error('left'));
    await expect(done).rejects.toThrow('left');
    await events.return(undefined);
    expect(pool.stats()).toEqual({ total: 1, busy: 0, waiting: 0 });
    expect(engine.finished()).toBe(passes + 1);
  });

  it('leaves the engine when its reader leaves in the middle of arguments', async () => {
    const engine = createFakeEngine({ slots: 1, contextTokens: 300 });
    const pool = createSlotPool({ slots: 1, maxWaiting: 1, held: () => [] });
    const prompt = engine.renderChat([{ role: 'user', text: 'q' }], [weather]);
    const toolUse = { tools: [weather], forced: true, most: 1 };
    const options = { maxTokens: undefined, stops: [], sampling, shape: { kind: 'text' } as const, toolUse };
    const events = generation({ engine, pool, now: () => 0 }, prompt, options, new AbortController().signal);
    void engine.nextRun().then((run) => run.token('{'));
    for await (const event of events) if (event.kind === 'arguments') break;
    expect(engine.finished()).toBe(1);
    expect(pool.stats().busy).toBe(0);
  });
});
