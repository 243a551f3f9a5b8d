import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ApiEnvironments } from '#contracts/environments-api';
import { fakePlatform, json } from './platform.fake.ts';
import type { FakePlatform } from './platform.fake.ts';

let platform: FakePlatform;
beforeEach(async () => {
  platform = await fakePlatform();
});
afterEach(() => platform.close());

const GiB = 2 ** 30;
const facts = { kind: 'python', interpreter: '3.11.7', builtAt: '2026-11-25T09:00:00.000Z' } as const;
const told: ApiEnvironments = {
  environments: [
    {
      ...{ ...facts, id: 'python-1', packages: ['a==1'], path: '/h/env/python-1', bytes: GiB, sharedBytes: GiB / 2 },
      ...{ users: [], instances: [] },
    },
    {
      ...{ ...facts, id: 'python-2', packages: ['b==1', 'c==2'], path: '/h/env/python-2', bytes: 2 * GiB },
      ...{ sharedBytes: GiB, users: ['one', 'two'], instances: ['service/one'] },
    },
  ],
  bytes: 2.5 * GiB,
};

test('lists the largest first, and what sharing spares', async () => {
  platform.routes['GET /sutaz/v1/environments'] = json(told);
  const { code, out } = await platform.run(['env', 'ls']);
  expect(code).toBe(0);
  expect(out).toMatchInlineSnapshot(`
    "ID         SIZE   SHARED  USERS     AWAKE  PACKAGES
    python-2  2 GiB    1 GiB  one, two  1      b==1 c==2
    python-1  1 GiB  512 MiB  -         -      a==1

    2.5 GiB on disk; without sharing it would be 3 GiB.
    "
  `);
  expect(JSON.parse((await platform.run(['env', 'ls', '--json'])).out)).toEqual(told);
});

test('says so where there are none', async () => {
  platform.routes['GET /sutaz/v1/environments'] = json({ environments: [], bytes: 0 });
  expect((await platform.run(['env', 'ls'])).out).toContain('when it first starts');
});

test('prunes, and says what went and what was given back', async () => {
  const removed = [
    { id: 'python-1', packages: ['a==1'] },
    { id: 'node-3', packages: [] },
  ];
  platform.routes['POST /sutaz/v1/environments/prune'] = json({ dryRun: false, removed, freed: GiB });
  const { code, out } = await platform.run(['env', 'prune']);
  expect({ code, out }).toEqual({
    code: 0,
    out: 'removed python-1 (a==1)\nremoved node-3 (left by a broken build)\n1 GiB given back.\n',
  });
  platform.routes['POST /sutaz/v1/environments/prune'] = json({
    dryRun: true,
    removed: removed.slice(0, 1),
    freed: GiB,
  });
  expect((await platform.run(['env', 'prune', '--dry-run'])).out).toBe(
    'would remove python-1 (a==1)\nAt least 1 GiB would be free.\n',
  );
  expect(platform.asked.at(-1)?.body).toEqual({ dryRun: true });
});
