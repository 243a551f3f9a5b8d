import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBreaker, noPass } from './breaker.ts';
import type { Breaker, BreakerSettings, Outcome, Pass } from './breaker.ts';

const settings: BreakerSettings = {
  ...{ failures: 3, rate: 0.5, atLeast: 8, windowMs: 1_000, openMs: 100, mostOpenMs: 350 },
};
/** Failures are the usual thing here: else hardly a schedule would open it. */
const outcomes: readonly Outcome[] = ['failed', 'failed', 'failed', 'failed', 'failed', 'ok', 'loading', 'left'];

/** More of them by hand: `RUNS=100000 vitest run --project unit src/resilience`. */
const runs = Number(process.env['RUNS'] ?? 10_000);

/** What a breaker promises, said as plainly as possible: lists instead of numbers that are kept up to date. */
function modelBreaker() {
  let state: 'closed' | 'open' = 'closed';
  let counted: { readonly slice: number; readonly failed: boolean }[] = [];
  let inRow = 0;
  let [until, lastMs] = [0, 0];
  let probe: object | null = null;
  let life = {};
  const open = (ms: number, now: number) => {
    [state, until, lastMs, probe, life] = ['open', now + ms, ms, null, {}];
  };
  return {
    isOpenUntil: () => (state === 'open' ? until : 0),
    enter(now: number): object | null {
      if (state === 'closed') return life;
      if (now < until || probe) return null;
      return (probe = {});
    },
    settle(pass: object, outcome: Outcome, now: number) {
      if (pass === probe) {
        probe = null;
        if (outcome === 'failed') open(Math.min(lastMs * 2, settings.mostOpenMs), now);
        if (outcome === 'ok') [state, life, inRow, counted] = ['closed', {}, 0, []];
      } else if (pass === life && state === 'closed' && (outcome === 'ok' || outcome === 'failed')) {
        const slice = Math.floor(now / (settings.windowMs / 10));
        counted = [...counted.filter((one) => one.slice > slice - 10), { slice, failed: outcome === 'failed' }];
        inRow = outcome === 'failed' ? inRow + 1 : 0;
        const share = counted.filter(({ failed }) => failed).length / counted.length;
        const tooMany = counted.length >= settings.atLeast && share >= settings.rate;
        if (outcome === 'failed' && (inRow >= settings.failures || tooMany)) open(settings.openMs, now);
      }
    },
  };
}

/** One number is one step of a schedule: wait, ask to pass, or tell what became of one of those that are out. */
const steps = fc.array(fc.noBias(fc.nat(0xffff)), { minLength: 1, maxLength: 60, size: 'max' });

function play(words: readonly number[], seen: (breaker: Breaker, probes: number, until: number, now: number) => void) {
  const [breaker, model] = [createBreaker(settings), modelBreaker()];
  const out: { readonly pass: Pass; readonly twin: object }[] = [];
  const probes = new Set<Pass>();
  const old: Pass[] = [];
  let now = 0;
  for (const word of words) {
    const [kind, rest] = [word & 3, word >>> 2];
    if (kind === 0) now += rest % 140;
    else if (kind === 1) {
      const [allowed, pass, twin] = [breaker.allows(now), breaker.enter(now), model.enter(now)];
      if (allowed !== (twin !== null) || allowed !== (pass !== noPass)) expect.fail(`at ${now}: ${allowed}, ${pass}`);
      if (twin) out.push({ pass, twin });
      if (pass < 0) probes.add(pass);
    } else if (out.length > 0) {
      const { pass, twin } = out.splice(rest % out.length, 1)[0] as (typeof out)[number];
      const outcome = outcomes[(rest >>> 7) & 7] as Outcome;
      breaker.settle(pass, outcome, now);
      model.settle(twin, outcome, now);
      probes.delete(pass);
      // Told again, at once or long after: it changes nothing.
      if (pass < 0) old.push(pass);
      for (const probe of old.slice((rest >>> 10) & 3)) breaker.settle(probe, outcomes[rest & 7] as Outcome, now);
    }
    seen(breaker, probes.size, model.isOpenUntil(), now);
  }
}

