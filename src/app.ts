import { availableParallelism } from 'node:os';
import type { ConfigSource } from '#config/load';
import type { PlatformReady } from '#contracts/platform';
import type { RuntimeDriver } from '#contracts/runtime';
import type { StateStore } from '#contracts/state';
import { createLive } from '#edge/live';
import type { Clock } from '#kernel/clock';
import { createClosers } from '#kernel/closers';
import type { Closers } from '#kernel/closers';
import { originalOf, replicaOf } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import type { Logger } from '#kernel/logger';
import { repeat } from '#kernel/repeat';
import type { Home } from '#runtime/home';
import { createCore } from './platform/core.ts';
import type { Core } from './platform/core.ts';
import { createFront, drain, listen, portOf } from './platform/front.ts';
import { createOperator } from './platform/operator.ts';
import { followPressure } from './platform/pressure.ts';
import { createReporter } from './platform/reporter.ts';
import type { Reporter } from './platform/reporter.ts';
import { schedulerSettings } from './platform/settings.ts';
import { openStores } from './platform/stores.ts';
import type { Stores } from './platform/stores.ts';
import { version } from './platform/version.ts';

/** The implementations a build is made of. A smaller build is another list (`standard.ts`). */
export interface Drivers {
  openState(path: string): Promise<StateStore>;
  openRuntime(): Promise<RuntimeDriver>;
}

export interface AppOptions {
  readonly home: Home;
  readonly config: ConfigSource;
  readonly drivers: Drivers;
  readonly clock: Clock;
  readonly log: Logger;
  /** The folder of the built-in definitions. */
  readonly catalog: string;
  /** The folder of the built console. It need not exist. */
  readonly console: string;
  /** The file that describes the control API. */
  readonly openapi: string;
  /** Someone asked the platform to end. */
  readonly onShutdown: () => void;
}

export interface App extends PlatformReady {
  /** Lets what works finish, stops every instance and gives everything back. */
  close(): Promise<void>;
}

/** Milliseconds between looks at the instances' memory and logs. */
const surveyMs = 2_000;
/** Milliseconds that requests under way may take to finish when the platform stops. */
const drainMs = 30_000;

/** Starts the platform. Leaves nothing behind when it throws. */
export async function startApp(options: AppOptions): Promise<App> {
  const closers = createClosers();
  try {
    return await assemble(options, closers);
  } catch (error) {
    await closers.close().catch((closing: unknown) => {
      throw new AggregateError([error, closing], 'The platform did not start, and did not close properly.');
    });
    throw error;
  }
}

/**
 * In this order: the stores, what decides and acts, the door; then what an earlier process left is taken over; only then
 * does the door listen, so that nobody finds a platform that has forgotten what runs.
 */
