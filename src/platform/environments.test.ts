import { expect, it } from 'vitest';
import type { EnvironmentDeskDeps } from './environments.ts';
import { createEnvironmentDesk } from './environments.ts';

const packages = (...names: readonly string[]) => ({ process: { python: { version: '>=3.8', packages: names } } });
const services = new Map(
  Object.entries({ one: packages('a'), two: packages('a'), unbuilt: packages('b'), elsewhere: {} }).map(([id, run]) => [
    id,
    { definition: { id, run } },
  ]),
) as unknown as ReturnType<EnvironmentDeskDeps['catalog']>['services'];

function setup() {
  const pruned: unknown[] = [];
  const usage = { kind: 'python', packages: ['a'], path: '/env', interpreter: '3.11.7', builtAt: 0 } as const;
  const sizes = { bytes: 10, sharedBytes: 4 };
  const environments: EnvironmentDeskDeps['environments'] = {
    find: ({ python }) => (python?.packages[0] === 'a' ? 'python-a' : null),
    list: async () => ({
      environments: ['python-a', 'python-old'].map((id) => ({ id, ...usage, ...sizes })),
      bytes: 16,
    }),
    async prune(keep, options) {
      pruned.push([...keep], options);
      return { removed: [{ id: 'python-z', packages: [] }], freed: 7 };
    },
  };
  const records = [{ unit: 'service/gone', environment: 'python-old' }, { unit: 'service/bare' }];
  const desk = createEnvironmentDesk({
    ...{ environments, catalog: () => ({ services }) },
    records: { list: () => records as unknown as ReturnType<EnvironmentDeskDeps['records']['list']> },
  });
  return { desk, pruned };
}

it('names the definitions and the instances that run from each', async () => {
  const { environments, bytes } = await setup().desk.list();
  expect(bytes).toBe(16);
  expect(environments.map(({ id, users, instances }) => ({ id, users, instances }))).toEqual([
    { id: 'python-a', users: ['one', 'two'], instances: [] },
    { id: 'python-old', users: [], instances: ['service/gone'] },
  ]);
  expect(environments[0]?.builtAt).toBe('1970-01-01T00:00:00.000Z');
});

it('keeps what a definition or an instance of an earlier platform runs from', async () => {
  const { desk, pruned } = setup();
  const removed = [{ id: 'python-z', packages: [] }];
  expect(await desk.prune(true)).toEqual({ dryRun: true, removed, freed: 7 });
  expect(pruned).toEqual([['python-a', 'python-old'], { dryRun: true }]);
});
