import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import type { IncomingHttpHeaders, RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ApiUnit } from '#contracts/api';
import type { ApiAuditEntry } from '#contracts/security-api';
import { fakeClock } from '#kernel/clock.fake';
import type { Clock } from '#kernel/clock';
import { Fault } from '#kernel/faults';
import type { UnitId } from '#kernel/ids';
import { unitId } from '#kernel/ids';
import type { LogFields } from '#kernel/logger';
import { silentLogger } from '#kernel/logger';
import { defaultRetry } from '#resilience/retry';
import { createLines } from '#routing/lines';
import type { Placed } from '#routing/endpoint';
import type { Choice } from '#routing/picker';
import { fakePickers } from '#routing/picker.fake';
import type { Policy } from '#routing/policy';
import { unplaced } from '#routing/wake';
import type { Awake, Caller, Waker } from '#routing/wake';
import type { Principal } from '#security/principal';
import { principalWith } from '#security/principal.fake';
import { createDamping } from '#security/damping';
import { createSessions } from '#security/sessions';
import type { Sessions } from '#security/sessions';
import type { Identity } from './auth.ts';
import { createAnswerCache } from './cache/answers.ts';
import type { Control } from './control.ts';
import { createDescription } from './description.ts';
import { createDoor } from './door.ts';
import type { DoorDeps } from './door.ts';
import { createLimiter } from './limits/limiter.ts';
import { createLive } from './live.ts';
import type { ModelDirectory } from './models.ts';
import { createMoving } from './moving.ts';
import { trustsNobody } from './protocols/peer.ts';
import { outsideWaker } from './routes/outside.ts';
import { createUpstreams } from './transport/upstreams.ts';

