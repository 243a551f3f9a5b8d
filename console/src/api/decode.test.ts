import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeLogEntry, decodeProgress, decodeState, decodeUnit } from './decode.ts';

describe('decodeUnit', () => {
  it('reads a unit as the platform sends it', () => {
    const sent = {
      id: 'model/smollm2:135m',
      kind: 'model',
      name: 'smollm2:135m',
      copyOf: 'model/smollm2',
      title: 'SmolLM2 135M',
      summary: 'Small.',
      category: null,
      tier: 'on-demand',
      state: 'starting',
      why: 'asked for',
      pinned: true,
      bytes: { declared: 10, learned: null, measured: 4, reserved: 10 },
      leases: 1,
      waiters: 2,
      idleMs: null,
      progress: { phase: 'starting', percent: 40 },
      failure: { message: 'no', log: ['a', 'b'], retryAt: '2026-01-01T00:00:00Z' },
      url: '/services/x/',
      instance: { id: 'i1', pid: 7, port: null, startedAt: '2026-01-01T00:00:00Z' },
    };
    expect(decodeUnit(sent)).toEqual(sent);
  });

  it('fills what is missing from the id alone, and names a state it does not know', () => {
    expect(decodeUnit({ id: 'model/a', state: 'hibernating' })).toMatchObject({
      kind: 'model',
      name: 'a',
      title: 'a',
      state: 'unknown',
      bytes: { declared: 0, learned: null, measured: null, reserved: 0 },
      progress: null,
      failure: null,
    });
  });

  it('makes no link of anything but a web address or a path of this origin', () => {
    for (const url of ['javascript:alert(1)', '//elsewhere.test/', 'data:text/html,x', 7]) {
      expect(decodeUnit({ id: 'service/a', url })?.url).toBeNull();
    }
    expect(decodeUnit({ id: 'service/a', url: 'http://a.localhost:8080/' })?.url).toBe('http://a.localhost:8080/');
  });

  it('takes anything without throwing', () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        const unit = decodeUnit({ id: 'service/a', bytes: value, progress: value, failure: value, instance: value });
        expect(unit?.id).toBe('service/a');
        expect(decodeState(value).units).toBeInstanceOf(Array);
      }),
    );
  });
});

it('leaves out units and entries that cannot be shown', () => {
  expect(decodeState({ units: [null, { name: 'no id' }, { id: 'service/a' }] }).units).toHaveLength(1);
  expect(decodeLogEntry({ at: 'now', type: 'started' })).toBeNull();
});

it('keeps progress within its bounds, and takes none for a comment without a phase', () => {
  expect(decodeProgress({ phase: 'x', percent: 130, estimateMs: -5 })).toEqual({
    phase: 'x',
    percent: 100,
    estimateMs: 0,
  });
  expect(decodeProgress({ percent: 10 })).toBeNull();
  expect(decodeProgress(undefined)).toBeNull();
});
