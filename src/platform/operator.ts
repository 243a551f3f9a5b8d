import { readFile } from 'node:fs/promises';
import type { CatalogSource } from '#catalog/source';
import type { ApiModel, ApiModelDetails, ApiState, ApiUnit } from '#contracts/api';
import type { ApiMap } from '#contracts/map-api';
import type { ApiUnitUpstreams } from '#contracts/explanations';
import { Fault } from '#kernel/faults';
import { originalOf, parseUnitId, unitId } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import type { Control } from '#edge/control';
import type { ModelStore } from '#models/store';
import type { Puller } from '#models/pull';
import type { Pickers } from '#routing/pickers';
import type { Waker } from '#routing/wake';
import type { Logs } from '#runtime/logs';
import { followAll, tailAll } from '#runtime/several-logs';
import type { NamedLog } from '#runtime/several-logs';
import type { Scheduler } from '#scheduler/run-loop';
import { siblingsOf } from '#scheduler/state';
import type { Unit } from '#scheduler/state';
import type { Bindings } from '#units/bindings';
import type { Directory } from '#units/directory';
import type { Savings } from '#units/savings';
import type { Units } from '#units/units';
import { accountView, ledgerUnit, outlookView } from '#units/explanations';
import { ledgerView, unitView } from '#units/views';
import type { ViewSources } from '#units/views';

import { createByHand, mustBeFirst, mustRun } from './by-hand.ts';
import { dependencyMap } from './dependency-map.ts';
import { createEnvironmentDesk } from './environments.ts';
import type { EnvironmentDeskDeps } from './environments.ts';
import type { PlatformIdentity } from './identity.ts';
import type { PlatformJobs } from './jobs.ts';
import { createLibrary } from './library.ts';
import type { LibraryDeps } from './library.ts';
import { modelFacts } from './model-facts.ts';
import type { Moves } from './moves.ts';
import { planNamed } from './planning.ts';
import type { Uses } from './uses.ts';

export interface OperatorDeps extends Pick<LibraryDeps, 'modelViews' | 'checkFormat' | 'definitions' | 'env'> {
  readonly catalog: CatalogSource;
  readonly directory: Directory;
  readonly bindings: Bindings;
  readonly uses: Uses;
  readonly units: Units;
  readonly scheduler: Scheduler;
  readonly waker: Waker;
  readonly models: ModelStore;
  readonly puller: Puller;
  readonly views: ViewSources;
  readonly savings: Pick<Savings, 'report'>;
  readonly pickers: Pick<Pickers, 'views' | 'know'>;
  readonly platform: () => ApiState['platform'];
  readonly logFile: (unit: UnitId) => string;
  readonly logs: Logs;
  readonly identity: Pick<PlatformIdentity, 'desk' | 'audit'>;
  readonly jobs: Pick<PlatformJobs, 'desk'>;
  readonly environments: EnvironmentDeskDeps['environments'];
  readonly records: EnvironmentDeskDeps['records'];
  readonly shutdown: () => void;
  readonly restart: Control['restart'];
  readonly moves: Moves;
  /** A pin is remembered over a restart. */
  readonly rememberPin: (unit: UnitId, pinned: boolean) => void;
}

