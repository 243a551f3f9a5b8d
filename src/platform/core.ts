import { stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '#kernel/clock';
import type { Closers } from '#kernel/closers';
import { toFault } from '#kernel/faults';
import { unitId } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import { createRelay } from '#routing/granter';
import type { Relay } from '#routing/granter';
import type { Pickers } from '#routing/pickers';
import { createGranter, withLines } from '#routing/wake';
import type { Waker, WakerOptions } from '#routing/wake';
import type { InstanceLogs } from '#runtime/instance';
import { openJobRecords } from '#runtime/jobs/records';
import type { Logs } from '#runtime/logs';
import { openLent } from '#runtime/lent';
import { createGpuReader } from '#runtime/gpu';
import { memoryLimit, readMachine } from '#runtime/machine';
import type { MemoryLimit } from '#runtime/machine';
import { openPorts } from '#runtime/ports';
import { openRecords } from '#runtime/records';
import type { Records } from '#runtime/records';
import { createGrants } from '#runtime/grants';
import { createSandbox } from '#runtime/sandbox/sandbox';
import { createSupervisor, logFileName } from '#runtime/supervisor';
import type { Supervisor } from '#runtime/supervisor';
import type { Effects, Scheduler } from '#scheduler/run-loop';
import type { Event } from '#scheduler/types';
import { lastingSecret } from '#security/lasting';
import { atVersion } from '#units/at-version';
import { createBindings } from '#units/bindings';
import type { Bindings, BindingsDeps } from '#units/bindings';
import { createDirectory } from '#units/directory';
import type { Directory } from '#units/directory';
import { openLearned } from '#units/learned';
import type { Savings } from '#units/savings';
import { createUnits } from '#units/units';
import type { Units } from '#units/units';
import { pidOf, progressOf } from '#units/views';
import type { ViewSources } from '#units/views';
import type { AppOptions } from '../app.ts';
import { openAccount } from './account.ts';
import { createAddresses } from './addresses.ts';
import { createCards } from './cards.ts';
import type { Cards } from './cards.ts';
import { scopesOfInstance } from './instance-rights.ts';
import { createPlatformJobs } from './jobs.ts';
import type { PlatformJobs } from './jobs.ts';
import { viewOne } from './library.ts';
import { createNeeds } from './needs.ts';
import type { Needs } from './needs.ts';
import { offering } from './offer.ts';
import { outcomesFor } from './outcomes.ts';
import type { Reporter } from './reporter.ts';
import { cardReserve, settingsOf } from './settings.ts';
import type { Stores } from './stores.ts';
import { reaches, targetOf } from './targets.ts';
import { countUses } from './uses.ts';
import type { Uses } from './uses.ts';
import { unitPickers } from './unit-pickers.ts';
import { wiredValues } from './wiring.ts';
import { openWays, withWays } from './ways.ts';
import type { Ways } from './ways.ts';
import type { WiringDeps } from './wiring.ts';

/** What decides and acts: the account, the units it is kept of, and the instances they become. */
export interface Core {
  readonly directory: Directory;
  readonly scheduler: Scheduler;
  readonly units: Units;
  readonly supervisor: Supervisor;
  readonly waker: Waker;
  readonly uses: Uses;
  readonly pickers: Pickers;
  /** Whom the waker asks. */
  readonly relay: Relay;
  /** From now on nothing is done to instances: they are another process's. */
  readonly letGo: () => void;
  readonly needs: Needs;
  /** How services run that were moved. */
  readonly ways: Ways;
  readonly bindings: Bindings;
  readonly jobs: PlatformJobs;
  readonly records: Records;
  readonly views: ViewSources;
  readonly savings: Savings;
  /** The graphics cards, and what is on them. */
  readonly cards: Cards;
  /** Tells the scheduler what time it is; from then on it does so by itself. */
  readonly tellTime: () => void;
  readonly limit: () => MemoryLimit;
  readonly logFile: (unit: UnitId) => string;
}

export interface CoreHooks {
  readonly reporter: Reporter;
  /** The account may have changed. */
  readonly onChange: () => void;
  readonly onEvent: (event: Event) => void;
  /** The door's own address; empty until it listens. */
  readonly url: () => string;
}

export async function createCore(
  options: AppOptions,
  stores: Stores,
  hooks: CoreHooks,
  closers: Closers,
): Promise<Core> {
  const { home, config, clock, log } = options;
  const machine = await readMachine();
  const limit = () => {
    const { memory } = config.current();
    return memoryLimit({ ...machine, configuredBytes: memory.limit, reserveBytes: memory.reserve });
  };
  const ways = openWays(stores.state);
  const settings = () => withWays(settingsOf(config.current()), ways, stores.catalog.current);
  const directory = atVersion(createDirectory(stores.catalog.current, settings), stores.models.get);
  // The supervisor reports to the scheduler and so is made after it; nothing is decided before both are there.
  const { effects, letGo } = actingThrough((unit) => (unit.startsWith('job/') ? jobs.effects : supervisor));
  const { scheduler, savings, tellTime } = openAccount(options, stores, limit().bytes, hooks, closers, effects);
  const records = openRecords(stores.state);
  const cards = createCards({
    ...{ clock, log, scheduler, reader: createGpuReader({ clock, log, env: process.env }) },
    reserveBytes: () => cardReserve(config.current()),
    instances: () => processesOf(records),
  });
  const learned = openLearned(stores.state, log);
  const units = createUnits({
    ...{ catalog: stores.catalog.current, settings, directory, clock, log },
    ...{ store: stores.models, puller: stores.puller, environments: stores.environments },
    view: async (kind, model) => (await viewOne(kind, model, { ...stores, directory })).root,
    ...{ learned, home: home.path },
    cores: availableParallelism(),
    cards: () => cards.list(),
    ...{ canFreeze: stores.runtime.freeze !== undefined, images: stores.runtime.prepare },
    noEngine: () => options.drivers.whyNoContainers?.() ?? null,
    describe: (spec) => scheduler.dispatch({ kind: 'describe', unit: spec }),
  });
  const lent = openLent(stores.state, home.path);
  const sandbox = createSandbox({ home: home.path, rules: () => config.current().sandbox, lent, log });
  const later = { units: () => units, supervisor: () => supervisor, waker: () => waker };
  const wiring = wiringOf(stores, settings, { ...hooks, home: home.path }, later);
  const { bindings } = wiring;
  const needs = createNeeds(directory, () => waker, bindings.before);
  const scopesOf = (unit: UnitId) =>
    scopesOfInstance(unit, definitionsOf(stores.catalog.current().services), bindings.edges);
  const wired = (unit: UnitId, signal: AbortSignal) => wiredValues(unit, signal, wiring);
  const capabilities = () => ({ openai: `${hooks.url()}/v1`, metrics: `${hooks.url()}/metrics` });
  const place = () => ({ home: home.path, capabilities: capabilities() });
  const logFile = (unit: UnitId) => join(home.logs, logFileName(unit));
  const addresses = createAddresses({ records, scheduler, log, reporter: hooks.reporter, ...later });
  const supervisor = createSupervisor({
    ...{ driver: stores.runtime, environments: stores.environments, clock, log },
    ...{ records, ports: openPorts(stores.state), logs: instanceLogs(stores.logs, logFile) },
    outcomes: outcomesFor({
      ...{ scheduler, units, needs, addresses, scopesOf },
      ...{ identity: stores.identity, store: stores.models, usedFiles: stores.usedFiles },
    }),
    blueprint: (unit, signal) => units.blueprint(unit, signal),
    needs: (unit, signal) => needs.take(unit, signal),
    wired,
    place: () => ({ ...place(), sandbox, lent }),
  });
  closers.add(() => supervisor.close());
  const jobs = createPlatformJobs({
    ...{ driver: stores.runtime, environments: stores.environments, clock, log, host: '127.0.0.1' },
    place: () => ({ ...place(), sandbox, lent }),
    ...{ dir: home.jobs, home: home.path, records: openJobRecords(stores.state) },
    ...{ scheduler, directory, settings, learned, needs, wired, minted: stores.identity.minted },
    scopesOf: (tool) => scopesOf(unitId('job', `${tool}.`)),
  });
  closers.add(() => jobs.jobs.close());
  const sources = viewSources({ scheduler, units, supervisor, cards }, limit, hooks, clock);
  const views = { ...sources, moved: addresses.moved };
  const pickers = unitPickers(stores.catalog.current, () => config.current(), units, clock, closers);
  const parts = { scheduler, units, supervisor, views, pickers };
  const relay = createRelay(createGranter(granting(parts, options)), isEnding);
  const { waker, uses } = countUses(offering(withLines(relay, { clock, pickers }), units.plans), clock);
  return {
    ...{ directory, scheduler, units, supervisor, waker, uses, relay, letGo, pickers, needs, jobs, bindings, records },
    ...{ views, savings, cards, tellTime, limit, logFile, ways },
  };
}

function wiringOf(
  { catalog, seed }: Stores,
  settings: BindingsDeps['settings'],
  { home, url }: Pick<WiringDeps, 'home' | 'url'>,
  { units, supervisor }: { readonly units: () => Units; readonly supervisor: () => Supervisor },
): WiringDeps {
  const canRun = (service: string) => units().unusable(service) === null;
  return {
    ...{ home, url, catalog: catalog.current, grants: createGrants() },
    bindings: createBindings({ catalog: catalog.current, settings, canRun }),
    endpoint: (unit) => supervisor().endpoint(unit),
    secret: (...names) => lastingSecret(seed, ...names),
  };
}

const definitionsOf = <T>(services: ReadonlyMap<string, { readonly definition: T }>): ReadonlyMap<string, T> =>
  new Map([...services].map(([id, { definition }]) => [id, definition]));

const isEnding = (error: unknown): boolean => toFault(error).code === 'SHUTTING_DOWN';

function granting(
  parts: Pick<Core, 'scheduler' | 'units' | 'supervisor' | 'views' | 'pickers'>,
  { clock, log }: AppOptions,
): WakerOptions {
  const { scheduler, units, supervisor, views, pickers } = parts;
  return {
    ...{ scheduler, clock, log, reaches, pickers },
    preparation: {
      isPrepared: (unit) => units.preparing.isDone(unit),
      prepare: (unit, signal) => units.preparing.run(unit, signal),
    },
    isExternal: (unit) => units.externalUrl(unit) !== null,
    target: targetOf(supervisor, units.protocol),
    progress: (unit, waiter) => progressOf(unit, waiter, views),
    silenceMs: units.silenceMs,
  };
}

/** What the scheduler decides, as those do it whose the unit is, until they are let go. */
function actingThrough(actor: (unit: UnitId) => Effects): { readonly effects: Effects; readonly letGo: () => void } {
  let isOurs = true;
  return {
    effects: {
      start: (unit, bytes) => void (isOurs && actor(unit).start(unit, bytes)),
      stop: (unit, reason) => void (isOurs && actor(unit).stop(unit, reason)),
      freeze: (unit) => void (isOurs && actor(unit).freeze(unit)),
      thaw: (unit) => void (isOurs && actor(unit).thaw(unit)),
    },
    letGo: () => void (isOurs = false),
  };
}

/** The processes that instances began with. */
const processesOf = (records: Records) =>
  records.list().flatMap((record) => {
    const pid = pidOf(record);
    return pid === null ? [] : [{ unit: record.unit, pid }];
  });

const instanceLogs = (logs: Logs, file: (unit: UnitId) => string): InstanceLogs => ({
  file,
  size: (unit) =>
    stat(file(unit)).then(
      ({ size }) => size,
      () => 0,
    ),
  last: (unit, lines) => lastLines(logs, file(unit), lines),
  bound: async (unit) => void (await logs.bound(file(unit))),
});

async function lastLines(logs: Logs, file: string, lines: number): Promise<readonly string[]> {
  const text = await logs.excerpt(file, { lines });
  return text === '' ? [] : text.split('\n');
}

function viewSources(
  { scheduler, units, supervisor, cards }: Pick<Core, 'scheduler' | 'units' | 'supervisor' | 'cards'>,
  limit: () => MemoryLimit,
  hooks: CoreHooks,
  clock: Clock,
): ViewSources {
  return {
    ...{
      state: scheduler.state,
      clock,
      limitReason: () => limit().reason,
      titles: units.titles,
      cards: () => cards.list(),
    },
    url: (unit) => (unit.startsWith('service/') ? `${hooks.url()}/services/${unit.slice('service/'.length)}/` : null),
    preparing: (unit) => units.preparing.progress(unit),
    preparationFailure: (unit) => units.preparing.failure(unit),
    starting: (unit) => supervisor.starting(unit),
    record: (unit) => supervisor.record(unit),
    failure: (unit) => supervisor.failure(unit),
  };
}
