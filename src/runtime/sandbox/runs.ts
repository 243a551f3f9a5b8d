import { realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { FileBounds, InstanceSpec } from '#contracts/runtime';
import { giveTo } from '#kernel/ownership';
import type { Work } from '../blueprint.ts';
import { openWay } from './ownership.ts';
import type { Confined } from './sandbox.ts';

/** Lets users of services pass to the folders of a run, and to nothing else in them. */
export async function openWayTo({ path }: Work, group: number): Promise<void> {
  for (const folder of [dirname(dirname(path)), dirname(path)]) await openWay(folder, group);
}

/** Also what a run in somebody's folder, as another user, has left in the data. */
export async function giveRun({ path, temporary }: Work, dataDir: string, uid: number): Promise<void> {
  for (const folder of [path, temporary, dataDir]) await giveTo(folder, uid);
}

/**
 * A run writes in its folders alone, and of the platform's home it sees those, its packages and its definition: what it is
 * told to do comes from a model, and from files that somebody else wrote.
 */
export async function filesOfRun(
  spec: InstanceSpec,
  { blueprint, environment }: Confined,
  work: Work,
  { home, required }: { readonly home: string; readonly required: boolean },
): Promise<FileBounds> {
  const { dataDir, serviceDir } = blueprint;
  const streams = [spec.logFile, ...(spec.errorFile === undefined ? [] : [spec.errorFile])];
  // One of its own: those of others are no business of its.
  const cache = spec.confine?.user ? [spec.env['NODE_COMPILE_CACHE'] ?? ''].filter(Boolean) : [];
  return {
    hidden: await realpath(home),
    readable: [
      ...[join(home, 'env'), serviceDir, process.execPath],
      ...(environment ? [environment.path] : []),
      ...(spec.inputFile === undefined ? [] : [spec.inputFile]),
    ],
    // A tool may open its streams again, as /dev/stdout.
    writable: [work.path, work.temporary, dataDir, ...streams, ...cache],
    required,
  };
}
