import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ApiUpstream, ApiUpstreams } from '#contracts/explanations';
import { fakePlatform, json } from './platform.fake.ts';
import type { FakePlatform } from './platform.fake.ts';

let platform: FakePlatform;
beforeEach(async () => {
  platform = await fakePlatform();
});
afterEach(() => platform.close());

const well: ApiUpstream = {
  ...{ id: 'http://10.0.0.5:8000', role: 'upstream', state: 'closed', why: null, leftMs: null, weight: 1 },
  ...{ inFlight: 2, picks: 120, failures: 1, ejections: 0, latencyMs: 12.4, lastFailure: 'it answered with 503' },
};
const told: ApiUpstreams = {
  units: [
    {
      ...{ unit: 'service/searxng', balance: 'least-requests', retries: 3, mirrored: { sent: 0, failed: 0 } },
      upstreams: [
        well,
        { ...well, id: 'http://10.0.0.6:8000', state: 'open', why: 'it answered with 503', leftMs: 4_000, inFlight: 0 },
      ],
    },
    {
      ...{ unit: 'service/echo', balance: 'scheduler', retries: 0, mirrored: { sent: 0, failed: 0 } },
      upstreams: [{ ...well, id: 'service/echo~2', latencyMs: null }],
    },
  ],
};

test('shows where requests go, and why something is left alone', async () => {
  platform.routes['GET /sutaz/v1/upstreams'] = json(told);
  platform.routes['GET /sutaz/v1/units/echo'] = json({ id: 'service/echo' });
  const { code, out } = await platform.run(['upstreams']);
  expect(code).toBe(0);
  expect(out).toMatchInlineSnapshot(`
    "UNIT     UPSTREAM              STATE   NOW  ASKED  FAILED  BEGINS IN  WHY
    searxng  http://10.0.0.5:8000  closed    2    120       1      12 ms  -
    searxng  http://10.0.0.6:8000  open      0    120       1      12 ms  it answered with 503; tried again in 4 s
    echo     echo~2                closed    2    120       1          -  -
    "
  `);
  const named = JSON.parse((await platform.run(['upstreams', 'echo', '--json'])).out) as ApiUpstreams;
  expect(named.units.map(({ unit }) => unit)).toEqual(['service/echo']);
});

test('a name that is not there is an error, and not one that was never asked', async () => {
  platform.routes['GET /sutaz/v1/upstreams'] = json(told);
  platform.routes['GET /sutaz/v1/units/ecoh'] = json(
    { status: 404, code: 'NOT_FOUND', detail: 'Did you mean echo?' },
    404,
  );
  expect(await platform.run(['upstreams', 'ecoh'])).toMatchObject({
    code: 1,
    out: '',
    err: 'sutaz: Did you mean echo?\n',
  });
});

test('says so when nothing was asked yet', async () => {
  platform.routes['GET /sutaz/v1/upstreams'] = json({ units: [] });
  expect((await platform.run(['upstreams'])).out).toBe('Nothing was asked of anything yet.\n');
});
