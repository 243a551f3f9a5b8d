import type {
  ApiCatalog,
  ApiDefinition,
  ApiModel,
  ApiModelDetails,
  ApiProgress,
  ApiRestarted,
  ApiState,
  ApiUnit,
} from '#contracts/api';
import type { ApiAccount, ApiPlan, ApiSavings, ApiUpstreams, ApiWhy } from '#contracts/explanations';
import type { ApiMap } from '#contracts/map-api';
import type { ApiLimits } from '#contracts/limits-api';
import type { OnProgress } from '#contracts/models';
import type { Operation } from '#contracts/operations';
import { Fault } from '#kernel/faults';
import type { UnitId } from '#kernel/ids';
import { everything } from '#kernel/scopes';
import { covers } from '#security/scopes';
import { cacheRoutes } from './cache-routes.ts';
import { environmentRoutes } from './environment-routes.ts';
import type { EnvironmentDesk } from './environment-routes.ts';
import { route, sent, streamWork } from './control-route.ts';
import type { ControlDeps, Handler, Route } from './control-route.ts';
import { sendDescription } from './description.ts';
import { sendLarge } from './compression/large.ts';
import { decodeSegment, drained, onlyTakes } from './exchange.ts';
import type { Exchange } from './exchange.ts';
import { jobRoutes } from './job-routes.ts';
import type { JobDesk } from './job-routes.ts';
import { keyRoutes } from './key-routes.ts';
import { moveUnit } from './move-route.ts';
import type { Security } from './key-routes.ts';
import { askerOf } from './limits/facts.ts';
import { storeRoutes } from './store-routes.ts';
import type { Library } from './store-routes.ts';

export type { ControlDeps } from './control-route.ts';

/** What the control API does to the platform. Every method that takes a name throws NOT_FOUND with the nearest ones. */
export interface Control {
  state(): ApiState;
  ledger(): ApiAccount;
  savings(): ApiSavings;
  upstreams(): ApiUpstreams;
  map(): ApiMap;
  unitId(name: string): UnitId;
  unit(id: UnitId): ApiUnit;
  why(id: UnitId): ApiWhy;
  /** Whether the named units can be awake together, under another limit than the present one when `limitBytes` says so. */
  plan(names: readonly string[], limitBytes: number | null): ApiPlan;
  /** Goes on until the unit is ready or has failed, whoever leaves meanwhile. Throws CONFLICT at once when it cannot run here. */
  start(id: UnitId, principal: string): Promise<void>;
  stop(id: UnitId, force: boolean): void;
  /**
   * Has a service run by another of its ways, with its data. Goes on until it does or, when it cannot, runs as before, whoever
   * leaves meanwhile. Throws CONFLICT at once when it may not be moved.
   */
  move(id: UnitId, to: string, ask: { readonly principal: string; readonly force: boolean }): Promise<void>;
  /** How far the fetch of what a move needs is; null when there is none. */
  moving(id: UnitId): ApiProgress | null;
  pin(id: UnitId, pinned: boolean): void;
  /** Milliseconds that it stays awake without use from here on: null as usual, Infinity for as long as there is room. */
  keep(id: UnitId, idleMs: number | null): void;
  logs(id: UnitId, lines: number): Promise<readonly string[]>;
  followLogs(id: UnitId, lines: number, signal: AbortSignal): AsyncIterable<string>;
  models(): readonly ApiModel[];
  model(name: string): Promise<ApiModelDetails>;
  /** With `update` the sources are asked although a file is here. */
  pull(name: string, signal: AbortSignal, onProgress: OnProgress, update: boolean): Promise<ApiModelDetails>;
  /** A name, or one version of it. */
  removeModel(name: string): Promise<void>;
  readonly library: Library;
  readonly jobs: JobDesk;
  readonly environments: EnvironmentDesk;
  readonly security: Security;
  catalog(): ApiCatalog;
  definition(id: string): Promise<ApiDefinition>;
  shutdown(): void;
  /** Resolves when another process listens in this one's place. Throws CONFLICT while that is under way. */
  restart(): Promise<ApiRestarted>;
}

