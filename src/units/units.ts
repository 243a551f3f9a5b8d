import type { ModelDefinition } from '#catalog/model';
import { viewsOf } from '#catalog/placeholders';
import { addressElsewhere, withCuda } from '#catalog/service';
import type { ServiceDefinition } from '#catalog/service';
import type { Catalog, Defined } from '#catalog/snapshot';
import type { OnProgress } from '#contracts/models';
import type { RuntimeDriver } from '#contracts/runtime';
import type { ApiViewKind } from '#contracts/store-api';
import type { Clock } from '#kernel/clock';
import { Fault } from '#kernel/faults';
import { originalOf, parseUnitId, replicaOf, toolOf, unitId } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import type { Logger } from '#kernel/logger';
import type { Puller } from '#models/pull';
import type { ModelStore, StoredModel } from '#models/store';
import type { Blueprint } from '#runtime/blueprint';
import type { Environments } from '#runtime/launch';
import type { UnitSpec } from '#scheduler/types';
import { engineFor } from './directory.ts';
import type { Directory } from './directory.ts';
import type { Learned, LearnedStore } from './learned.ts';
import { learnedKey, modelBlueprint, modelSpec, shapeOf } from './model-unit.ts';
import type { Shape } from './model-unit.ts';
import { createPlacements } from './placement.ts';
import type { Card, Placement, Placements } from './placement.ts';
import { placeModel, placeService, threadsOf } from './placing.ts';
import { createPlans } from './plans.ts';
import type { Plans } from './plans.ts';
import { createPreparing } from './preparing.ts';
import type { Preparing } from './preparing.ts';
import { remoteModel } from './remote.ts';
import type { RemoteModel } from './remote.ts';
import {
  cardBytesOf,
  chosenRun,
  containerOf,
  replicasOf,
  serviceBlueprint,
  serviceSpec,
  silenceOf,
} from './service-unit.ts';
import type { UnitSettings } from './settings.ts';

export interface Units {
  readonly preparing: Preparing;
  readonly plans: Plans;
  /** Every unit of the catalogue that this machine can run, as the scheduler takes them. */
  specs(): UnitSpec[];
  /** The units that the configuration keeps ready. */
  pinned(): UnitId[];
  /** Where a unit that runs elsewhere is reached; null for those that are started here. */
  externalUrl(unit: UnitId): string | null;
  /** Where a model is that the door asks without a process here; null for every other one. */
  remote(model: string): RemoteModel | null;
  /** What a unit speaks on its port. */
  protocol(unit: UnitId): 'http1' | 'h2c';
  /** Milliseconds of silence after which an open connection to the unit is no work; null where it is for as long as it is open. */
  silenceMs(unit: UnitId): number | null;
  /** By which way a service runs here; null where it cannot. */
  way(service: string): 'process' | 'docker' | 'external' | null;
  /** Gets onto the disk what a service needs by one of its ways, whichever it runs by now. */
  fetch(service: string, way: 'process' | 'docker', options: Fetching): Promise<void>;
  /** Why a service of the catalogue cannot run here; null when it can. */
  unusable(service: string): string | null;
  /** With a signal, a file that went since it was prepared is fetched again; without one that is NOT_FOUND. */
  blueprint(unit: UnitId, signal?: AbortSignal): Promise<Blueprint>;
  /** How much of a unit is on which graphics card; null for nothing. */
  placement(unit: UnitId): Placement | null;
  /** How large a model is loaded: as its file allows, once that is here. */
  shape(model: string): Shape;
  learn(unit: UnitId, learned: Learned): void;
  titles(unit: UnitId): { readonly title: string; readonly summary: string; readonly category: string | null };
}

interface Fetching {
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
}

