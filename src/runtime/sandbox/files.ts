import { existsSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';
import type { FileBounds, InstanceSpec } from '#contracts/runtime';
import { Fault } from '#kernel/faults';
import type { Blueprint } from '../blueprint.ts';
import type { Confined } from './sandbox.ts';

/**
 * An instance writes in its folders alone, and of the platform's home it sees those, its packages, its definition and its
 * model: a service may be taken over by what it is sent, and what a tool is told to do comes from a model.
 */
export async function filesOf(
  spec: InstanceSpec,
  { blueprint, environment, temporary }: Confined,
  { home, required }: { readonly home: string; readonly required: boolean },
): Promise<FileBounds> {
  const { dataDir, serviceDir, work } = blueprint;
  const hidden = await realpath(home);
  return {
    hidden,
    readable: [
      ...[join(home, 'env'), serviceDir, process.execPath],
      ...(environment ? [environment.path] : []),
      ...modelPaths(blueprint),
      ...(spec.inputFile === undefined ? [] : [spec.inputFile]),
    ],
    writable: [
      ...(work ? [work.path] : []),
      ...[dataDir, temporary],
      // It may open its streams again, as /dev/stdout.
      ...[spec.logFile, ...(spec.errorFile === undefined ? [] : [spec.errorFile])],
      ...ownCache(spec, home),
      ...(await alsoWritable(blueprint, hidden)),
    ],
    required,
  };
}

/** What an engine reads of its model: its file, what it is laid out as for engines that want that, the key of a place elsewhere. */
export const modelPaths = ({ values }: Pick<Blueprint, 'values'>): string[] =>
  Object.entries(values)
    .filter(([name, value]) => /^(model\.(path|keyFile)|view\.)/.test(name) && value !== '')
    .map(([, value]) => value);

/** Compiled code that others run is no business of its. */
const ownCache = ({ env }: InstanceSpec, home: string): string[] =>
  [env['NODE_COMPILE_CACHE'] ?? ''].filter((path) => path.startsWith(join(home, 'cache', 'node-')));

/** Not this process, but what the instance begins with: it leads there once that asks for it. */
const itself = '/proc/self';

/** What its definition and the configuration name. What this machine lacks cannot be written anyway. */
async function alsoWritable({ unit, writes = [] }: Blueprint, home: string): Promise<string[]> {
  const there = writes.filter((path) => existsSync(path));
  const paths = await Promise.all(there.map((path) => (path === itself ? path : realpath(path))));
  const bad = paths.find((path) => isWithin(path, home) || isWithin(home, path));
  if (bad === undefined) return paths;
  const why = `${unit} is to write in ${bad}, and the platform's own home is ${home}`;
  throw new Fault('BAD_REQUEST', `${why}: name a folder that neither is in it nor has it in it.`);
}

const isWithin = (path: string, folder: string): boolean =>
  path === folder || path.startsWith(folder.endsWith(sep) ? folder : `${folder}${sep}`);
