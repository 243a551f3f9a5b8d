import { availableParallelism } from 'node:os';
import type { ConfigSource } from '#config/load';
import type { Config } from '#config/static';
import type { PlatformReady, Successor } from '#contracts/platform';
import type { RuntimeDriver } from '#contracts/runtime';
import type { StateStore } from '#contracts/state';
import { createLive } from '#edge/live';
import type { Clock } from '#kernel/clock';
import { createClosers } from '#kernel/closers';
import type { Closers } from '#kernel/closers';
import { originalOf, replicaOf } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import type { Logger } from '#kernel/logger';
import { processMark } from '#kernel/process-mark';
import { repeat } from '#kernel/repeat';
import { serveGranter } from '#routing/peer/host';
import type { Home } from '#runtime/home';
import { followCertificates } from './platform/certificates.ts';
import { createCore } from './platform/core.ts';
import type { Core } from './platform/core.ts';
import { createFront, drain, emptied, listen, listenOn, portOf } from './platform/front.ts';
import { issuerProblems } from './platform/identity.ts';
import { createOperator } from './platform/operator.ts';
import { createFailures, openMoves } from './platform/moves.ts';
import { followPressure } from './platform/pressure.ts';
import { createReporter } from './platform/reporter.ts';
import type { Reporter } from './platform/reporter.ts';
import { schedulerSettings } from './platform/settings.ts';
import { openStores } from './platform/stores.ts';
import type { Stores } from './platform/stores.ts';
import { followHeld } from './platform/succession/heir.ts';
import type { Heritage } from './platform/succession/heir.ts';
import { createSuccession } from './platform/succession/succession.ts';
import { version } from './platform/version.ts';

/** The implementations a build is made of. A smaller build is another list (`standard.ts`). */
export interface Drivers {
  openState(path: string): Promise<StateStore>;
  openRuntime(): Promise<RuntimeDriver>;
  /** `owner` tells this platform's containers from others' of the same engine. Absent in a build without. */
  openContainers?(owner: string): Promise<RuntimeDriver>;
  /** Why no container can be had on this machine; null where there is an engine to ask. */
  whyNoContainers?(): string | null;
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
  /** What an earlier process leaves to this one. */
  readonly heritage?: Heritage;
  /** Starts a process that is to go on in this one's place. */
  readonly launchSuccessor?: () => Successor;
}

export interface App extends PlatformReady {
  /**
   * Resolves when another process listens in this one's place; what is under way here goes on until `leave`. Rejects when this
   * one has let go of everything and no other one goes on: `leave` is what is left to do.
   */
  readonly replaced: Promise<void>;
  /** Waits for what is under way after that, for as long as it takes, or until the signal aborts. Stops no instance. */
  leave(signal: AbortSignal): Promise<void>;
  /** Lets what works finish, stops every instance and gives everything back. */
  close(): Promise<void>;
}

/** Milliseconds between looks at the instances' memory and logs. */
const surveyMs = 2_000;
/** Milliseconds that requests under way may take to finish when the platform stops. */
const drainMs = 30_000;

/** The door first: what it still serves needs the rest. Every error is kept. */
async function closeBoth(door: Closers, others: Closers): Promise<void> {
  try {
    await door.close();
  } finally {
    await others.close();
  }
}

/** Starts the platform. Leaves nothing behind when it throws. */
export async function startApp(options: AppOptions): Promise<App> {
  const closers = createClosers();
  const door = createClosers();
  try {
    return await assemble(options, closers, door);
  } catch (error) {
    await closeBoth(door, closers).catch((closing: unknown) => {
      throw new AggregateError([error, closing], 'The platform did not start, and did not close properly.');
    });
    throw error;
  }
}

const platformOf = (url: string, startedAt: string, { home }: AppOptions, { identity }: Stores) => ({
  ...{ version, url, home: home.path, startedAt, pid: process.pid },
  ...issuerProblems(identity),
});

/**
 * In this order: the stores, what decides and acts, the door; then what an earlier process left is taken over; only then
 * does the door answer, so that nobody finds a platform that has forgotten what runs.
 */
