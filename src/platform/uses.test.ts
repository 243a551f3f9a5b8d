import { expect, it } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { replicaId, unitId } from '#kernel/ids';
import { anyPlace } from '#routing/picker';
import type { Caller, Waker } from '#routing/wake';
import { countUses } from './uses.ts';

const signal = new AbortController().signal;
const from = (principal: string, more: Partial<Caller> = {}): Caller => ({
  ...{ principal, class: 'interactive', signal, choice: anyPlace, ...more },
});

it('counts what instances and runs ask for, each request once, and nothing else', () => {
  const clock = fakeClock();
  const woken: string[] = [];
  const { waker, uses } = countUses({ wake: (unit: string) => void woken.push(unit) } as unknown as Waker, clock);
  const model = unitId('model', 'tiny:1');
  void waker.wake(model, from('service/app'));
  void waker.wake(model, from('service/app', { choice: { key: null, avoid: new Set(['first']) } }));
  void waker.wake(replicaId(unitId('service', 'echo'), 2), from('job/aider'));
  void waker.wake(model, from('admin'));
  const { choice: _none, ...held } = from('service/app');
  void waker.wake(unitId('service', 'postgres'), held);
  void waker.wake(model, from('service/app'));
  expect(woken).toHaveLength(6);
  expect(uses.list()).toEqual([
    { from: 'service/app', to: 'model/tiny:1', requests: 2, lastAt: clock.wall() },
    { from: 'job/aider', to: 'service/echo', requests: 1, lastAt: clock.wall() },
  ]);
});
