import { z } from 'zod';
import { didYouMean } from '#kernel/nearest';
import { url } from './fields.ts';
import { step } from './middlewares.ts';
import type { Step } from './middlewares.ts';

/** Addresses by which a platform is watched and mended: no file may take them away at the door's own names. */
export const protectedPaths = ['/sutaz', '/console', '/healthz', '/readyz', '/metrics', '/mcp', '/docs'] as const;

export const isProtected = (path: string): boolean =>
  protectedPaths.some((own) => path === own || (path.startsWith(own) && path[own.length] === '/'));

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;

/** One or several, as a list. */
const listOf = <S extends z.ZodType>(one: S) =>
  z
    .union([one, z.array(one).min(1)], { error: ({ input }) => listProblem(input) })
    .transform((given): z.output<S>[] => (Array.isArray(given) ? given : [given]));

const listProblem = (input: unknown): string =>
  `must be one or several of ${methods.join(', ')}.${typeof input === 'string' ? didYouMean(input, methods) : ''}`;

/** Which requests a route is for. */
export const match = z
  .strictObject({
    host: z
      .string()
      .toLowerCase()
      .regex(/^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*$/, 'must be a name of a host, or *.name for all below it; no port')
      .refine((host) => !/^\*\.[^.]+$/.test(host) && !host.endsWith('.localhost'), "names below it are the door's own")
      .exactOptional()
      .describe('The Host of the request: docs.box.lan, or *.box.lan.'),
    path: z
      .string()
      .regex(/^\/[^*?#]*(\*)?$/, 'must be a path such as /manual, or /manual/* for it and all below it')
      .refine((path) => !path.endsWith('*') || path.endsWith('/*'), 'a * stands after a slash, at the end')
      .exactOptional()
      .describe('The path: /manual, or /manual/* for it and all below it.'),
    method: listOf(z.enum(methods)).exactOptional().describe('One method or several.'),
    header: z
      .record(
        z
          .string()
          .toLowerCase()
          .regex(/^[a-z0-9-]+$/, 'not a name of a header'),
        z.string().min(1),
      )
      .exactOptional()
      .describe('Headers with their values; * for any.'),
    model: z.string().min(1).exactOptional().describe('The model that the request names, as written; * for any text.'),
  })
  .refine(
    (given) => Object.keys(given).length > 0,
    'matches everything: it needs one of host, path, method, header, model',
  )
  .describe('Which requests. All that is said must fit.');

const target = z
  .strictObject({
    service: z.string().min(1).exactOptional().describe('A service by its id.'),
    model: z.string().min(1).exactOptional().describe('A model by id, alias or name of your own: put in the request.'),
    url: url
      .refine((text) => {
        const { protocol, username, password, search, hash } = new URL(text);
        return /^https?:$/.test(protocol) && !username && !password && !search && !hash;
      }, 'must be http or https, without a user, a query or a fragment')
      .exactOptional()
      .describe('An address elsewhere.'),
  })
  .refine((given) => Object.keys(given).length === 1, 'needs exactly one of service, model, url')
  .describe('Where they go. Without it where the door would have them go.');

const redirect = z
  .strictObject({
    to: z
      .string()
      .regex(/^(https?:\/\/[^/\s*]+)?\/[^\s*]*\*?$|^https?:\/\/[^/\s*]+$/, 'must be a path or an address')
      .refine((to) => !to.startsWith('//'), 'must be a path or an address')
      .describe(
        'A path or an address. With /* at its end, and at that of the path that matches, what * stood for is put there.',
      ),
    status: z
      .union(
        [z.literal(301), z.literal(302), z.literal(303), z.literal(307), z.literal(308)],
        'must be 301, 302, 303, 307 or 308',
      )
      .default(307),
  })
  .describe('Answers with a redirect.');

const answer = z
  .strictObject({
    status: z.number().int().min(200).max(599).default(200),
    type: z
      .string()
      .min(1)
      .regex(/^[\x20-\x7e]+$/, 'not a media type')
      .default('text/plain; charset=utf-8'),
    body: z.string().default(''),
  })
  .describe('Answers with this text.');

const moduleStep = z.strictObject({
  use: z
    .string()
    .regex(
      /^[\w.-]+(\/[\w.-]+)*\.(ts|mts|js|mjs)$/,
      'must be a .ts or .js file in the home folder, such as middlewares/mine.ts',
    )
    .refine((file) => !file.split('/').includes('..'), 'must be in the home folder')
    .describe('A module of your own, in the home folder.'),
});

const plainSteps = z.array(z.union([step, moduleStep], { error: 'must be a middleware' }));
const steps = z.array(
  z.union([z.string().min(1), step, moduleStep], { error: 'must be a middleware, or the name of several' }),
);

const name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]*$/i, 'a name is letters, digits and . _ -')
  .max(40);