it('R9 breaker-state-machine: passes, opens and probes as its model does, with at most one probe, over random schedules', () => {
  const met = { closed: 0, open: 0, 'half-open': 0, probing: 0 };
  fc.assert(
    fc.property(steps, (words) =>
      play(words, (breaker, probes, until, now) => {
        const view = breaker.view(now);
        met[view.state]++;
        met.probing += probes;
        const state = until === 0 ? 'closed' : now < until ? 'open' : 'half-open';
        // Not by `expect` each time, which would take longer than all the rest.
        const agrees =
          view.state === state &&
          (view.state !== 'open' || view.leftMs === until - now) &&
          (view.state !== 'half-open' || view.probing === (probes === 1));
        if (!agrees || probes > 1) expect.fail(`at ${now}: ${JSON.stringify(view)}, with ${probes} probes`);
      }),
    ),
    { numRuns: runs },
  );
  // All of its states were met, and often.
  expect(Math.min(...Object.values(met))).toBeGreaterThan(runs);
}, 60_000);

describe('a breaker', () => {
  const fails = (breaker: Breaker, times: number, now = 0) => {
    for (let i = 0; i < times; i++) breaker.settle(breaker.enter(now), 'failed', now, 'refused');
  };

  it('opens after failures in a row, and says why and for how long', () => {
    const breaker = createBreaker(settings);
    fails(breaker, 2);
    breaker.settle(breaker.enter(0), 'ok', 0);
    fails(breaker, 2);
    expect(breaker.view(0)).toEqual({ state: 'closed', failures: 4 });
    fails(breaker, 1);
    expect(breaker.view(40)).toEqual({ state: 'open', why: 'refused', leftMs: 60 });
  });

  it('opens by the share of failures though never so many come in a row', () => {
    const breaker = createBreaker(settings);
    for (let i = 0; i < 8; i++) breaker.settle(breaker.enter(0), i % 2 ? 'failed' : 'ok', 0);
    expect(breaker.allows(0)).toBe(false);
  });

  it('doubles its rest with each probe that fails, and begins anew once one succeeds', () => {
    const breaker = createBreaker(settings);
    fails(breaker, 3);
    const waits = [100, 200, 350, 350].map((ms) => {
      const { state } = breaker.view(0);
      expect(state).toBe('open');
      return ms;
    });
    let now = 0;
    for (const ms of waits) {
      expect(breaker.allows(now + ms - 1)).toBe(false);
      fails(breaker, 1, (now += ms));
    }
    now += 350;
    breaker.settle(breaker.enter(now), 'ok', now);
    fails(breaker, 3, now);
    expect(breaker.view(now)).toMatchObject({ leftMs: 100 });
  });

  it('takes loading for no failure, however often', () => {
    const breaker = createBreaker(settings);
    for (let i = 0; i < 100; i++) breaker.settle(breaker.enter(0), 'loading', 0);
    expect(breaker.view(0)).toEqual({ state: 'closed', failures: 0 });
    fails(breaker, 3);
    const probe = breaker.enter(100);
    expect(breaker.enter(100)).toBe(noPass);
    breaker.settle(probe, 'loading', 110);
    expect(breaker.view(110)).toMatchObject({ state: 'half-open', probing: false });
    expect(breaker.enter(110)).not.toBe(noPass);
  });

  it('hears nothing of what was begun before it opened', () => {
    const breaker = createBreaker(settings);
    const late = breaker.enter(0);
    fails(breaker, 3);
    const probe = breaker.enter(100);
    breaker.settle(late, 'ok', 100);
    expect(breaker.view(100).state).toBe('half-open');
    breaker.settle(probe, 'ok', 100);
    for (let i = 0; i < 5; i++) breaker.settle(late, 'failed', 100);
    expect(breaker.view(100)).toEqual({ state: 'closed', failures: 0 });
  });
});
