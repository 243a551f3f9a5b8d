import type { Catalog, Defined } from '#catalog/snapshot';
import type { ModelDefinition } from '#catalog/model';
import { formatProblem } from '#config/strict';
import type { ServiceDefinition } from '#catalog/service';
import { Fault } from '#kernel/faults';
import { parseUnitId, unitId } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import { didYouMean } from '#kernel/nearest';
import type { UnitSettings } from './settings.ts';

/** Finds units by the names people use. Reads the catalogue and the settings as they are at each call. */
export interface Directory {
  /** Throws NOT_FOUND with the nearest names. */
  service(id: string): Defined<ServiceDefinition>;
  /** By id, alias or `default`. */
  model(name: string): Defined<ModelDefinition>;
  engine(id: string): Defined<ServiceDefinition>;
  /** A tool that is run. Throws NOT_FOUND with the nearest names. */
  job(id: string): Defined<ServiceDefinition>;
  /**
   * The engine a model is run by: what is set for it, else what is set for all where that takes the same kind of file, else
   * what its definition names. Throws NOT_FOUND.
   */
  engineOf(definition: ModelDefinition): Defined<ServiceDefinition>;
  /** By unit id, service id, model id or alias. */
  unit(name: string): UnitId;
  serviceUnit(id: string): UnitId;
  modelUnit(name: string): UnitId;
}

export function createDirectory(catalog: () => Catalog, settings: () => UnitSettings): Directory {
  const servers = () => [...catalog().services.values()].filter(({ definition }) => definition.kind === 'server');
  const service = (id: string): Defined<ServiceDefinition> => {
    const found = catalog().services.get(id);
    if (found?.definition.kind === 'server') return found;
    throw unknown(
      'service',
      id,
      servers().map(({ definition }) => definition.id),
      catalog(),
    );
  };
  const model = (name: string): Defined<ModelDefinition> => {
    const { models, modelNames } = catalog();
    const meant = name === 'default' ? settings().defaultModel : name;
    // Where one model is wanted, a name for several stands for the one that is named first.
    const asked = settings().named?.(meant)?.[0] ?? meant;
    const found = models.get(modelNames.get(asked) ?? asked);
    if (found) return found;
    throw unknown('model', asked, modelNames.keys(), catalog());
  };
  const engine = (id: string): Defined<ServiceDefinition> => {
    const found = catalog().services.get(id);
    if (found?.definition.kind === 'engine') return found;
    const engines = [...catalog().services.values()].filter(({ definition }) => definition.kind === 'engine');
    const near = didYouMean(
      id,
      engines.map(({ definition }) => definition.id),
    );
    throw new Fault('NOT_FOUND', `No engine is called ${id}.${near}`);
  };
  const serviceUnit = (id: string) => unitId('service', service(id).definition.id);
  const modelUnit = (name: string) => unitId('model', model(name).definition.id);
  return {
    service,
    model,
    engine,
    job: (id) => jobNamed(id, catalog()),
    engineOf({ id, engine: named }) {
      const { engine: forAll, model: settingsOf } = settings();
      const own = settingsOf(id).engine;
      if (own !== undefined) return engine(own);
      const usual = engine(named);
      if (forAll === undefined) return usual;
      const chosen = engine(forAll);
      return chosen.definition.models === usual.definition.models ? chosen : usual;
    },
    serviceUnit,
    modelUnit,
    unit(name) {
      const parsed = parseUnitId(name as UnitId);
      if (name.startsWith('service/')) return serviceUnit(parsed.name);
      if (name.startsWith('model/')) return modelUnit(parsed.name);
      const { services, modelNames } = catalog();
      if (services.get(name)?.definition.kind === 'server') return serviceUnit(name);
      if (modelNames.has(name) || name === 'default' || settings().named?.(name)) return modelUnit(name);
      const names = [...servers().map(({ definition }) => definition.id), ...modelNames.keys()];
      throw unknown('service or model', name, names, catalog());
    },
  };
}

function jobNamed(id: string, catalog: Catalog): Defined<ServiceDefinition> {
  const found = catalog.services.get(id);
  if (found?.definition.kind === 'job') return found;
  if (found)
    throw new Fault('NOT_FOUND', `${id} is no tool that is run, but a ${found.definition.kind}.`, { param: 'tool' });
  const jobs = [...catalog.services.values()].filter(({ definition }) => definition.kind === 'job');
  throw unknown(
    'tool',
    id,
    jobs.map(({ definition }) => definition.id),
    catalog,
  );
}

/** An unknown name, with the nearest right ones, or the reason for which it is disabled. */
function unknown(what: string, name: string, names: Iterable<string>, catalog: Catalog): Fault {
  const param = what === 'model' ? { param: 'model' } : {};
  const disabled = catalog.disabled.find(({ id }) => id === name);
  if (disabled) {
    const places = disabled.problems.slice(0, 3).map(formatProblem).join('; ');
    return new Fault('NOT_FOUND', `${name} is disabled: ${places || 'its definition is not valid'}`, param);
  }
  const definition = catalog.services.get(name)?.definition;
  if (definition && definition.kind !== 'server') {
    const how =
      definition.kind === 'job' ? `a job: \`sutaz run ${name}\` runs it` : 'an engine: ask for one of its models';
    return new Fault('NOT_FOUND', `${name} is ${how}.`, param);
  }
  const near = didYouMean(name, names);
  return new Fault(
    'NOT_FOUND',
    `No ${what} is called ${name}.${near || ' `sutaz catalog ls` lists what there is.'}`,
    param,
  );
}

/** A name in the settings that no engine has stops its models from starting, not the platform: they have facts all the same. */
export function engineFor(
  definition: ModelDefinition,
  { directory }: { readonly directory: Directory },
): ServiceDefinition {
  try {
    return directory.engineOf(definition).definition;
  } catch {
    return directory.engine(definition.engine).definition;
  }
}
