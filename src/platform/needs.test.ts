import { describe, expect, it } from 'vitest';
import { Fault } from '#kernel/faults';
import { replicaId, unitId } from '#kernel/ids';
import type { Waker } from '#routing/wake';
import type { Directory } from '#units/directory';
import { createNeeds } from './needs.ts';

const app = unitId('service', 'app');
const signal = new AbortController().signal;

function bench(first?: string) {
  let failing = first;
  const log: string[] = [];
  const directory = {
    service: (id: string) => ({ definition: { id } }),
    serviceUnit: (id: string) => unitId('service', id),
  } as unknown as Directory;
  const waker = {
    async wake(unit: string) {
      if (unit === `service/${failing}`) throw new Fault('NO_MEMORY', 'too large');
      log.push(`+${unit}`);
      return { release: () => log.push(`-${unit}`) };
    },
  } as unknown as Waker;
  return {
    log,
    fail: (service: string | undefined) => void (failing = service),
    needs: createNeeds(
      directory,
      () => waker,
      (id) => (id === 'app' ? ['db', 'cache'] : []),
    ),
  };
}

it('makes what is needed ready in order and lets it go once', async () => {
  const { log, needs } = bench();
  await needs.take(app, signal);
  expect(log).toEqual(['+service/db', '+service/cache']);
  needs.give(app);
  needs.give(app);
  expect(log.slice(2)).toEqual(['-service/db', '-service/cache']);
});

it('holds for each copy what the unit needs, and lets go what that one held', async () => {
  const { log, needs } = bench();
  const copy = replicaId(app, 2);
  await needs.take(app, signal);
  await needs.take(copy, signal);
  needs.give(copy);
  expect(log).toEqual([
    '+service/db',
    '+service/cache',
    '+service/db',
    '+service/cache',
    '-service/db',
    '-service/cache',
  ]);
  needs.give(copy);
  needs.give(app);
  expect(log).toHaveLength(8);
});

it('names what was not to be had, and still holds what it took until it is let go', async () => {
  const { log, needs } = bench('cache');
  await expect(needs.take(app, signal)).rejects.toMatchObject({
    code: 'START_FAILED',
    message: 'it needs service/cache, which could not be made ready: too large',
  });
  needs.give(app);
  expect(log).toEqual(['+service/db', '-service/db']);
});

describe('one of them that ends by itself', () => {
  const [db, cache] = [unitId('service', 'db'), unitId('service', 'cache')];
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const held = ['+service/db', '+service/cache'];

  it('is asked for again for who stands on it, and let go with the rest', async () => {
    const { log, needs } = bench();
    await needs.take(app, signal);
    needs.lost(db);
    await turn();
    needs.returned(db);
    await turn();
    expect(log).toEqual([...held, '-service/db', '+service/db']);
    needs.give(app);
    expect(log.slice(4)).toEqual(['-service/db', '-service/cache']);
    needs.lost(db);
    await turn();
    expect(log).toHaveLength(6);
  });

  it('and cannot be had for now, is held as soon as somebody brought it up', async () => {
    const { log, needs, fail } = bench();
    await needs.take(app, signal);
    fail('cache');
    needs.lost(cache);
    await turn();
    fail(undefined);
    needs.returned(cache);
    await turn();
    expect(log).toEqual([...held, '-service/cache', '+service/cache']);
  });

  it('is nothing to one that went while it was asked for', async () => {
    const { log, needs } = bench();
    await needs.take(app, signal);
    needs.lost(db);
    needs.give(app);
    await turn();
    expect(log).toEqual([...held, '-service/db', '+service/db', '-service/cache', '-service/db']);
  });
});