async function assemble(options: AppOptions, closers: Closers, door: Closers): Promise<App> {
  const { home, config, clock, log, heritage } = options;
  const startedAt = new Date(clock.wall()).toISOString();
  let url = '';
  let notReady: string | null = 'the platform is starting';
  const stores = await openStores(options, closers);
  const reporter = createReporter({ log, clock, tell: (event) => live.tell(event) });
  const succession = createSuccession({
    ...{ clock, log, home, closers, launch: options.launchSuccessor },
    ...{ url: () => url, core: () => core, front: () => front },
  });
  const failures = createFailures();
  const onEvent = failures.before(succession.onEvent);
  const hooks = { reporter, url: () => url, onChange: () => live.touch(), onEvent };
  const core = await createCore(options, stores, hooks, closers);
  const pins = stores.state.table<true>('pins');
  const operator = createOperator({
    ...{ ...core, ...stores, shutdown: options.onShutdown, restart: succession.restart },
    ...{ definitions: home.catalog, env: process.env, moves: openMoves(core, { config, log, failures }) },
    platform: () => platformOf(url, startedAt, options, stores),
    rememberPin: (unit, pinned) => (pinned ? pins.put(unit, true) : pins.delete(unit)),
  });
  const live = createLive(operator.state, clock);
  closers.add(() => live.close());
  const parts = { stores, core, operator, live, reporter, url: () => url, notReady: () => notReady };
  const front = await createFront(options, parts, door);
  closers.add(
    await followCertificates({
      ...{ listen: config.current().listen, home: home.path, clock, log },
      services: {
        ids: () => [...stores.catalog.current().services.keys()],
        onChange: (listener) => stores.catalog.onChange(listener),
      },
      use: (pair) => front.protocols.secure(pair),
    }),
  );

  const { host, port } = config.current().listen;
  if (!heritage) {
    // What is started below is told the door's address. Who comes before all of it is taken up waits.
    front.moving.begin();
    await listen(front.server, port, host);
  }
  url = heritage?.url ?? `http://${['0.0.0.0', '::'].includes(host) ? '127.0.0.1' : host}:${portOf(front.server)}`;
  core.tellTime();
  core.scheduler.dispatch({ kind: 'cores', cores: availableParallelism() });
  // Before anything is taken over or started: how much of a model is on a card depends on them.
  await core.cards.look();
  await takeUp(options, stores, core);
  for (const unit of [...pins.list().map(({ key }) => key as UnitId), ...core.units.pinned()]) pin(core, unit);
  followChanges(options, stores, core, reporter, closers);
  await attend(options, stores, core, reporter, closers);
  if (heritage) listenOn(front.server, await heritage.listener());
  await home.announce({ url, pid: process.pid, startedAt, version, mark: processMark(process.pid) });
  notReady = null;
  front.moving.end(null);
  heritage?.listening(url);
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
      await core.jobs.jobs.close();
      await stopAll(core);
      await closeBoth(door, closers);
    },
    replaced: succession.replaced,
    async leave(signal) {
      await emptied(front, signal);
      await door.close().finally(() => succession.part());
    },
  };
}

/** Looks at the cards, the instances and the machine's memory, again and again. */
async function attend(
  { clock, log }: AppOptions,
  stores: Stores,
  core: Core,
  reporter: Reporter,
  closers: Closers,
): Promise<void> {
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
}

/** Tells the scheduler what the catalogue and the configuration say now. */
async function configure({ catalog }: Stores, { units, jobs, scheduler }: Core): Promise<void> {
  await Promise.all([...catalog.current().models.keys()].map((model) => units.plans.tryRefresh(model)));
  scheduler.dispatch({ kind: 'configure', units: [...units.specs(), ...jobs.specs()] });
}

/**
 * The first configuration, together with what an earlier process left running: told one after the other, a core unit
 * would be started a second time in between.
 */
async function takeUp(
  { log, clock, heritage }: AppOptions,
  { catalog }: Stores,
  { units, supervisor, scheduler, jobs, needs, waker }: Core,
): Promise<void> {
  await Promise.all([...catalog.current().models.keys()].map((model) => units.plans.tryRefresh(model)));
  await jobs.jobs.recover();
  const specs = units.specs();
  const found = await supervisor.recover((unit) =>
    specs.some(({ id, replicas }) => id === originalOf(unit) && replicaOf(unit) <= replicas.max),
  );
  const held = new Map(heritage?.held.map((one) => [one.unit, one]));
  scheduler.dispatch({
    kind: 'configure',
    units: specs,
    found: found.map((one) => ({ ...held.get(one.unit), ...one })),
  });
  if (heritage) {
    followHeld(heritage, scheduler);
    serveGranter(heritage.link, waker, clock);
  }
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
    config.onChange((now, before) => {
      const keys = (Object.keys(now) as (keyof Config)[]).filter(
        (key) => JSON.stringify(now[key]) !== JSON.stringify(before[key]),
      );
      const nobody = { target: null, status: null, principal: null, keyId: null, from: null, traceId: null };
      stores.identity.audit.record({ what: 'configurationChanged', ...nobody, details: { keys } });
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