export const adminKey = 'sutaz-admin';
const principals: Readonly<Record<string, Principal>> = {
  [adminKey]: principalWith('admin', [], 'admin'),
  'sutaz-use': principalWith('user', [], 'user'),
};

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** A door on a real port before services of the test's own, with a waker that wakes when it is told to. */
export async function openDoor(service: RequestListener, more: Partial<DoorDeps> = {}) {
  const { createServer } = await import('node:http');
  const upstream = createServer(service);
  await once(upstream.listen(0, '127.0.0.1'), 'listening');
  const clock = fakeClock();
  const logged: LogFields[] = [];
  const audited: Omit<ApiAuditEntry, 'at'>[] = [];
  const world = fakeWaker(`http://127.0.0.1:${portOf(upstream)}`, clock);
  const sessions = createSessions({ clock, present: (principal) => principal });
  const upstreams = createUpstreams({ clock });
  const control = fakeControl();
  const state = () => control.state();
  const server = createDoor({
    ...{ waker: world.waker, upstreams, clock, control, sessions },
    log: {
      ...silentLogger,
      warn: (_, fields) => logged.push(fields ?? {}),
      error: (_, fields) => logged.push(fields ?? {}),
    },
    limiter: createLimiter({ clock, kept: new Map(), refused: { add: () => undefined } }),
    answers: noAnswers,
    readLimits: () => ({ limits: [] }),
    holdMs: () => 10_000,
    limits: () => ({
      ...{ body: 1_000, headerTimeout: 1_000, keepAlive: 1_000, connections: 100 },
      ...{ headers: 16_384, headerCount: 100, url: 4_096, bodyTimeout: 4_000, bodyRate: 100 },
    }),
    models: fakeModels,
    services: {
      unit: (name) => namedUnit('service', name),
      fallbacks: () => [],
      describe: () => ({ title: '<x>', why: 'asked' }),
    },
    identity: identityOf(sessions, clock),
    audit: { record: (entry) => void audited.push(entry) },
    live: createLive(state, clock),
    port: () => portOf(server),
    url: () => `http://127.0.0.1:${portOf(server)}`,
    console: new Map([
      ['/console/index.html', { body: Buffer.from('<page>'), type: 'text/html; charset=utf-8', etag: '"1"' }],
    ]),
    description: createDescription(() => readFile(new URL('../../docs/openapi.json', import.meta.url))),
    mcp: { serve: async () => undefined },
    renderMetrics: () => 'metrics\n',
    moving: createMoving(),
    routes: { table: () => null, outside: outsideWaker(fakePickers(clock)) },
    notReady: () => null,
    peers: { trusts: trustsNobody, needsTls: () => false },
    requests: { add: () => undefined },
    seconds: { observe: () => undefined },
    ...more,
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    ...{ world, clock, sessions, control, logged, audited, upstream, server, port: portOf(server) },
    ask: (path: string, options: Asking = {}) => ask(portOf(server), path, options),
    close() {
      for (const one of [server, upstream]) {
        one.close();
        one.closeAllConnections();
      }
      void upstreams.close();
    },
  };
}

/** A cache that keeps nothing, as it is when nobody asks for one. */
export const noAnswers = createAnswerCache({
  clock: fakeClock(),
  settings: () => ({ memory: 0, age: 0, shared: false }),
  version: () => '',
});

/** Who has one of a few keys; no tokens. */
export const identityOf = (sessions: Sessions, clock: Clock): Identity => ({
  ...{ sessions, hosts: () => [], damping: createDamping({ clock }), onFlood: () => undefined },
  verifyKey: (key) => principals[key] ?? null,
  tokens: { known: () => null, verify: async () => null },
});

export type OpenDoor = Awaited<ReturnType<typeof openDoor>>;

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

export const fakeModels: ModelDirectory = {
  choose(name, capability) {
    const unit = namedUnit('model', name);
    const provides = ['openai.chat', 'openai.completions', 'openai.embeddings'];
    if (!provides.includes(capability)) throw new Fault('NOT_SUPPORTED', `${name} cannot do that.`, { param: 'model' });
    return [{ unit, id: name, provides, manner: null }];
  },
  unit: (name) => namedUnit('model', name),
  providedBy: () => ['openai.chat'],
  list: () => [],
  names: () => [],
};

function namedUnit(kind: 'service' | 'model', name: string): UnitId {
  if (name === 'x') return unitId(kind, name);
  throw new Fault('NOT_FOUND', `No ${kind} is called ${name}.`, kind === 'model' ? { param: 'model' } : {});
}

/** Ready at once, unless `hold` was called: then whoever asks waits for `wake`, `fail`, or leaves. */
function fakeWaker(origin: string, clock: Clock) {
  const waiting = new Set<{ grant(): void; reject(error: unknown): void }>();
  // Tests say when something is tried again.
  let pickers = fakePickers(clock, { retry: { ...defaultRetry, tries: 1 } });
  const world = {
    leases: 0,
    /** Leases given back because the service broke off. */
    broken: 0,
    /** Connections that outlive their leases. */
    open: 0,
    /** For what milliseconds of silence a connection is no work. */
    silenceMs: null as number | null,
    lingered: [] as string[],
    held: false,
    origin,
    /** Where single units are, when not all of them are at one place. */
    originOf: null as ((unit: UnitId) => string) | null,
    key: null as string | null,
    /** A person has just stopped the unit. */
    stopped: false,
    waiting,
    hold: () => void (world.held = true),
    wake() {
      world.held = false;
      for (const one of waiting) one.grant();
    },
    fail(error: unknown) {
      for (const one of waiting) one.reject(error);
    },
    /** Has requests treated like this from now on. */
    treat: (policy: Partial<Policy>) => void (pickers = fakePickers(clock, policy)),
    upstreams: () => pickers.views().flatMap(({ upstreams }) => upstreams),
    waker: {} as Waker,
  };
  const placeOf = (unit: UnitId, choice: Choice | undefined): Placed => {
    const target = { origin: world.originOf?.(unit) ?? world.origin, basePath: '', key: world.key };
    if (!choice) return unplaced(target);
    const picker = pickers.of(unit);
    if (picker.endpoints.length > 0) return picker.pick(choice);
    const placed = picker.at(unit, target);
    if (placed) return placed;
    throw picker.refusal();
  };
  const awake = (unit: UnitId, { choice }: Caller): Awake => {
    const placed = placeOf(unit, choice);
    world.leases++;
    let released = false;
    const release = (broken = false) => {
      if (!released) world.leases--;
      if (!released && broken) world.broken++;
      released = true;
    };
    const leaveOpen = () => {
      world.open++;
      return () => void world.open--;
    };
    return {
      ...{ placed, target: placed.target, queueMs: 0, wakeMs: 0 },
      leaveOpen,
      release,
    };
  };
  const wake = async (unit: UnitId, caller: Caller): Promise<Awake> => {
    if (!world.held) return awake(unit, caller);
    return new Promise<Awake>((resolve, reject) => {
      const one = { grant: () => resolve(awake(unit, caller)), reject };
      waiting.add(one);
      caller.signal.addEventListener('abort', () => {
        waiting.delete(one);
        reject(caller.signal.reason as Error);
      });
    });
  };
  const lines = createLines({ clock, wake });
  Object.assign(world.waker, {
    wake,
    picker: (unit: UnitId) => pickers.of(unit),
    line: (unit: UnitId, awake: Awake, caller: Caller) =>
      world.silenceMs === null ? null : lines.open(unit, awake, caller, world.silenceMs),
    isReady: () => !world.held,
    wasStopped: () => world.stopped,
    linger: (unit: UnitId) => void world.lingered.push(unit),
    progress: () => ({ phase: 'starting', percent: 10 }),
  });
  return world;
}

function fakeControl(): Control {
  const unit = (id: UnitId) => ({ id, state: 'ready', progress: { phase: 'starting' } }) as unknown as ApiUnit;
  const ledger = { limitBytes: 1, limitReason: '', reservedBytes: 0, measuredBytes: 0, freeBytes: 1 };
  const platform = { version: '0', url: '', home: '', startedAt: '', pid: 1 };
  const unused = () => {
    throw new Fault('NOT_SUPPORTED', 'not in this test');
  };
  return {
    state: () => ({ platform, ledger, units: [] }),
    ledger: () => ({
      ...{
        ...ledger,
        lines: [],
        units: [],
        chargedBytes: 0,
        incomingBytes: 0,
        pressure: 'none',
        horizonMs: 60_000,
        prediction: { on: true, hits: 0, misses: 0, byteSeconds: 0, expected: [] },
      },
    }),
    savings: () => ({
      ...{ since: '', uptimeMs: 0, alwaysOnBytes: 0, heldBytes: 0, averageAlwaysOnBytes: 0, averageHeldBytes: 0 },
      ...{ sparedByteSeconds: 0, starts: 0, startMs: 0, thaws: 0, thawMs: 0, units: [] },
    }),
    plan: (names, limitBytes) => ({
      ...{
        verdict: 'together',
        limitBytes: limitBytes ?? 1,
        limitReason: '',
        alwaysBytes: 0,
        totalBytes: 0,
        spareBytes: 0,
      },
      ...{ units: [], always: [], elsewhere: [...names] },
    }),
    why: (id) => ({ unit: unit(id), facts: null, outlook: null, upstreams: [] }),
    upstreams: () => ({ units: [] }),
    map: () => ({ since: '', nodes: [], edges: [], shared: [] }),
    unitId: (name) => namedUnit('service', name),
    unit,
    start: async () => undefined,
    stop: () => undefined,
    move: async () => undefined,
    moving: () => null,
    pin: () => undefined,
    keep: () => undefined,
    logs: async () => ['one', 'two'],
    followLogs: unused,
    models: () => [],
    model: async () => unused(),
    pull: async () => unused(),
    removeModel: async () => undefined,
    library: {
      versions: async () => unused(),
      rollback: async () => unused(),
      pulling: () => null,
      verify: async () => unused(),
      collect: async () => unused(),
      importFrom: async () => unused(),
      view: async () => unused(),
    },
    environments: { list: async () => unused(), prune: async () => unused() },
    jobs: { start: async () => unused(), list: () => [], read: unused, cancel: unused, output: unused },
    security: {
      keys: { list: () => [], create: unused, rotate: unused, revoke: unused },
      audit: async () => [],
    },
    catalog: () => ({ services: [], models: [], disabled: [] }),
    definition: async () => unused(),
    shutdown: () => undefined,
    restart: () => Promise.reject(new Fault('NOT_SUPPORTED', 'not here')),
  };
}

export interface Asking {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  readonly key?: string | null;
  readonly signal?: AbortSignal;
}

export function ask(port: number, path: string, asking: Asking): Promise<Answer> {
  const { method = 'GET', headers = {}, body, key = adminKey, signal } = asking;
  return new Promise((resolve, reject) => {
    const own = { host: `localhost:${port}`, ...(key === null ? {} : { 'x-sutaz-key': key }), ...headers };
    const req = request({
      port,
      host: '127.0.0.1',
      path,
      method,
      headers: own,
      agent: false,
      ...(signal && { signal }),
    });
    req.on('error', reject);
    req.on('response', (res) => {
      let text = '';
      res.setEncoding('utf8');
      res.on('data', (chunk: string) => (text += chunk));
      res.on('error', reject);
      res.on('end', () => resolve({ status: res.statusCode ?? 0, headers: res.headers, text }));
    });
    req.end(body);
  });
}
