import { posix } from 'node:path';
import type { z } from 'zod';
import { parseStrict } from '#config/strict';
import type { Problem } from '#config/strict';
import { didYouMean } from '#kernel/nearest';
import { modelSchema } from './model.ts';
import type { ModelDefinition } from './model.ts';
import { serviceSchema } from './service.ts';
import type { ServiceDefinition } from './service.ts';

export type Origin = 'built-in' | 'user';

/** A definition's file as a source hands it over; nothing is parsed yet. */
export interface DefinitionFile {
  readonly kind: 'service' | 'model';
  /** Where it stands, for messages. */
  readonly path: string;
  readonly origin: Origin;
  readonly text: string;
}

export interface Defined<T> {
  readonly definition: T;
  readonly origin: Origin;
  readonly path: string;
}

/** A definition that cannot be used, and why. The rest of the catalogue works. */
export interface Disabled {
  readonly kind: 'service' | 'model';
  /** From the file's name when the file itself does not say. */
  readonly id: string;
  readonly path: string;
  readonly problems: readonly Problem[];
}

/** The whole catalogue at one moment. Never changed: a new one takes its place. */
export interface Catalog {
  readonly services: ReadonlyMap<string, Defined<ServiceDefinition>>;
  readonly models: ReadonlyMap<string, Defined<ModelDefinition>>;
  /** Every name a model answers to, its own among them. */
  readonly modelNames: ReadonlyMap<string, string>;
  readonly disabled: readonly Disabled[];
}

/** Capabilities the door itself provides, so that a service may consume them without another service. */
export const doorCapabilities: readonly string[] = ['openai'];

/**
 * Makes a catalogue from files. Pure. A user's definition replaces the built-in one of its id; one bad definition is
 * disabled with its problems, and a bad user's definition does not fall back to the built-in one, which would hide it.
 */
export function buildCatalog(files: readonly DefinitionFile[]): Catalog {
  const disabled: Disabled[] = [];
  const services = collect(files, 'service', serviceSchema, disabled);
  const models = collect(files, 'model', modelSchema, disabled);
  for (const problem of checkServices(services)) disable(services, 'service', problem, disabled);
  for (const problem of checkModels(models, services)) disable(models, 'model', problem, disabled);
  const modelNames = nameModels(models, disabled);
  return { services, models, modelNames, disabled };
}

function collect<S extends z.ZodType<{ id: string }>>(
  files: readonly DefinitionFile[],
  kind: 'service' | 'model',
  schema: S,
  disabled: Disabled[],
): Map<string, Defined<z.output<S>>> {
  const defined = new Map<string, Defined<z.output<S>>>();
  const ordered = files
    .filter((file) => file.kind === kind)
    .sort((a, b) => Number(a.origin === 'user') - Number(b.origin === 'user') || a.path.localeCompare(b.path));
  for (const { path, origin, text } of ordered) {
    const parsed = parseStrict(text, path, schema);
    if (!parsed.ok) {
      const id = idFrom(text) ?? posix.basename(path).replace(/\.ya?ml$/, '');
      disabled.push({ kind, id, path, problems: parsed.problems });
      if (origin === 'user') defined.delete(id);
      continue;
    }
    const before = defined.get(parsed.value.id);
    if (before?.origin === origin) {
      const message = `the id ${parsed.value.id} is taken by ${before.path}`;
      disabled.push({ kind, id: parsed.value.id, path, problems: [whole(path, 'id', message)] });
      continue;
    }
    defined.set(parsed.value.id, { definition: parsed.value, origin, path });
  }
  return defined;
}

/** The id a broken file claims, so that it disables the right one. */
const idFrom = (text: string): string | undefined => /^id:\s*["']?([a-z0-9][\w.:-]*)/m.exec(text)?.[1];

const whole = (file: string, key: string, message: string): Problem => ({ file, line: 1, column: 1, key, message });

interface Rejection {
  readonly id: string;
  readonly key: string;
  readonly message: string;
}

function* checkServices(services: ReadonlyMap<string, Defined<ServiceDefinition>>): Generator<Rejection> {
  const provided = new Set(doorCapabilities);
  for (const { definition } of services.values()) for (const name of definition.provides) provided.add(name);
  for (const { definition } of services.values()) {
    const { id, needs, consumes } = definition;
    for (const name of needs) {
      if (name === id) yield { id, key: 'needs', message: 'a service cannot need itself' };
      else if (!services.has(name)) {
        yield { id, key: 'needs', message: `no service is called ${name}.${didYouMean(name, services.keys())}` };
      }
    }
    for (const name of Object.keys(consumes)) {
      if (!provided.has(name)) {
        yield { id, key: `consumes.${name}`, message: `nothing provides ${name}.${didYouMean(name, provided)}` };
      }
    }
  }
}

function* checkModels(
  models: ReadonlyMap<string, Defined<ModelDefinition>>,
  services: ReadonlyMap<string, Defined<ServiceDefinition>>,
): Generator<Rejection> {
  const engines = [...services.values()].map(({ definition }) => definition).filter(({ kind }) => kind === 'engine');
  for (const { definition } of models.values()) {
    if (engines.some(({ id }) => id === definition.engine)) continue;
    const names = engines.map(({ id }) => id);
    const message = `no engine is called ${definition.engine}.${didYouMean(definition.engine, names)}`;
    yield { id: definition.id, key: 'engine', message };
  }
}

function disable<T>(
  defined: Map<string, Defined<T>>,
  kind: 'service' | 'model',
  { id, key, message }: Rejection,
  disabled: Disabled[],
): void {
  const found = defined.get(id);
  if (!found) return;
  defined.delete(id);
  disabled.push({ kind, id, path: found.path, problems: [whole(found.path, key, message)] });
}

/** An alias that two models claim belongs to neither side's guess: the second model keeps working under its own id only. */
function nameModels(models: ReadonlyMap<string, Defined<ModelDefinition>>, disabled: Disabled[]): Map<string, string> {
  const names = new Map<string, string>();
  for (const id of models.keys()) names.set(id, id);
  for (const { definition, path } of models.values()) {
    for (const alias of definition.aliases) {
      const holder = names.get(alias);
      if (holder === undefined) names.set(alias, definition.id);
      else if (holder !== definition.id) {
        const message = `the alias ${alias} already means ${holder}: it is left out here`;
        disabled.push({ kind: 'model', id: `${definition.id} (alias)`, path, problems: [whole(path, 'aliases', message)] });
      }
    }
  }
  return names;
}