async function assemble(options: AppOptions, closers: Closers): Promise<App> {
  const { home, config, clock, log } = options;
  const startedAt = new Date(clock.wall()).toISOString();
  let url = '';
  let notReady: string | null = 'the platform is starting';
  const stores = await openStores(options, closers);
  const reporter = createReporter({ log, clock, tell: (event) => live.tell(event) });
  const hooks = { reporter, url: () => url, onChange: () => live.touch() };
  const core = await createCore(options, stores, hooks, closers);
  const pins = stores.state.table<true>('pins');
  const operator = createOperator({
    ...{ ...core, ...stores, shutdown: options.onShutdown, definitions: home.catalog, env: process.env },
    platform: () => ({ version, url, home: home.path, startedAt, pid: process.pid }),
    rememberPin: (unit, pinned) => (pinned ? pins.put(unit, true) : pins.delete(unit)),
  });
  const live = createLive(operator.state, clock);
  closers.add(() => live.close());
  const parts = { stores, core, operator, live, reporter, url: () => url, notReady: () => notReady };
  const front = await createFront(options, parts, closers);

  core.tellTime();
  core.scheduler.dispatch({ kind: 'cores', cores: availableParallelism() });
  // Before anything is taken over or started: how much of a model is on a card depends on them.
  await core.cards.look();
  await takeUp(stores, core, log);
  for (const unit of [...pins.list().map(({ key }) => key as UnitId), ...core.units.pinned()]) pin(core, unit);
  followChanges(options, stores, core, reporter, closers);
  closers.add(
    core.cards.follow(() => {
      configure(stores, core).catch((error: unknown) =>
        log.error('a change of the graphics cards could not be taken up', { error: String(error) }),
      );
    }),
  );
  closers.add(
    repeat(
      clock,
      surveyMs,
      () => core.supervisor.survey(),
      (error) => log.warn('a look at the instances failed', { error: String(error) }),
    ),
  );
  const pressure = await followPressure({ clock, log, scheduler: core.scheduler, reporter });
  closers.add(() => pressure.close());
  const { host, port } = config.current().listen;
  await listen(front.server, port, host);
  url = `http://${['0.0.0.0', '::'].includes(host) ? '127.0.0.1' : host}:${portOf(front.server)}`;
  await home.announce({ url, pid: process.pid, startedAt, version });
  notReady = null;
  log.info('the platform is ready', { url, limitBytes: core.limit().bytes });

  return {
    url,
    pid: process.pid,
    keyFile: home.keyFile,
    async close() {
      notReady = 'the platform is stopping';
      core.scheduler.dispatch({ kind: 'shutdown' });
      live.close();
      await drain(front, clock, drainMs);
      await stopAll(core);
      await closers.close();
    },
  };
}

/** Tells the scheduler what the catalogue and the configuration say now. */
async function configure({ catalog }: Stores, { units, scheduler }: Core): Promise<void> {
  await Promise.all([...catalog.current().models.keys()].map((model) => units.plans.tryRefresh(model)));
  scheduler.dispatch({ kind: 'configure', units: units.specs() });
}

/**
 * The first configuration, together with what an earlier process left running: told one after the other, a core unit
 * would be started a second time in between.
 */
async function takeUp({ catalog }: Stores, { units, supervisor, scheduler, needs }: Core, log: Logger): Promise<void> {
  await Promise.all([...catalog.current().models.keys()].map((model) => units.plans.tryRefresh(model)));
  const specs = units.specs();
  const found = await supervisor.recover((unit) =>
    specs.some(({ id, replicas }) => id === originalOf(unit) && replicaOf(unit) <= replicas.max),
  );
  scheduler.dispatch({ kind: 'configure', units: specs, found });
  for (const { unit } of found) {
    // It runs already: what it stands on is held again as soon as it can be.
    needs
      .take(unit, new AbortController().signal)
      .catch((error: unknown) => log.warn('what an instance needs is missing', { unit, error: String(error) }));
  }
}

function pin({ scheduler }: Core, unit: UnitId): void {
  if (scheduler.state.units.has(unit)) scheduler.dispatch({ kind: 'pin', unit, pinned: true });
}

function followChanges(
  { config, log }: AppOptions,
  stores: Stores,
  core: Core,
  reporter: Reporter,
  closers: Closers,
): void {
  const { scheduler, units } = core;
  const take = (what: string) => {
    // What was prepared may not be what is asked for now.
    for (const unit of scheduler.state.units.keys()) units.preparing.forget(unit);
    core.pickers.refresh();
    configure(stores, core).then(
      () => reporter.note('configuration', what),
      (error: unknown) => log.error('a change could not be taken up', { error: String(error) }),
    );
  };
  closers.add(
    stores.catalog.onChange(({ disabled }) =>
      take(`the catalogue changed; ${disabled.length} definitions are disabled`),
    ),
  );
  closers.add(
    config.onChange(() => {
      scheduler.dispatch({ kind: 'limit', bytes: core.limit().bytes });
      scheduler.dispatch({ kind: 'settings', settings: schedulerSettings(config.current()) });
      core.tellTime();
      take('the configuration changed');
    }),
  );
}

async function stopAll({ scheduler, supervisor }: Core): Promise<void> {
  for (const unit of [...scheduler.state.units.keys()]) {
    scheduler.dispatch({ kind: 'stop', unit, reason: { code: 'shutdown' }, force: true });
  }
  await supervisor.idle();
}