const route = z
  .strictObject({
    match,
    to: target.exactOptional(),
    redirect: redirect.exactOptional(),
    answer: answer.exactOptional(),
    public: z.boolean().exactOptional().describe('true needs no key: only for redirects and answers.'),
    with: steps.exactOptional().describe('Middlewares, in this order.'),
  })
  .check(({ value, issues }) => {
    if (issues.length > 0) return;
    const say = (message: string, path: PropertyKey[] = []) =>
      issues.push({ code: 'custom', message, path, input: value });
    const ends = (['to', 'redirect', 'answer'] as const).filter((end) => value[end] !== undefined);
    if (ends.length > 1) say(`needs one of ${ends.join(', ')}, not several`);
    if (ends.length === 0 && value.with === undefined) say('does nothing: it needs one of to, redirect, answer, with');
    const isOurs = value.redirect !== undefined || value.answer !== undefined;
    if (value.public === true && !isOurs) say('only a redirect or an answer needs no key', ['public']);
    if (isOurs && value.with !== undefined)
      say('is for what goes on: a redirect or an answer says itself what it is', ['with']);
    if (value.match.model !== undefined && (isOurs || (value.to && !value.to.model)))
      say('is read by what calls models: such a route goes to a model, or nowhere else', ['match', 'model']);
  });

export type Route = z.output<typeof route>;
export type Match = z.output<typeof match>;
export type ModuleStep = z.output<typeof moduleStep>;
export type AnyStep = Step | ModuleStep;

export const routeSettings = z
  .record(name, route)
  .default({})
  .describe('Addresses of your own, by name, and what is done to what passes.');

export const middlewareSets = z
  .record(name, plainSteps.min(1))
  .default({})
  .describe('Middlewares under a name, for several routes.');

export interface RouteConfig {
  readonly routes: Readonly<Record<string, Route>>;
  readonly middlewares: Readonly<Record<string, readonly AnyStep[]>>;
  readonly listen: { readonly hosts: readonly string[] };
}

/** What is wrong between routes, or between one and the rest of the file. */
export function* routeProblems(config: RouteConfig): Generator<{ path: PropertyKey[]; message: string }> {
  const seen = new Map<string, Route>();
  for (const [id, one] of Object.entries(config.routes)) {
    yield* ownProblems(id, one, config);
    const rival = rivalOf(one, seen);
    if (rival !== null)
      yield {
        path: ['routes', id, 'match'],
        message: `matches what ${rival} matches: neither goes before the other`,
      };
    seen.set(id, one);
  }
}

/** The name of a route that could be meant where this one is, and would not go before or after it; null where none is. */
export function rivalOf(
  { match: own }: Pick<Route, 'match'>,
  others: Iterable<readonly [string, Route]>,
): string | null {
  const place = placeOf(own);
  for (const [name, { match: other }] of others) if (placeOf(other) === place && canBothMatch(own, other)) return name;
  return null;
}

function* ownProblems(
  id: string,
  one: Route,
  config: RouteConfig,
): Generator<{ path: PropertyKey[]; message: string }> {
  const { host, path } = one.match;
  const atDoor = host === undefined || isDoorName(host, config.listen.hosts);
  if (atDoor && path !== undefined && isProtected(path.replace(/\/\*$/, ''))) {
    yield { path: ['routes', id, 'match', 'path'], message: `is the door's own: ${protectedPaths.join(', ')} stay` };
  }
  const known = Object.keys(config.middlewares);
  for (const [place, used] of (one.with ?? []).entries()) {
    if (typeof used !== 'string' || Object.hasOwn(config.middlewares, used)) continue;
    yield {
      path: ['routes', id, 'with', place],
      message: `no middlewares are called ${used}.${didYouMean(used, known)}`,
    };
  }
  const stepsOf = (used: string | AnyStep) => (typeof used === 'string' ? (config.middlewares[used] ?? []) : [used]);
  const place = (one.with ?? []).findIndex((used) => stepsOf(used).some((made) => 'httpCache' in made));
  if (place >= 0 && one.to?.service === undefined && one.to?.url === undefined) {
    yield {
      path: ['routes', id, 'with', place],
      message: 'httpCache is for what goes to a service or a url: answers of models are kept by cache.memory',
    };
  }
}

const isDoorName = (host: string, hosts: readonly string[]): boolean =>
  host === 'localhost' || host === '127.0.0.1' || hosts.some((own) => own.toLowerCase() === host);

/** How many conditions a match has beside host and path: of two at one place the one with more goes first. */
export const conditionsOf = ({ method, header = {}, model }: Match): number =>
  (method ? 1 : 0) + Object.keys(header).length + (model === undefined ? 0 : 1);

const placeOf = (one: Match): string => `${one.host ?? ''} ${one.path ?? '/*'} ${conditionsOf(one)}`;

/** Whether a request can fit both, which stand at one place and have as many conditions. */
function canBothMatch(one: Match, other: Match): boolean {
  if (one.method && other.method && !one.method.some((method) => other.method?.includes(method))) return false;
  for (const [header, value] of Object.entries(one.header ?? {})) {
    const rival = other.header?.[header];
    if (rival !== undefined && value !== '*' && rival !== '*' && rival !== value) return false;
  }
  const [a, b] = [one.model, other.model];
  return a === undefined || b === undefined || a.includes('*') || b.includes('*') || a === b;
}