export interface UnitsOptions {
  readonly catalog: () => Catalog;
  readonly settings: () => UnitSettings;
  readonly directory: Directory;
  readonly store: Pick<ModelStore, 'get'>;
  readonly puller: Pick<Puller, 'pull'>;
  readonly environments: Environments;
  /** Makes a model's place in a view of the store; resolves with the view's folder. Without it there are no views: nothing is started. */
  readonly view?: (kind: ApiViewKind, model: string) => Promise<string>;
  readonly learned: LearnedStore;
  /** Fetches the image of a container. */
  readonly images?: RuntimeDriver['prepare'];
  /** Why this machine has no containers; null where it has an engine for them. */
  readonly noEngine?: () => string | null;
  /** The folder with everything of the platform's. */
  readonly home: string;
  readonly cores: number;
  /** The graphics cards there are now. */
  readonly cards?: () => readonly Card[];
  /** Whether what runs here can be frozen. */
  readonly canFreeze: boolean;
  readonly clock: Clock;
  readonly log: Logger;
  /** A unit's facts changed: the scheduler is to know. */
  readonly describe: (spec: UnitSpec) => void;
}

/** What the functions below share. */
interface Bench extends UnitsOptions {
  readonly plans: Plans;
  readonly cards: () => readonly Card[];
  readonly placements: Placements;
}

export function createUnits(options: UnitsOptions): Units {
  const { catalog, settings, directory, learned } = options;
  const asked = (model: string): Shape => {
    const { definition } = directory.model(model);
    const { models } = engineFor(definition, options);
    return shapeOf(definition, settings().model(definition.id), settings(), models);
  };
  const isGguf = (model: string) => engineFor(directory.model(model).definition, options).models === 'gguf';
  const cards = options.cards ?? (() => []);
  const plans = createPlans(options.store, asked, options.log, isGguf);
  const bench: Bench = { ...options, plans, cards, placements: createPlacements(cards) };
  const shape = (model: string): Shape => bench.plans.of(model)?.shape ?? asked(model);
  const preparing = createPreparing(
    (unit, signal, onProgress) => prepare(unit, signal, onProgress, bench, shape),
    options.clock,
  );
  const models = () => [...catalog().models.keys()];
  return {
    preparing,
    plans: bench.plans,
    shape,
    placement: (unit) => bench.placements.of(unit),
    unusable: (service) => unusable(service, bench),
    way: (service) => wayOf(directory.service(service).definition, bench).way,
    fetch: (service, way, fetching) => fetchService(directory.service(service).definition, way, fetching, bench),
    specs: () => [
      ...runnable(bench)
        .filter((id) => !isExternal(id, bench))
        .map((id) => specOfService(id, bench)),
      ...models()
        .filter((id) => remoteOf(id, bench) === null)
        .map((id) => specOfModel(id, bench, shape)),
    ],
    pinned: () => [
      ...runnable(bench)
        .filter((id) => settings().service(id).pinned)
        .map((id) => unitId('service', id)),
      ...models()
        .filter((id) => settings().model(id).pinned && remoteOf(id, bench) === null)
        .map((id) => unitId('model', id)),
    ],
    externalUrl(unit) {
      const { kind, name } = parseUnitId(originalOf(unit));
      if (kind === 'model') return remoteOf(name, bench)?.places.upstreams[0]?.url ?? null;
      if (kind !== 'service' || !isExternal(name, bench)) return null;
      return addressElsewhere(directory.service(name).definition);
    },
    remote: (model) => remoteOf(model, bench),
    protocol(unit) {
      const { kind, name } = parseUnitId(originalOf(unit));
      return (kind === 'service' && catalog().services.get(name)?.definition.protocol) || 'http1';
    },
    silenceMs(unit) {
      const { kind, name } = parseUnitId(unit);
      const service = kind === 'service' ? catalog().services.get(name)?.definition : undefined;
      return service ? silenceOf(service, settings().service(name), options.canFreeze) : null;
    },
    blueprint: (unit, signal) => blueprint(unit, signal, bench, shape, () => preparing.forget(originalOf(unit))),
    learn(instance, seen) {
      const unit = originalOf(instance);
      const { kind, name } = parseUnitId(unit);
      const model = kind === 'model' ? catalog().models.get(name)?.definition : undefined;
      // A unit may be measured once more after its definition has gone: there is nothing left to learn for.
      if (kind === 'model' && !model) return;
      learned.put(
        model ? learnedKey(model, engineFor(model, bench).id, shape(name), bench.placements.of(unit)) : unit,
        seen,
      );
    },
    titles(unit) {
      const { kind, name } = parseUnitId(originalOf(unit));
      const service = catalog().services.get(kind === 'job' ? toolOf(name) : name)?.definition;
      const found = kind === 'model' ? catalog().models.get(name)?.definition : service;
      const category = kind === 'model' ? 'model' : (service?.category ?? null);
      const nth = replicaOf(unit) > 1 ? ` (${replicaOf(unit)})` : '';
      return { title: `${found?.name ?? name}${nth}`, summary: found?.summary ?? '', category };
    },
  };
}