export const routes: readonly Route[] = [
  route('readState', (_, { control }) => control.state()),
  route('readLedger', (_, { control }) => control.ledger()),
  route('readSavings', (_, { control }) => control.savings()),
  route('readLimits', readLimits),
  ...cacheRoutes,
  ...environmentRoutes,
  route('readMap', (_, { control }) => control.map()),
  route('readUpstreams', (_, { control }) => control.upstreams()),
  route('readPlan', readPlan),
  route('watchEvents', (exchange, { live }) => live.attach(exchange)),
  route('readUnit', (_, { control }, name) => control.unit(control.unitId(name))),
  route('explainUnit', (_, { control }, name) => control.why(control.unitId(name))),
  route('startUnit', startUnit),
  route('stopUnit', ({ query }, { control }, name) => {
    const id = control.unitId(name);
    control.stop(id, query.get('force') === 'true');
    return control.unit(id);
  }),
  route('moveUnit', moveUnit),
  route('pinUnit', pinUnit(true)),
  route('unpinUnit', pinUnit(false)),
  route('readLogs', sendLogs),
  route('listModels', (_, { control }) => ({ models: control.models() })),
  route('readModel', (_, { control }, name) => control.model(name)),
  route('pullModel', pullModel),
  route('removeModel', (_, { control }, name) => control.removeModel(name)),
  ...storeRoutes,
  ...jobRoutes,
  ...keyRoutes,
  route('readCatalog', (_, { control }) => control.catalog()),
  route('readDefinition', (_, { control }, name) => control.definition(name)),
  route('readDescription', async (exchange, { description }): Promise<typeof sent> => {
    await sendDescription(exchange, description.json());
    return sent;
  }),
  route('createConsoleLink', (exchange, { sessions, url }) => {
    if (!exchange.principal) throw new Fault('UNAUTHENTICATED', 'A key is needed.');
    const { token, expiresAt } = sessions.ticket(exchange.principal);
    return {
      url: `${url()}/console/open?ticket=${token}`,
      expiresAt: new Date(expiresAt).toISOString(),
    };
  }),
  route('restart', ({ res }, { control }) => {
    res.setHeader('connection', 'close');
    return control.restart();
  }),
  route('shutDown', ({ res }, { control }) => {
    res.setHeader('connection', 'close');
    control.shutdown();
    return { status: 'stopping' } as const;
  }),
];

export async function handleControl(exchange: Exchange, deps: ControlDeps): Promise<void> {
  const allowed: string[] = [];
  for (const { operation, path, handle } of routes) {
    const match = path.exec(exchange.path);
    if (!match) continue;
    if (operation.method !== exchange.method) {
      allowed.push(operation.method);
      continue;
    }
    return sendReply(exchange, operation, await handle(exchange, deps, decodeSegment(match[1] ?? '')));
  }
  if (allowed.length > 0) throw onlyTakes(exchange.path, allowed);
  throw new Fault('NOT_FOUND', `There is no ${exchange.path}.`);
}

const jsonType = 'application/json; charset=utf-8';

/** A stream and a text were sent by their handlers. */
function sendReply(
  exchange: Exchange,
  { answer, events, text, status }: Operation,
  reply: unknown,
): Promise<void> | void {
  if (answer !== undefined && reply !== sent)
    return sendLarge(exchange, status ?? 200, JSON.stringify(reply), jsonType);
  if (answer ?? events ?? text) return;
  exchange.res.writeHead(204, { 'x-sutaz-trace-id': exchange.traceId }).end();
}

function readLimits({ principal }: Exchange, { readLimits }: ControlDeps): ApiLimits {
  const { key, principal: id } = askerOf(principal);
  return readLimits({ all: principal !== null && covers(principal.rights, everything), key, principal: id });
}

function readPlan({ query }: Exchange, { control }: ControlDeps): ApiPlan {
  const names = query.getAll('unit').filter((name) => name !== '');
  const limit = query.get('limit');
  const bytes = limit === null ? null : Number(limit);
  if (names.length === 0) throw new Fault('BAD_REQUEST', 'Name what is to be awake: ?unit=chroma&unit=smollm2:135m');
  if (bytes !== null && !(Number.isSafeInteger(bytes) && bytes > 0)) {
    throw new Fault('BAD_REQUEST', `limit=${limit} is not a number of bytes.`, { param: 'limit' });
  }
  return control.plan(names, bytes);
}

function pinUnit(pinned: boolean): Handler<'pinUnit'> {
  return (_, { control }, name) => {
    const id = control.unitId(name);
    control.pin(id, pinned);
    return control.unit(id);
  };
}

async function startUnit(
  exchange: Exchange,
  { control, clock }: ControlDeps,
  name: string,
): Promise<ApiUnit | typeof sent> {
  const id = control.unitId(name);
  const started = control.start(id, exchange.principal?.id ?? 'admin');
  // Its failure is told by the unit's own state, and to who waits for it.
  started.catch(() => undefined);
  if (exchange.query.get('wait') !== 'true') return control.unit(id);
  await streamWork(
    exchange,
    clock,
    () => control.unit(id).progress,
    async () => {
      await started;
      return control.unit(id);
    },
  );
  return sent;
}

async function pullModel(exchange: Exchange, { control, clock }: ControlDeps, name: string): Promise<void> {
  let latest: unknown = null;
  await streamWork(
    exchange,
    clock,
    () => latest,
    async () => {
      const update = exchange.query.get('update') === 'true';
      return { model: await control.pull(name, exchange.signal, (progress) => (latest = progress), update) };
    },
  );
}

async function sendLogs(exchange: Exchange, { control }: ControlDeps, name: string): Promise<void> {
  const id = control.unitId(name);
  const lines = Math.min(10_000, Math.max(0, Number(exchange.query.get('lines') ?? 100) || 0));
  const { res } = exchange;
  const head = () =>
    res.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', 'x-sutaz-trace-id': exchange.traceId });
  if (exchange.query.get('follow') !== 'true') {
    const text = await control.logs(id, lines);
    head().end(text.map((line) => `${line}\n`).join(''));
    return;
  }
  head().flushHeaders();
  for await (const line of control.followLogs(id, lines, exchange.signal)) {
    if (!res.write(`${line}\n`)) await drained(res);
  }
  res.end();
}
