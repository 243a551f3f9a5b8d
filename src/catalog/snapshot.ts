import { basename } from 'node:path';
import type { z } from 'zod';
import { parseStrict, problemAt } from '#config/strict';
import type { Parsed, Problem } from '#config/strict';
import { checkModels, checkServices } from './checks.ts';
import type { Rejection } from './checks.ts';
import { modelSchema } from './model.ts';
import type { ModelDefinition } from './model.ts';
import { serviceSchema } from './service.ts';
import type { ServiceDefinition } from './service.ts';

export { doorCapabilities } from './bindings.ts';

export type Origin = 'built-in' | 'user';

/** A definition's file as a source hands it over; nothing is parsed yet. */
export interface DefinitionFile {
  readonly kind: 'service' | 'model';
  /** Where it stands, for messages. */
  readonly path: string;
  readonly origin: Origin;
  readonly text: string;
  /** Why it could not be read; then there is no text. */
  readonly unreadable?: string;
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

/**
 * Makes a catalogue from files. Pure. A user's definition replaces the built-in one of its id; one bad definition is
 * disabled with its problems, and a bad user's definition does not fall back to the built-in one, which would hide it.
 */
export function buildCatalog(files: readonly DefinitionFile[]): Catalog {
  const disabled: Disabled[] = [];
  const services = collect(files, 'service', serviceSchema, disabled);
  const models = collect(files, 'model', modelSchema, disabled);
  const texts = new Map(files.map(({ path, text }) => [path, text]));
  const known = () => new Set(disabled.filter(({ kind }) => kind === 'service').map(({ id }) => id));
  // What needs a disabled service is disabled too, and so on: until nothing more falls.
  for (;;) {
    const rejected = [...checkServices(definitionsOf(services), known())];
    if (rejected.length === 0) break;
    disable(services, 'service', rejected, texts, disabled);
  }
  const rejected = [...checkModels(definitionsOf(models), definitionsOf(services), known())];
  disable(models, 'model', rejected, texts, disabled);
  const modelNames = nameModels(models, texts, disabled);
  return { services, models, modelNames, disabled };
}

const definitionsOf = <T>(defined: ReadonlyMap<string, Defined<T>>): T[] =>
  [...defined.values()].map(({ definition }) => definition);

function collect<S extends z.ZodType<{ id: string }>>(
  files: readonly DefinitionFile[],
  kind: 'service' | 'model',
  schema: S,
  disabled: Disabled[],
): Map<string, Defined<z.output<S>>> {
  const defined = new Map<string, Defined<z.output<S>>>();
  const ordered = files
    .filter((file) => file.kind === kind)
    .sort((a, b) => Number(a.origin === 'user') - Number(b.origin === 'user') || compare(a.path, b.path));
  for (const file of ordered) {
    const { path, origin, text } = file;
    const parsed = parse(file, schema);
    const id = parsed.ok ? parsed.value.id : (idFrom(text) ?? basename(path).replace(/\.ya?ml$/, ''));
    const before = defined.get(id);
    if (!parsed.ok) {
      disabled.push({ kind, id, path, problems: parsed.problems });
      // Only what it was meant to replace: another file of the user's that works keeps working.
      if (origin === 'user' && before?.origin === 'built-in') defined.delete(id);
    } else if (before?.origin === origin) {
      const message = `the id ${id} is taken by ${before.path}`;
      disabled.push({ kind, id, path, problems: [problemAt(text, path, ['id'], message)] });
    } else {
      defined.set(id, { definition: parsed.value, origin, path });
    }
  }
  return defined;
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function parse<S extends z.ZodType>({ path, text, unreadable }: DefinitionFile, schema: S): Parsed<z.output<S>> {
  if (unreadable === undefined) return parseStrict(text, path, schema);
  const message = `cannot be read: ${unreadable}`;
  return { ok: false, problems: [{ file: path, line: 1, column: 1, key: '', message }] };
}

/** The id a broken file claims, so that it disables the right one. */
const idFrom = (text: string): string | undefined => /^id:\s*["']?([a-z0-9][\w.:-]*)/m.exec(text)?.[1];

function disable<T>(
  defined: Map<string, Defined<T>>,
  kind: 'service' | 'model',
  rejected: readonly Rejection[],
  texts: ReadonlyMap<string, string>,
  disabled: Disabled[],
): void {
  for (const [id, found] of [...defined]) {
    const own = rejected.filter((rejection) => rejection.id === id);
    if (own.length === 0) continue;
    const text = texts.get(found.path) ?? '';
    const problems = own.map(({ path, message }) => problemAt(text, found.path, path, message));
    problems.sort((a, b) => a.line - b.line || a.column - b.column);
    defined.delete(id);
    disabled.push({ kind, id, path: found.path, problems });
  }
}

/** An alias that two models claim belongs to neither side's guess: the second model keeps working under its own id only. */
function nameModels(
  models: ReadonlyMap<string, Defined<ModelDefinition>>,
  texts: ReadonlyMap<string, string>,
  disabled: Disabled[],
): Map<string, string> {
  const names = new Map<string, string>();
  for (const id of models.keys()) names.set(id, id);
  for (const { definition, path } of models.values()) {
    for (const [i, alias] of definition.aliases.entries()) {
      const holder = names.get(alias);
      if (holder === undefined) names.set(alias, definition.id);
      if (holder === undefined || holder === definition.id) continue;
      const message = `the alias ${alias} already means ${holder}: it is left out here`;
      const problem = problemAt(texts.get(path) ?? '', path, ['aliases', i], message);
      disabled.push({ kind: 'model', id: `${definition.id} (alias)`, path, problems: [problem] });
    }
  }
  return names;
}