/** What the control API does, put together from the parts that do it. */
export function createOperator(deps: OperatorDeps): Control {
  const { catalog, directory, units, scheduler, views } = deps;
  const library = createLibrary({ ...deps, clock: views.clock, details: (id) => modelDetails(id, deps) });
  const unit = (id: UnitId): ApiUnit => {
    const found = scheduler.state.units.get(id);
    return found ? unitView(found, views) : restingView(id, deps);
  };
  return {
    state: () => ({ platform: deps.platform(), ledger: ledgerView(views), units: allUnits(deps).map(unit) }),
    ledger: () => accountView(views),
    savings: () => deps.savings.report(),
    upstreams: () => ({ units: upstreamsOf(deps) }),
    map: () => mapOf(deps),
    unitId: (name) => unitNamed(name, deps),
    unit,
    why(id) {
      const found = scheduler.state.units.get(id);
      const [facts, outlook] = found ? [ledgerUnit(found, views), outlookView(found, views)] : [null, null];
      const { upstreams = [] } = upstreamsOf(deps).find((one) => one.unit === originalOf(id)) ?? {};
      return { unit: unit(id), facts, outlook, upstreams };
    },
    plan(names, limitBytes) {
      const { state } = scheduler;
      const present = { bytes: state.limitBytes, reason: views.limitReason() };
      const limit = limitBytes === null ? present : { bytes: limitBytes, reason: 'asked for' };
      return planNamed(names, { directory, bindings: deps.bindings, units, state, now: views.clock.now(), limit });
    },
    ...createByHand(deps),
    move(id, to, ask) {
      mustRun(id, deps);
      mustBeFirst(id, 'moved');
      return deps.moves.to(id, to, ask);
    },
    moving: (id) => deps.moves.progress(id),
    pin(id, pinned) {
      mustRun(id, deps);
      mustBeFirst(id, 'pinned');
      deps.rememberPin(id, pinned);
      scheduler.dispatch({ kind: 'pin', unit: id, pinned });
    },
    keep: (id, idleMs) => scheduler.dispatch({ kind: 'keep', unit: id, idleMs }),
    logs: (id, lines) => tailAll(logsOf(id, deps), lines, deps.logs),
    followLogs: (id, lines, signal) => followAll(logsOf(id, deps), { lines, signal }, deps.logs),
    models: () => [...catalog.current().models.keys()].map((id) => modelView(id, deps)),
    model: async (name) => modelDetails(directory.model(name).definition.id, deps),
    pull: library.pull,
    removeModel: library.remove,
    library,
    jobs: deps.jobs.desk,
    environments: createEnvironmentDesk({ ...deps, catalog: catalog.current }),
    security: { keys: deps.identity.desk, audit: deps.identity.audit.read },
    catalog: () => catalogView(deps),
    definition: (id) => definitionView(id, deps),
    shutdown: () => deps.shutdown(),
    restart: () => deps.restart(),
  };
}

/** Every unit people may ask for: what the scheduler has, and the services that run elsewhere or cannot run here. */
function allUnits({ catalog, scheduler, units }: OperatorDeps): UnitId[] {
  const servers = [...catalog.current().services.values()].filter(({ definition }) => definition.kind === 'server');
  const named = servers.map(({ definition }) => unitId('service', definition.id));
  const known = [...scheduler.state.units.values()].filter((unit) => !isSpare(unit));
  return [...new Set([...named, ...known.map(({ spec }) => spec.id), ...remoteModels(catalog, units)])];
}

/** The models that are asked where they are, without a process here. */
const remoteModels = (catalog: CatalogSource, units: Units): UnitId[] =>
  [...catalog.current().models.keys()].filter((id) => units.remote(id) !== null).map((id) => unitId('model', id));

function mapOf({ catalog, bindings, uses, scheduler, views }: OperatorDeps): ApiMap {
  return dependencyMap({
    ...{ services: () => [...catalog.current().services.values()].map(({ definition }) => definition), uses },
    edges: bindings.edges,
    isDirect: (edge) => bindings.grant(edge) !== undefined,
    unit(id) {
      const found = scheduler.state.units.get(id as UnitId);
      return found ? unitView(found, views) : null;
    },
    key: (id) => views.record(id as UnitId)?.key ?? null,
  });
}

/** What runs elsewhere is shown before its first request, too: whether it is known is what people look for. */
function upstreamsOf({ catalog, units, pickers }: OperatorDeps): readonly ApiUnitUpstreams[] {
  for (const { definition } of catalog.current().services.values()) {
    const unit = unitId('service', definition.id);
    if (definition.kind === 'server' && units.externalUrl(unit) !== null) pickers.know(unit);
  }
  for (const unit of remoteModels(catalog, units)) pickers.know(unit);
  return pickers.views();
}

/** A copy that sleeps is nothing yet: it comes when there is work for it. */
const isSpare = ({ original, phase }: Unit): boolean => original !== null && phase.kind === 'cold';

/** By the names of the directory; `chroma~2` is a copy of `chroma`, which nobody but an operator may name. */
function unitNamed(name: string, { directory, scheduler }: OperatorDeps): UnitId {
  const at = name.lastIndexOf('~');
  if (at < 0) return directory.unit(name);
  const first = directory.unit(name.slice(0, at));
  const id = `${first}${name.slice(at)}` as UnitId;
  if (scheduler.state.units.has(id)) return id;
  const most = scheduler.state.units.get(first)?.spec.replicas.max ?? 1;
  const copies = most === 1 ? 'it runs once' : `its copies are ~2 to ~${most}`;
  throw new Fault('NOT_FOUND', `There is no ${name}: of ${parseUnitId(first).name} ${copies} (replicas).`);
}

/** The log of a unit, or those of all its instances with the name of each. */
function logsOf(id: UnitId, { scheduler, logFile }: OperatorDeps): readonly NamedLog[] {
  const unit = scheduler.state.units.get(id);
  const all = unit?.original === null ? siblingsOf(unit).map(({ spec }) => spec.id) : [id];
  return all.map((one) => ({ name: parseUnitId(one).name, file: logFile(one) }));
}