/** Gets onto the disk whatever a unit needs before it can start, and then knows better what it weighs. */
async function prepare(
  unit: UnitId,
  signal: AbortSignal,
  onProgress: OnProgress,
  bench: Bench,
  shape: (model: string) => Shape,
): Promise<void> {
  const { directory, environments, puller, plans } = bench;
  const { kind, name } = parseUnitId(unit);
  if (kind === 'service') {
    const { definition } = directory.service(name);
    const way = containerOf(definition, bench.settings().service(name)) ? 'docker' : 'process';
    return fetchService(definition, way, { signal, onProgress }, bench);
  }
  const { definition } = directory.model(name);
  const engine = directory.engineOf(definition);
  const { models } = engine.definition;
  const { run } = standInOf(engine, bench).definition;
  if (models !== 'remote')
    await puller.pull(definition.id, definition.sources, { signal, onProgress, size: definition.size });
  await plans.refresh(definition.id);
  const spec = specOfModel(definition.id, bench, shape);
  const on = bench.placements.of(unit);
  if (run.process) {
    await environments.ensure(on ? withCuda(run.process) : run.process, { signal, onProgress });
  }
  bench.describe(spec);
}

async function fetchService(
  { run }: ServiceDefinition,
  way: 'process' | 'docker',
  fetching: Fetching,
  { images, environments }: Bench,
): Promise<void> {
  if (way === 'docker' && run.docker) await images?.(run.docker, fetching);
  if (way === 'process' && run.process) await environments.ensure(run.process, fetching);
}

function specOfService(id: string, bench: Bench): UnitSpec {
  const { directory, settings, learned, canFreeze, log } = bench;
  const { definition } = directory.service(id);
  const own = settings().service(id);
  const { problem } = replicasOf(definition, own);
  if (problem !== null) log.warn('replicas of sutaz.yaml are left out', { service: id, problem });
  return serviceSpec(definition, own, learned.of(`service/${id}`), canFreeze, placeService(id, bench));
}

function specOfModel(model: string, bench: Bench, shape: (model: string) => Shape): UnitSpec {
  const { directory, settings, learned, plans } = bench;
  const { definition } = directory.model(model);
  const engine = engineFor(definition, bench);
  const own = shape(model);
  const placement = placeModel(definition, own, bench);
  return modelSpec(definition, engine, settings().model(definition.id), {
    shape: own,
    plannedBytes: plans.of(definition.id)?.plan.total ?? null,
    placement,
    threads: threadsOf(placement, bench),
    learned: learned.of(learnedKey(definition, engine.id, own, placement)),
    canFreeze: bench.canFreeze,
  });
}

/** Null for a model that is no more, too: what is said of it last is said of its unit. */
function remoteOf(id: string, bench: Bench): RemoteModel | null {
  const definition = bench.catalog().models.get(id)?.definition;
  // What has a file is run here, or has a process stand for it. This is asked for each request.
  if (!definition || (definition.sources.length > 0 && !definition.remote)) return null;
  return remoteModel(definition, engineFor(definition, bench));
}

