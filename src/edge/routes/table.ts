import { conditionsOf, isProtected } from '#config/routes';
import type { Packing } from '#config/middlewares';
import type { AnyStep, Match, Route, RouteConfig } from '#config/routes';
import { globOf } from '#kernel/glob';
import { nameHost } from '#security/hosts';
import type { HttpCache } from '../http-cache/serve.ts';
import { makeMiddleware } from '../middlewares/index.ts';
import type { Headers, JsonObject, Middleware } from '../middlewares/middleware.ts';

/** What an answer goes through on its way to the client. */
export interface AnswerChanges {
  readonly name: string;
  readonly response: readonly ((headers: Headers) => void)[];
  readonly answerJson: readonly ((body: JsonObject) => void)[];
}

/** A route, ready to be asked. */
export interface CompiledRoute extends AnswerChanges {
  readonly said: Route;
  readonly path: readonly ((path: string) => string)[];
  readonly request: readonly ((headers: Headers) => void)[];
  readonly requestJson: readonly ((body: JsonObject) => void)[];
  /** Null where nothing is kept of its answers. */
  readonly keeping: HttpCache | null;
  /** Null where its answers go as they are. */
  readonly packing: Packing | null;
  /** Null where it says nothing of the model. */
  readonly fitsModel: ((model: string) => boolean) | null;
}

/** What there is to know of a request before its body. */
export interface RequestFacts {
  readonly host: string | undefined;
  readonly path: string;
  readonly method: string;
  readonly headers: Headers;
}

/** The routes of one configuration. It never changes. */
export interface RouteTable {
  /**
   * The routes that may be a request's, the first of them first; all but the last depend on its model. Null where there is
   * none. `doorHosts` are the names of the door beside loopback's.
   */
  find(facts: RequestFacts, doorHosts: readonly string[]): readonly CompiledRoute[] | null;
  readonly routes: readonly CompiledRoute[];
}

/** By what a path is or begins with: `/manual` for it alone, `/manual/*` for it and all below it. */
type ByPath = Map<string, CompiledRoute[]>;

/** Null for a configuration without routes: then nothing is asked for any request. */
export function compileRoutes(
  { routes, middlewares }: Pick<RouteConfig, 'routes' | 'middlewares'>,
  moduleOf: (file: string) => Middleware,
): RouteTable | null {
  const made = Object.entries(routes).map(([name, said]) => compile(name, said, middlewares, moduleOf));
  if (made.length === 0) return null;
  const exact = new Map<string, ByPath>();
  const wild = new Map<string, ByPath>();
  for (const one of made) {
    const { host = '' } = one.said.match;
    const [hosts, key] = host.startsWith('*') ? [wild, host.slice(1)] : [exact, host];
    const paths = hosts.get(key) ?? new Map<string, CompiledRoute[]>();
    hosts.set(key, add(paths, one));
  }
  // A long address has many beginnings: no longer one is looked for than there is.
  const longest = Math.max(...made.map(({ said }) => said.match.path?.length ?? 0));
  return {
    routes: made,
    find(facts, doorHosts) {
      const isDoor = nameHost(facts.host, doorHosts).kind === 'door';
      if (isDoor && isProtected(facts.path)) return null;
      const host = facts.host?.toLowerCase().replace(/:\d+$/, '') ?? '';
      const found: CompiledRoute[] = [];
      for (const paths of hostsFor(host, isDoor, exact, wild)) if (collect(paths, facts, longest, found)) return found;
      return found.length > 0 ? found : null;
    },
  };
}

function compile(
  name: string,
  said: Route,
  sets: RouteConfig['middlewares'],
  moduleOf: (file: string) => Middleware,
): CompiledRoute {
  const { match, to } = said;
  const steps = (said.with ?? []).flatMap((used): readonly AnyStep[] =>
    typeof used === 'string' ? (sets[used] ?? []) : [used],
  );
  const made = steps.map((used) => ('use' in used ? moduleOf(used.use) : makeMiddleware(used)));
  const model = to?.model;
  const own: Middleware[] =
    model === undefined ? made : [...made, { requestJson: (body) => void (body.model = model) }];
  return {
    ...{ name, said },
    path: own.flatMap(({ path }) => path ?? []),
    request: own.flatMap(({ request }) => request ?? []),
    response: own.flatMap(({ response }) => response ?? []),
    requestJson: own.flatMap(({ requestJson }) => requestJson ?? []),
    answerJson: own.flatMap(({ answerJson }) => answerJson ?? []),
    keeping: own.findLast(({ keeping }) => keeping)?.keeping ?? null,
    packing: own.findLast(({ packing }) => packing)?.packing ?? null,
    fitsModel: match.model === undefined ? null : globOf(match.model),
  };
}

/** Among those of one place the one with more conditions goes first; those with as many exclude one another. */
function add(paths: ByPath, one: CompiledRoute): ByPath {
  const key = one.said.match.path ?? '/*';
  const together = [...(paths.get(key) ?? []), one];
  together.sort((a, b) => conditionsOf(b.said.match) - conditionsOf(a.said.match));
  return paths.set(key, together);
}

/** An exact name before a wildcard, the longer wildcard first, and those for all names of the door last. */
function* hostsFor(
  host: string,
  isDoor: boolean,
  exact: ReadonlyMap<string, ByPath>,
  wild: ReadonlyMap<string, ByPath>,
): Generator<ByPath> {
  const own = host === '' ? undefined : exact.get(host);
  if (own) yield own;
  for (let dot = host.indexOf('.'); wild.size > 0 && dot >= 0; dot = host.indexOf('.', dot + 1)) {
    const below = wild.get(host.slice(dot));
    if (below) yield below;
  }
  const every = isDoor ? exact.get('') : undefined;
  if (every) yield every;
}

/** Adds the routes of the path, the longer literal part first; true as soon as one fits whatever the model is. */
function collect(paths: ByPath, facts: RequestFacts, longest: number, found: CompiledRoute[]): boolean {
  const { path } = facts;
  if (take(paths.get(path), facts, found)) return true;
  let end = path.length <= longest ? path.length : path.lastIndexOf('/', longest);
  for (; end >= 0; end = end === 0 ? -1 : path.lastIndexOf('/', end - 1)) {
    if (take(paths.get(`${path.slice(0, end)}/*`), facts, found)) return true;
  }
  return false;
}

function take(routes: readonly CompiledRoute[] | undefined, facts: RequestFacts, found: CompiledRoute[]): boolean {
  for (const one of routes ?? []) {
    if (!fits(one.said.match, facts)) continue;
    found.push(one);
    if (one.fitsModel === null) return true;
  }
  return false;
}

function fits({ method, header }: Match, facts: RequestFacts): boolean {
  if (method && !method.some((one) => one === facts.method)) return false;
  for (const [name, value] of Object.entries(header ?? {})) {
    const given = facts.headers[name];
    if (given === undefined || (value !== '*' && given !== value)) return false;
  }
  return true;
}