/** What is said of a model that takes nothing here. */
const remoteModelFacts = { tier: 'on-demand', resources: { memory: 0 } } as const;

function others(id: UnitId, units: Units): string {
  const { kind, name } = parseUnitId(id);
  const more = kind === 'model' ? (units.remote(name)?.places.upstreams.length ?? 1) - 1 : 0;
  return more > 0 ? ` and ${more} more` : '';
}

/** A unit that the scheduler does not run: it is elsewhere, or unusable. */
function restingView(id: UnitId, { units, directory, views }: OperatorDeps): ApiUnit {
  const { kind, name } = parseUnitId(id);
  const { tier, resources } = kind === 'model' ? remoteModelFacts : directory.service(name).definition;
  const external = units.externalUrl(id);
  return {
    id,
    kind,
    name,
    copyOf: null,
    ...units.titles(id),
    tier,
    state: external ? 'ready' : 'disabled',
    why: external
      ? `runs elsewhere, at ${external}${others(id, units)}`
      : (units.unusable(name) ?? 'it cannot run here'),
    pinned: false,
    bytes: { declared: external ? 0 : resources.memory, learned: null, measured: null, reserved: 0 },
    leases: 0,
    waiters: 0,
    idleMs: null,
    progress: null,
    failure: null,
    url: external ? views.url(id) : null,
    instance: null,
  };
}

export function modelView(id: string, { directory, models: store, units, scheduler, views }: OperatorDeps): ApiModel {
  const { definition } = directory.model(id);
  const planned = units.plans.of(id);
  const shape = planned?.shape ?? units.shape(id);
  const stored = store.get(id);
  const on = units.placement(unitId('model', id));
  const unit = scheduler.state.units.get(unitId('model', id));
  return {
    id,
    name: definition.name,
    summary: definition.summary,
    aliases: definition.aliases,
    engine: directory.engineOf(definition).definition.id,
    pulled: stored && {
      sha256: stored.sha256,
      bytes: stored.bytes,
      source: stored.source,
      path: stored.path,
      pulledAt: new Date(stored.pulledAt).toISOString(),
    },
    sizeBytes: definition.size,
    state: unit ? unitView(unit, views).state : units.remote(id) ? 'ready' : 'cold',
    plan: planned?.plan ?? null,
    card: on && { device: on.card.id, layers: on.layers, vramBytes: on.vramBytes, ramBytes: on.ramBytes },
    context: shape.context,
    slots: shape.slots,
  };
}

async function modelDetails(id: string, deps: OperatorDeps): Promise<ApiModelDetails> {
  const planned = deps.units.plans.of(id);
  return {
    ...modelView(id, deps),
    header: planned && {
      architecture: planned.header.architecture,
      parameters: planned.header.parameters,
      quantization: planned.header.quantization ?? null,
      contextLength: planned.header.contextLength,
      layers: planned.header.blockCount,
    },
    sources: deps.directory.model(id).definition.sources,
    ...(await modelFacts(id, deps)),
  };
}

function catalogView({ catalog }: OperatorDeps): ReturnType<Control['catalog']> {
  const { services, models, disabled } = catalog.current();
  return {
    services: [...services.values()].map(({ definition: d, origin, path }) => {
      return {
        id: d.id,
        name: d.name,
        summary: d.summary,
        category: d.category,
        tier: d.tier,
        kind: d.kind,
        origin,
        path,
      };
    }),
    models: [...models.values()].map(({ definition: d, origin, path }) => {
      return { id: d.id, name: d.name, summary: d.summary, origin, path };
    }),
    disabled,
  };
}

async function definitionView(id: string, { catalog, directory }: OperatorDeps): ReturnType<Control['definition']> {
  const current = catalog.current();
  const service = current.services.get(id);
  const found = service ?? current.models.get(current.modelNames.get(id) ?? id);
  if (!found) throw toUnknown(id, directory);
  const kind = service ? 'service' : 'model';
  return {
    kind,
    origin: found.origin,
    path: found.path,
    text: await readFile(found.path, 'utf8'),
    definition: found.definition,
  };
}

/** The directory knows the nearest names, and the reason of a disabled one. */
function toUnknown(id: string, directory: Directory): unknown {
  try {
    directory.unit(id);
  } catch (error) {
    return error;
  }
  return new Fault('NOT_FOUND', `Nothing is called ${id}.`);
}