async function blueprint(
  unit: UnitId,
  signal: AbortSignal | undefined,
  bench: Bench,
  shape: (model: string) => Shape,
  onMissing: () => void,
): Promise<Blueprint> {
  const { directory, settings, home, store, puller, cards, placements } = bench;
  const original = originalOf(unit);
  const { kind, name } = parseUnitId(original);
  const placement = placements.of(original);
  if (kind === 'service') {
    const card = placement?.card ?? null;
    return serviceBlueprint(directory.service(name), settings().service(name), { home, unit, card, cards: cards() });
  }
  const model = directory.model(name);
  const engine = directory.engineOf(model.definition);
  if (model.definition.remote?.upstreams) throw atOnePlace(name, engine.definition.id);
  const path = engine.definition.models === 'remote' ? '' : (store.get(name) ?? (await pullAgain())).path;
  const facts = {
    ...{ shape: shape(name), path, placement, cards: cards(), threads: threadsOf(placement, bench) },
    ...{ priority: settings().model(name).priority, env: remoteKey(model.definition) },
    ...{
      url: addressElsewhere(engine.definition) ?? undefined,
      views: signal ? await viewsFor(engine, name, bench) : {},
    },
  };
  const { sandbox, writes: more = [] } = settings().service(engine.definition.id);
  const writes = [...(engine.definition.run.process?.writes ?? []), ...more];
  return { ...modelBlueprint(model, standInOf(engine, bench), facts, home), unit, sandbox, writes };

  /** Someone removed the file since it was prepared. */
  async function pullAgain(): Promise<StoredModel> {
    if (!signal) throw new Fault('NOT_FOUND', `The file of ${name} is gone.`);
    onMissing();
    const { sources, size } = model.definition;
    return puller.pull(name, sources, { signal, size });
  }
}

/** Its definition is right for the engine that it names, and sutaz.yaml names another one. */
const atOnePlace = (model: string, engine: string): Fault =>
  new Fault('START_FAILED', `${model} is at several places (remote.upstreams), and ${engine} is asked at one only.`);

/** What runs here for a model of an engine: its own process, or for one that runs elsewhere already, the one that passes requests on. */
const standInOf = (engine: Defined<ServiceDefinition>, { directory }: Bench): Defined<ServiceDefinition> =>
  engine.definition.run.process || !engine.definition.run.external ? engine : directory.engine('upstream');

/** The views that an engine's process is told of, with the model in each of them. */
async function viewsFor(
  { definition }: Defined<ServiceDefinition>,
  model: string,
  { view }: Bench,
): Promise<Record<string, string>> {
  const folders: Record<string, string> = {};
  if (view) for (const kind of viewsOf(definition)) folders[`view.${kind}`] = await view(kind, model);
  return folders;
}

/** The key of the server that has a model, from the platform's own environment: as a variable, never an argument. */
function remoteKey({ id, remote }: ModelDefinition): Record<string, string> {
  if (remote?.keyEnv === undefined) return {};
  const key = process.env[remote.keyEnv];
  if (key) return { SUTAZ_REMOTE_KEY: key };
  throw new Fault('START_FAILED', `The variable ${remote.keyEnv}, which is to hold the key for ${id}, is not set.`);
}

const wayOf = (definition: ServiceDefinition, { settings, noEngine }: Bench) =>
  chosenRun(definition, settings().service(definition.id), noEngine ? noEngine() : null);

const isExternal = (id: string, bench: Bench): boolean =>
  wayOf(bench.directory.service(id).definition, bench).way === 'external';

function unusable(id: string, bench: Bench): string | null {
  const { directory, settings, cards } = bench;
  if (settings().service(id).enabled === false) return 'it is switched off in sutaz.yaml';
  const { definition } = directory.service(id);
  const chosen = wayOf(definition, bench);
  if (chosen.way === null) return chosen.why;
  if (chosen.way === 'external') return null;
  // What cannot do without a card would fail at its start, each time.
  const required = definition.resources.gpu === 'required' || settings().service(id).gpu === 'required';
  if (required && chosen.way === 'docker') return 'it needs a GPU, which containers are not given here';
  if (!required || definition.kind !== 'server') return required ? 'it needs a GPU' : null;
  if (cards().length === 0) return 'it needs a GPU';
  const bytes = cardBytesOf(definition, settings().service(id));
  return bytes === 0 ? 'it needs a GPU, and nothing says how much of one: set vram' : null;
}

const runnable = (bench: Bench): string[] =>
  [...bench.catalog().services.values()]
    .filter(({ definition }) => definition.kind === 'server' && unusable(definition.id, bench) === null)
    .map(({ definition }) => definition.id);
