import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ApiSavings } from '#contracts/explanations';
import { memoryHours } from './savings.ts';
import { fakePlatform, json } from './platform.fake.ts';
import type { FakePlatform } from './platform.fake.ts';

let platform: FakePlatform;
beforeEach(async () => {
  platform = await fakePlatform();
});
afterEach(() => platform.close());

const GiB = 2 ** 30;
const hour = 3_600_000;
const told: ApiSavings = {
  since: '2026-11-02T10:00:00.000Z',
  uptimeMs: 10 * hour,
  alwaysOnBytes: 3 * GiB,
  heldBytes: GiB,
  averageAlwaysOnBytes: 2 * GiB,
  averageHeldBytes: 0.5 * GiB,
  sparedByteSeconds: 15 * GiB * 3_600,
  ...{ starts: 3, startMs: 4_500, thaws: 0, thawMs: 0 },
  units: [
    {
      ...{ id: 'model/qwen3:0.6b', since: '2026-11-02T10:00:00.000Z', alwaysOnBytes: 2 * GiB, heldBytes: 0 },
      ...{ sparedByteSeconds: 15.25 * GiB * 3_600, starts: 2, startMs: 4_000, thaws: 0, thawMs: 0 },
    },
    {
      ...{ id: 'service/chroma', since: '2026-11-03T10:00:00.000Z', alwaysOnBytes: GiB, heldBytes: GiB },
      ...{ sparedByteSeconds: -0.25 * GiB * 3_600, starts: 1, startMs: 500, thaws: 0, thawMs: 0 },
    },
  ],
};

test('says what was spared, against what, and what was paid for it', async () => {
  platform.routes['GET /sutaz/v1/savings'] = json(told);
  const { code, out } = await platform.run(['savings']);
  expect(code).toBe(0);
  expect(out).toMatchInlineSnapshot(`
    "Since 2026-11-02, while the platform ran: 10 h.
    always on  2 GiB on average: 2 used at least once
    held       512 MiB on average
    spared     15 GiB-hours (75 %)
    for that   3 starts (4.5 s altogether), 0 thaws

    NAME                 SPARED  ALWAYS ON  HOLDS  STARTS    TOOK  THAWS  TOOK
    qwen3:0.6b   15.3 GiB-hours      2 GiB    0 B       2     4 s      0  0 ms
    chroma      -0.25 GiB-hours      1 GiB  1 GiB       1  500 ms      0  0 ms
    "
  `);
  expect(JSON.parse((await platform.run(['savings', '--json'])).out)).toEqual(told);
});

test('says when there is nothing to tell yet', async () => {
  const nothing = { ...told, uptimeMs: 60_000, averageAlwaysOnBytes: 0, averageHeldBytes: 0, units: [] };
  platform.routes['GET /sutaz/v1/savings'] = json(nothing);
  expect((await platform.run(['savings'])).out).toBe(
    'Since 2026-11-02, while the platform ran: 1 min.\nNothing was started yet, so nothing was spared.\n',
  );
});

test.each([
  [0, '0 GiB-hours'],
  [GiB * 360, '0.1 GiB-hours'],
  [GiB * 3.6, '1.02 MiB-hours'],
  [-GiB * 3.6, '-1.02 MiB-hours'],
])('%d byte-seconds are %s', (byteSeconds, words) => expect(memoryHours(byteSeconds)).toBe(words));
