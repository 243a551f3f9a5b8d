import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ApiUnit } from '#contracts/api';
import type { ApiLedgerUnit, ApiOutlook, ApiWhy } from '#contracts/explanations';
import { fakePlatform, json } from './platform.fake.ts';
import type { FakePlatform } from './platform.fake.ts';

let platform: FakePlatform;
beforeEach(async () => {
  platform = await fakePlatform();
});
afterEach(() => platform.close());

const GiB = 2 ** 30;
const unit = (state: ApiUnit['state'], why: string) => ({
  id: 'service/chroma',
  name: 'chroma',
  state,
  why,
  url: null,
  failure: null,
});
const facts = (changes: Partial<ApiLedgerUnit>) => ({
  ...{ id: 'service/chroma', state: 'cold', reason: { code: 'never-asked' }, options: [], againInMs: 90_000 },
  ...{ requestsPerHour: 12.34, startMs: 2_000, thawMs: null, evictable: true, weight: 8, upkeepMs: 5_000 },
  ...changes,
});
const outlook: ApiOutlook = {
  ...{ need: GiB, free: GiB / 4, coming: 0, wouldStop: [], blockedBy: [], paused: false, fits: 'after-evictions' },
};
const option = (name: string, costMs: number) => ({
  unit: `service/${name}`,
  act: 'stop' as const,
  bytes: GiB,
  costMs,
});
const tell = async (told: object, ...more: string[]) => {
  platform.routes['GET /sutaz/v1/units/chroma/why'] = json({ upstreams: [], ...told });
  return (await platform.run(['why', 'chroma', ...more])).out;
};

test('of one that needs a graphics card it shows what is free there', async () => {
  const card = { device: 'gpu0', need: 6 * GiB, free: 2 * GiB, coming: GiB, limit: 8 * GiB };
  const wouldStop = [{ ...option('other', 120), bytes: 5 * GiB, device: 'gpu0' }];
  const out = await tell({ unit: unit('cold', 'idle'), facts: facts({}), outlook: { ...outlook, card, wouldStop } });
  expect(out).toContain(
    'On gpu0 it needs 6 GiB; 2 GiB of 8 GiB are free, 1 GiB are coming back. These would make room:',
  );
  expect(out).toContain('5 GiB on gpu0');
});

test('of one that made room it shows what was compared, and what would have to stop for it to start', async () => {
  const sums = [
    { ...option('chroma', 120), chosen: true },
    { ...option('qdrant', 2_400), chosen: false },
  ];
  const reason = { code: 'evicted', for: 'model/qwen', bytes: GiB, costMs: 120, sums };
  const out = await tell({
    unit: unit('cold', 'made room (1 GiB) for qwen'),
    facts: facts({ reason }),
    outlook: { ...outlook, wouldStop: [option('qdrant', 2_400)] },
  });
  expect(out).toMatchInlineSnapshot(`
    "chroma is cold: made room (1 GiB) for qwen

    Compared to make room for qwen, by the waiting expected from each:
    UNIT    ACT   FREES    COST  CHOSEN
    chroma  stop  1 GiB  120 ms  yes
    qdrant  stop  1 GiB   2.4 s  -

    To start it needs 1 GiB; 256 MiB are free. These would make room:
    UNIT    ACT   FREES  COST
    qdrant  stop  1 GiB  2.4 s
    "
  `);
});

test('of one that waits it says who is in the way', async () => {
  const blockedBy = [
    { unit: 'service/a', why: 'busy', bytes: GiB, forMs: null },
    { unit: 'service/b', why: 'just-started', bytes: GiB, forMs: 4_000 },
    { unit: 'service/c', why: 'freezing', bytes: GiB, forMs: null },
  ];
  const out = await tell({
    unit: unit('queued', 'waits for memory'),
    facts: facts({ state: 'queued' }),
    outlook: { ...outlook, coming: GiB / 2, fits: 'when-idle', blockedBy, wouldStop: [option('a', 5)], paused: true },
  });
  expect(out).toMatchInlineSnapshot(`
    "chroma is queued: waits for memory

    To start it needs 1 GiB; 256 MiB are free, 512 MiB are coming back. It would wait for others; these would make room once they can:
    UNIT  ACT   FREES  COST
    a     stop  1 GiB  5 ms
    In the way now:
    UNIT  BYTES  WHY
    a     1 GiB  busy
    b     1 GiB  has just started (4 s more)
    c     1 GiB  freezing
    Nothing is started until the memory of the machine is no longer short.
    "
  `);
});

