import { describe, expect, it } from 'vitest';
import { Fault } from '#kernel/faults';
import { unitId } from '#kernel/ids';
import { inManner, inOrder, modelOf } from './models.ts';
import type { Manner, ModelChoice } from './models.ts';

const choice = (id: string, manner: Manner | null = null): ModelChoice => ({
  ...{ unit: unitId('model', id), id, provides: ['openai.chat'], manner },
});
const messages = [{ role: 'user', content: 'hi' }];
const shaped = (body: object, manner: Manner) => inManner({ messages, ...body }, choice('m', manner), 'openai.chat');

describe('a request in the manner of its model', () => {
  it('gets defaults where it says nothing, null being nothing', () => {
    const manner = { defaults: { temperature: 0.2, max_tokens: 50 } };
    expect(shaped({ model: 'x' }, manner)).toEqual({ model: 'm', messages, temperature: 0.2, max_tokens: 50 });
    expect(shaped({ temperature: 1, max_completion_tokens: 9, top_p: null }, manner)).toEqual({
      ...{ model: 'm', messages, temperature: 1, max_completion_tokens: 9 },
    });
  });

  it('keeps to limits: what says nothing gets them, what asks for more is refused by name', () => {
    const manner = { limits: { max_tokens: 100, n: 2 } };
    expect(shaped({}, manner).max_tokens).toBe(100);
    expect(shaped({ max_completion_tokens: 7 }, manner).max_tokens).toBeUndefined();
    expect(() => shaped({ max_completion_tokens: 101 }, manner)).toThrow(
      /max_completion_tokens is 101, and at most 100/,
    );
    expect(() => shaped({ n: 3 }, manner)).toThrow(Fault);
  });

  it('gets the prompt where it has no instructions of its own', () => {
    const manner = { prompt: 'Be brief.' };
    expect(shaped({}, manner).messages).toEqual([{ role: 'system', content: 'Be brief.' }, ...messages]);
    const own = [{ role: 'developer', content: 'Be long.' }, ...messages];
    expect(shaped({ messages: own }, manner).messages).toEqual(own);
    expect(inManner({ input: 'a' }, choice('m', manner), 'openai.embeddings')).toEqual({ model: 'm', input: 'a' });
  });

  it('must name a model', () => {
    expect(modelOf({ model: 'x' })).toBe('x');
    expect(() => modelOf({})).toThrow('"default" always works');
    expect(() => modelOf({ model: 3 })).toThrow('must be a string');
  });
});

describe('several models for one name', () => {
  const exchange = () => ({ answered: false, signal: new AbortController().signal });

  it('are tried in order while they cannot be brought up', async () => {
    const asked: string[] = [];
    const attempt = async ({ id }: ModelChoice) => {
      asked.push(id);
      if (id !== 'c') throw new Fault(id === 'a' ? 'START_FAILED' : 'NO_MEMORY', id);
      return id;
    };
    expect(await inOrder(exchange(), [choice('a'), choice('b'), choice('c'), choice('d')], attempt)).toBe('c');
    expect(asked).toEqual(['a', 'b', 'c']);
    await expect(inOrder(exchange(), [choice('a'), choice('b')], attempt)).rejects.toMatchObject({ code: 'NO_MEMORY' });
  });

  it('are tried when one fails or is left alone, and the last one says why', async () => {
    const codes = ['UPSTREAM_FAILED', 'CIRCUIT_OPEN', 'TIMEOUT'] as const;
    const asked: [string, boolean][] = [];
    const attempt = async ({ id }: ModelChoice, more: boolean) => {
      asked.push([id, more]);
      throw new Fault(codes[Number(id)] ?? 'INTERNAL', id);
    };
    const all = inOrder(exchange(), [choice('0'), choice('1'), choice('2')], attempt);
    await expect(all).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(asked).toEqual([
      ['0', true],
      ['1', true],
      ['2', false],
    ]);
  });

  it('are not tried once an answer has begun, or when its client has left', async () => {
    const fail = async () => {
      throw new Fault('UPSTREAM_FAILED', 'broken');
    };
    const begun = { ...exchange(), answered: true };
    const left = { ...exchange(), signal: AbortSignal.abort() };
    for (const one of [begun, left]) {
      let asked = 0;
      const attempt = () => (asked++, fail());
      await expect(inOrder(one, [choice('a'), choice('b')], attempt)).rejects.toMatchObject({
        code: 'UPSTREAM_FAILED',
      });
      expect(asked).toBe(1);
    }
  });

  it('are not for what the first one answered with', async () => {
    let asked = 0;
    const attempt = async () => {
      asked++;
      throw new Fault('BAD_REQUEST', 'no');
    };
    await expect(inOrder(exchange(), [choice('a'), choice('b')], attempt)).rejects.toMatchObject({
      code: 'BAD_REQUEST',
    });
    expect(asked).toBe(1);
  });
});
