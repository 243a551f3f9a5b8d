import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ApiLimits } from '#contracts/limits-api';
import { fakePlatform, json } from './platform.fake.ts';
import type { FakePlatform } from './platform.fake.ts';

let platform: FakePlatform;
beforeEach(async () => {
  platform = await fakePlatform();
});
afterEach(() => platform.close());

const minute = { policy: 'everyone-requests-minute', kind: 'requests', limit: 100, per: 'minute' } as const;
const gate = { policy: 'everyone-concurrent', kind: 'concurrent', limit: 4, per: null } as const;
const day = { policy: 'ada-bytes-day', kind: 'bytes', limit: 2 ** 30, per: 'day' } as const;
const told: ApiLimits = {
  limits: [
    {
      ...{ name: 'everyone', for: {}, each: ['key'], warnings: [], quotas: [minute, gate] },
      accounts: [
        {
          subject: 'ada',
          quotas: [
            { ...minute, used: 40, left: 60, resetMs: 59_000 },
            { ...gate, used: 1, left: 3, resetMs: null },
          ],
        },
      ],
    },
    {
      ...{ name: 'ada', for: { key: ['ada'], service: ['chrome'] }, each: [], quotas: [day], accounts: [] },
      warnings: ['no service is called chrome: this limit matches nothing. Did you mean chroma?'],
    },
  ],
};

test('shows who has used how much of what, and what matches nothing', async () => {
  platform.routes['GET /sutaz/v1/limits'] = json(told);
  const { code, out } = await platform.run(['limits']);
  expect(code).toBe(0);
  expect(out).toMatchInlineSnapshot(`
    "LIMIT     FOR                         ACCOUNT  ALLOWS               USED   LEFT  ALL BACK IN
    everyone  everything, each key        ada      100 requests/minute    40     60  59 s
    everyone  everything, each key        ada      4 at once               1      3
    ada       key ada and service chrome           1 GiB/day             0 B  1 GiB

    ada: no service is called chrome: this limit matches nothing. Did you mean chroma?
    "
  `);
  expect(JSON.parse((await platform.run(['limits', '--json'])).out)).toEqual(told);
});

test('says when nothing is limited', async () => {
  platform.routes['GET /sutaz/v1/limits'] = json({ limits: [] });
  expect((await platform.run(['limits'])).out).toBe(
    'Nothing is limited. Rules stand under limits.rules in sutaz.yaml.\n',
  );
});
