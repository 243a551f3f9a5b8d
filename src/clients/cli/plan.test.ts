import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ApiPlan, ApiPlannedUnit } from '#contracts/explanations';
import { fakePlatform, json } from './platform.fake.ts';
import type { FakePlatform } from './platform.fake.ts';

let platform: FakePlatform;
beforeEach(async () => {
  platform = await fakePlatform();
});
afterEach(() => platform.close());

const GiB = 2 ** 30;
const unit = (name: string, gib: number, changes: Partial<ApiPlannedUnit> = {}): ApiPlannedUnit => ({
  id: `service/${name}`,
  bytes: { declared: gib * GiB, learned: null, reserved: gib * GiB, withNeeds: gib * GiB },
  ...{ estimated: false, stays: null, neededBy: [], fits: true, sleeps: false, ...changes },
});
const planned = (verdict: ApiPlan['verdict'], changes: Partial<ApiPlan>): ApiPlan => ({
  ...{ verdict, limitBytes: 4 * GiB, limitReason: 'asked for', alwaysBytes: 0, totalBytes: 0, spareBytes: 0 },
  ...{ units: [], always: [], elsewhere: [], ...changes },
});
const ask = (told: ApiPlan, ...argv: string[]) => {
  platform.routes['GET /sutaz/v1/plan'] = json(told);
  return platform.run(['plan', ...argv]);
};

test('that all fit is 0, with what each reserves and what is left', async () => {
  const units = [
    unit('n8n', 1, { bytes: { declared: GiB, learned: GiB / 2, reserved: GiB, withNeeds: 1.5 * GiB } }),
    unit('postgres', 0.5, { neededBy: ['service/n8n'], stays: 'pinned' }),
  ];
  const always = [{ id: 'service/gateway', bytes: GiB / 4, why: 'core' as const }];
  const told = planned('together', {
    ...{
      units,
      always,
      alwaysBytes: GiB / 4,
      totalBytes: 1.5 * GiB,
      spareBytes: 2.25 * GiB,
      elsewhere: ['service/far'],
    },
  });
  const { code, out } = await ask(told, 'n8n', 'far');
  expect(code).toBe(0);
  expect(platform.asked[0]?.path).toBe('/sutaz/v1/plan?unit=n8n&unit=far');
  expect(out).toMatchInlineSnapshot(`
    "NAME      RESERVES  DECLARED  LEARNED  NOTE
    n8n          1 GiB     1 GiB  512 MiB  1.5 GiB with what it needs and what stays
    postgres   512 MiB   512 MiB        -  pinned; needed by n8n

    Together 1.5 GiB of 4 GiB (asked for), of which 256 MiB are held for good by gateway (core, 256 MiB): 2.25 GiB to spare.
    Takes nothing here, since it runs elsewhere: far.
    They fit together.
    "
  `);
});

test('that they can only take turns is 5, and says who sleeps', async () => {
  const units = [unit('a', 3), unit('b', 2, { sleeps: true, estimated: true })];
  const { code, out } = await ask(planned('in-turns', { units, totalBytes: 5 * GiB, spareBytes: -GiB }), 'a', 'b');
  expect(code).toBe(5);
  expect(out).toMatchInlineSnapshot(`
    "NAME  RESERVES  DECLARED  LEARNED  NOTE
    a        3 GiB     3 GiB        -  -
    b        2 GiB     2 GiB        -  a guess until it was pulled; sleeps while the others work

    Together 5 GiB of 4 GiB (asked for): 1 GiB too much.
    They do not fit together, but can take turns: b would sleep while the others work.
    "
  `);
});

test('that one can never start is 1, and says which', async () => {
  const units = [unit('a', 9, { fits: false }), unit('b', 2)];
  const told = planned('never', { units, totalBytes: 11 * GiB, spareBytes: -7 * GiB });
  const { code, out } = await ask(told, 'a', 'b');
  expect(code).toBe(1);
  expect(out).toMatchInlineSnapshot(`
    "NAME  RESERVES  DECLARED  LEARNED  NOTE
    a        9 GiB     9 GiB        -  can never start
    b        2 GiB     2 GiB        -  -

    Together 11 GiB of 4 GiB (asked for): 7 GiB too much.
    a needs 9 GiB and at most 4 GiB can be had: that can never start. Raise the limit, or choose smaller ones.
    "
  `);
  expect(JSON.parse((await ask(told, 'a', 'b', '--json')).out)).toEqual(told);
});

test('--memory asks under another limit', async () => {
  await ask(planned('together', {}), 'a', '--memory', '2GiB');
  expect(platform.asked[0]?.path).toBe(`/sutaz/v1/plan?unit=a&limit=${2 * GiB}`);
  expect((await ask(planned('together', {}), 'a', '--memory', 'much')).code).toBe(2);
  expect((await ask(planned('together', {}))).code).toBe(2);
});

test('without a platform it is made from what is on the disk', async () => {
  const stopped = await fakePlatform({ running: false });
  const given: unknown[] = [];
  const planOffline = async (options: unknown) => (given.push(options), planned('in-turns', {}));
  const { code } = await stopped.run(['plan', 'a', '--memory', '1GiB'], { composition: { planOffline } });
  await stopped.close();
  expect(code).toBe(5);
  expect(given).toEqual([{ home: stopped.home, names: ['a'], limitBytes: GiB }]);
});