test('of one that is awake it says what its sleep would cost, and of one that can never start what holds the memory', async () => {
  const awake = {
    unit: unit('ready', 'idle: stops after 10 min without use'),
    outlook: { ...outlook, need: 0, fits: 'now' },
  };
  expect(await tell({ ...awake, facts: facts({ state: 'ready', options: [option('chroma', 500)] }) }))
    .toMatchInlineSnapshot(`
      "chroma is ready: idle: stops after 10 min without use

      It may be put to sleep to make room. Putting it to sleep would cost, by how long it takes to come back
      (it starts in 2 s; any start takes 5 s from the others), by how soon it is asked for again
      (in about 2 min, 12 requests an hour lately) and by its priority and tier (x 8):
      UNIT    ACT   FREES  COST
      chroma  stop  1 GiB  500 ms
      "
    `);
  const pinned = { unit: 'service/p', why: 'pinned', bytes: 3 * GiB, forMs: null };
  const never = { ...outlook, fits: 'never' as const, blockedBy: [pinned] };
  expect(await tell({ unit: unit('cold', 'nobody asked for it yet'), facts: facts({}), outlook: never }))
    .toMatchInlineSnapshot(`
    "chroma is cold: nobody asked for it yet

    To start it needs 1 GiB; 256 MiB are free. It cannot start: what is left of the limit is too little for it.
    Held for good by:
    UNIT  BYTES  WHY
    p     3 GiB  pinned
    "
  `);
});

test('of one that failed it shows the last it wrote and how to try it again, and memory only where that is short, too', async () => {
  const failure = { message: 'exit code 4', log: ['starting', 'no database at db:5432'] };
  const unfit = { ...unit('quarantined', 'could not be started: exit code 4; left alone for 5 min'), failure };
  const left = facts({ state: 'quarantined' });
  expect(await tell({ unit: unfit, facts: left, outlook: { ...outlook, fits: 'now' } })).toMatchInlineSnapshot(`
    "chroma is quarantined: could not be started: exit code 4; left alone for 5 min

    The last it wrote (sutaz logs chroma has all of it):
      starting
      no database at db:5432
    It is tried again at once by: sutaz start chroma
    "
  `);
  expect(await tell({ unit: unfit, facts: left, outlook: { ...outlook, fits: 'never' } })).toContain('It cannot start');
});

test('of one that is frozen it says what it takes to thaw it, and which open connections are in the way', async () => {
  const blockedBy = [{ unit: 'service/a', why: 'connected', bytes: GiB, forMs: null }];
  const told = { unit: unit('frozen', 'frozen: nobody used it'), facts: facts({ state: 'frozen' }) };
  expect(await tell({ ...told, outlook: { ...outlook, fits: 'when-idle', blockedBy } })).toMatchInlineSnapshot(`
    "chroma is frozen: nobody used it

    To thaw it needs 1 GiB more; 256 MiB are free. It would wait for others.
    In the way now:
    UNIT  BYTES  WHY
    a     1 GiB  has open connections, which a stop would cut
    "
  `);
});

test('of what is not run here it says why, and --json is what the platform said', async () => {
  const told = {
    unit: unit('disabled', 'it needs a GPU'),
    facts: null,
    outlook: null,
    upstreams: [],
  } as unknown as ApiWhy;
  expect(await tell(told)).toBe('chroma is disabled: it needs a GPU\n');
  expect(JSON.parse(await tell(told, '--json'))).toEqual(told);
});

test('of one that is left alone it says which place, why and for how long', async () => {
  const upstreams = [
    { id: 'http://10.0.0.5', state: 'open', why: 'it answered with 503', leftMs: 4_000 },
    { id: 'http://10.0.0.6', state: 'closed', why: null, leftMs: null },
  ];
  const out = await tell({ unit: unit('ready', 'runs elsewhere'), facts: null, outlook: null, upstreams });
  expect(out).toContain('http://10.0.0.5 is open: it answered with 503; tried again in 4 s.\n');
  expect(out).not.toContain('10.0.0.6');
});
