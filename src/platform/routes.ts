import type { ConfigSource, Review } from '#config/load';
import { withServiceRoutes } from '#catalog/routes';
import type { CatalogSource } from '#catalog/source';
import { formatProblem, problemAt } from '#config/strict';
import type { Config } from '#config/static';
import type { RouteConfig } from '#config/routes';
import { goOnCounting } from '#edge/http-cache/view';
import { loadModule } from '#edge/routes/modules';
import type { LoadedModule } from '#edge/routes/modules';
import { outsideWaker, urlOfOutside } from '#edge/routes/outside';
import type { Routes } from '#edge/routes/serve';
import { compileRoutes } from '#edge/routes/table';
import type { RouteTable } from '#edge/routes/table';
import type { Clock } from '#kernel/clock';
import type { Closers } from '#kernel/closers';
import { Fault, toFault } from '#kernel/faults';
import type { Logger } from '#kernel/logger';
import { didYouMean } from '#kernel/nearest';
import { createPickers } from '#routing/pickers';
import { readFile } from 'node:fs/promises';
import type { LimitsDeps } from './limits.ts';
import { policyOf } from './policies.ts';

export interface RoutesDeps {
  readonly config: ConfigSource;
  /** The home folder, where modules of the user's own are. */
  readonly home: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly known: LimitsDeps['known'];
  /** Definitions have routes of their own. */
  readonly catalog: Pick<CatalogSource, 'current' | 'onChange'>;
}

type Place = Review['problems'][number];

/** Those that routes use, by their files. */
type Modules = ReadonlyMap<string, LoadedModule>;

/**
 * The routes of the configuration and of the catalogue. Those of a new configuration are made before it takes effect, and
 * take the old ones' place in the same turn. Throws BAD_REQUEST when those of the start cannot be made.
 */
export async function openRoutes(deps: RoutesDeps, closers: Closers): Promise<Routes> {
  const { config, clock, catalog } = deps;
  let modules = await mustMake(config.current(), deps.home, config);
  let next = modules;
  let table: RouteTable | null = null;
  const compile = () => {
    const next = tableOf(deps, modules);
    goOnCounting(next, table);
    table = next;
    void tellUnknown(deps);
  };
  closers.add(
    config.review(async (proposed) => {
      const made = await load(proposed, deps.home, modules);
      next = made.modules;
      return { problems: made.problems, changed: isOther(made.modules, modules) };
    }),
  );
  closers.add(
    config.onChange(() => {
      modules = next;
      compile();
    }),
  );
  closers.add(catalog.onChange(compile));
  compile();
  const policy = (url: string) => policyOf({ elsewhere: { url }, settings: {} });
  const pickers = createPickers({
    clock,
    policy: (unit) => policy(urlOfOutside(unit)),
    check: () => Promise.resolve(null),
  });
  closers.add(() => pickers.close());
  return { table: () => table, outside: outsideWaker(pickers) };
}

/** Throws BAD_REQUEST, with the places in the file, when the routes cannot be made. */
export async function mustMake(config: RouteConfig, home: string, at: Pick<ConfigSource, 'file'>): Promise<Modules> {
  const { modules, problems } = await load(config, home, new Map());
  if (problems.length > 0) throw new Fault('BAD_REQUEST', (await placed(problems, at)).join('\n'));
  return modules;
}

function tableOf({ config, catalog, log }: RoutesDeps, modules: Modules): RouteTable | null {
  const definitions = [...catalog.current().services.values()].map(({ definition }) => definition);
  const { config: all, shadowed } = withServiceRoutes(config.current(), definitions);
  for (const { service, index, by } of shadowed)
    log.warn('a route of a definition is not used: another one has its address', { service, route: index, by });
  return compileRoutes(all, (file) => modules.get(file)?.middleware ?? {});
}

async function load(
  config: RouteConfig,
  home: string,
  before: Modules,
): Promise<{ readonly modules: Modules; readonly problems: readonly Place[] }> {
  const modules = new Map<string, LoadedModule>();
  const problems: Place[] = [];
  for (const { path, file } of modulesOf(config)) {
    try {
      modules.set(file, await loadModule(home, file, modules.get(file) ?? before.get(file)));
    } catch (error) {
      problems.push({ path, message: `${file} ${toFault(error).message}` });
    }
  }
  return { modules, problems };
}

function* modulesOf({ routes, middlewares }: RouteConfig): Generator<{ path: PropertyKey[]; file: string }> {
  const lists = [
    ...Object.entries(routes).map(([name, one]) => ({ at: ['routes', name, 'with'], steps: one.with ?? [] })),
    ...Object.entries(middlewares).map(([name, steps]) => ({ at: ['middlewares', name], steps })),
  ];
  for (const { at, steps } of lists) {
    for (const [place, one] of steps.entries()) {
      if (typeof one === 'object' && 'use' in one) yield { path: [...at, place, 'use'], file: one.use };
    }
  }
}

const isOther = (one: Modules, other: Modules): boolean =>
  [...one].some(([file, { digest }]) => other.get(file)?.digest !== digest);

async function placed(problems: readonly Place[], { file }: Pick<ConfigSource, 'file'>): Promise<string[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return problems.map(({ path, message }) => formatProblem(problemAt(text, file, path, message)));
}

/** Targets that nothing has now: such a route answers with NOT_FOUND until there is one. */
async function tellUnknown({ config, log, known }: RoutesDeps): Promise<void> {
  const { services, models } = known();
  for (const problem of await placed([...unknownTargets(config.current(), services, models)], config)) {
    log.warn('a route leads nowhere', { problem });
  }
}

function* unknownTargets({ routes }: Config, services: readonly string[], models: readonly string[]): Generator<Place> {
  for (const [name, { to }] of Object.entries(routes)) {
    for (const [kind, names] of [
      ['service', services],
      ['model', models],
    ] as const) {
      const asked = to?.[kind];
      if (asked === undefined || names.includes(asked) || asked === 'default') continue;
      yield {
        path: ['routes', name, 'to', kind],
        message: `no ${kind} is called ${asked}.${didYouMean(asked, names)}`,
      };
    }
  }
}
