import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBreaker, defaultBreaker } from './breaker.ts';
import { createRetries, defaultRetry, isPassing, retryAfterMs } from './retry.ts';
import type { Failure, Situation } from './retry.ts';

const situation: Situation = { tried: 1, repeatable: true, idempotent: true, leftMs: Infinity, elsewhere: false };
const unavailable: Failure = { kind: 'status', status: 503, retryAfterMs: null };
const decide = (failure: Failure, more: Partial<Situation> = {}, settings = defaultRetry, random = () => 0.5) =>
  createRetries(settings, random).decide(failure, { ...situation, ...more }, 0);

describe('what is tried again', () => {
  it.each<[string, Failure, Partial<Situation>, boolean]>([
    ['a read that broke', { kind: 'broken' }, {}, true],
    ['a write that broke', { kind: 'broken' }, { idempotent: false }, false],
    ['a write that reached nobody', { kind: 'unreached' }, { idempotent: false }, true],
    ['a body that is gone', { kind: 'unreached' }, { repeatable: false }, false],
    ['a read that was answered 503', unavailable, {}, true],
    ['a write that was answered 503', unavailable, { idempotent: false }, false],
    [
      'a write that was told when to come back',
      { kind: 'status', status: 503, retryAfterMs: 0 },
      { idempotent: false },
      true,
    ],
    [
      'a write that was told so with 429',
      { kind: 'status', status: 429, retryAfterMs: 10 },
      { idempotent: false },
      true,
    ],
    [
      'a write that a gateway lost (502)',
      { kind: 'status', status: 502, retryAfterMs: 0 },
      { idempotent: false },
      false,
    ],
    ['an answer of 500', { kind: 'status', status: 500, retryAfterMs: null }, {}, false],
    ['an answer of 404', { kind: 'status', status: 404, retryAfterMs: 1 }, {}, false],
    ['the last try', unavailable, { tried: 3 }, false],
  ])('%s', (_, failure, more, retry) => expect(decide(failure, more).retry).toBe(retry));

  it('waits a random part of a time that doubles, and at another place not at all', () => {
    const waits = [1, 2, 3, 4, 9].map((tried) =>
      decide(unavailable, { tried }, { ...defaultRetry, tries: 10 }, () => 1 - 2 ** -52),
    );
    expect(waits.map((one) => one.retry && Math.round(one.afterMs))).toEqual([50, 100, 200, 400, 1_000]);
    expect(decide(unavailable, {}, defaultRetry, () => 0)).toEqual({ retry: true, afterMs: 0 });
    expect(decide(unavailable, { elsewhere: true })).toEqual({ retry: true, afterMs: 0 });
  });

  it('obeys Retry-After as long as its patience and its time last', () => {
    const told = (ms: number): Failure => ({ kind: 'status', status: 503, retryAfterMs: ms });
    expect(decide(told(1_000))).toEqual({ retry: true, afterMs: 1_025 });
    expect(decide(told(2_001))).toEqual({ retry: false, why: 'late' });
    expect(decide(told(1_000), { leftMs: 900 })).toEqual({ retry: false, why: 'late' });
    expect(decide(told(60_000), { elsewhere: true })).toEqual({ retry: true, afterMs: 0 });
  });
});

it('regression: where few ask, a place that dies is left alone before the retries are used up', () => {
  const retries = createRetries(defaultRetry);
  const breaker = createBreaker(defaultBreaker);
  let asked = 0;
  for (let now = 0; breaker.allows(now); now += 100) {
    asked++;
    retries.began(now);
    breaker.settle(breaker.enter(now), 'failed', now);
    expect(retries.decide({ kind: 'unreached' }, { ...situation, elsewhere: true }, now)).toMatchObject({
      retry: true,
    });
  }
  expect(asked).toBe(defaultBreaker.failures);
});

it('R10 retry-budget: whatever fails whenever, retries stay below a fifth of the requests, beside the reserve', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(300), { minLength: 1, maxLength: 400 }), (gaps) => {
      const retries = createRetries(defaultRetry, () => 0.5);
      const requests: number[] = [];
      const again: number[] = [];
      let now = 0;
      for (const gap of gaps) {
        retries.began((now += gap));
        requests.push(now);
        for (let tried = 1; retries.decide(unavailable, { ...situation, tried }, now).retry; tried++) again.push(now);
        const within = (list: readonly number[], ms: number) => list.filter((at) => at > now - ms).length;
        // The window is kept in tenths: what is in it is between 9 and 10 seconds old at most.
        expect(within(again, 9_000)).toBeLessThanOrEqual(
          Math.max(defaultRetry.reserve, within(requests, 10_000) * 0.2),
        );
      }
    }),
    { numRuns: 500 },
  );
});

it('knows what a Retry-After says', () => {
  const wall = Date.parse('2026-01-01T00:00:00Z');
  expect(retryAfterMs('3', wall)).toBe(3_000);
  expect(retryAfterMs('Thu, 01 Jan 2026 00:00:05 GMT', wall)).toBe(5_000);
  expect(retryAfterMs('Thu, 01 Jan 2015 00:00:05 GMT', wall)).toBe(0);
  expect([retryAfterMs(undefined, wall), retryAfterMs('soon', wall)]).toEqual([null, null]);
  expect([isPassing(503, null), isPassing(429, null), isPassing(429, 1), isPassing(500, 1)]).toEqual([
    ...[true, false, true, false],
  ]);
});
