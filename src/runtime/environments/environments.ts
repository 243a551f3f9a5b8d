import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { OnProgress } from '#contracts/models';
import { createSingleFlight } from '#kernel/single-flight';
import { createBuilder } from './builder.ts';
import { cachesOf, pruneCaches } from './caches.ts';
import { freedBy } from './disk.ts';
import { environmentFolders, folderName, readMarker, wishesOf, type ReadyMarker } from './folders.ts';
import { createPythonRecipes, nodeRecipe, type Recipe } from './recipes.ts';
import { isOnPath } from './programs.ts';
import { toolEnvironment } from './tool-env.ts';
import { bytesTogether, linkedBytes, openWeights } from './weights.ts';
import type { Weights } from './weights.ts';
import type {
  Environment,
  EnvironmentList,
  Environments,
  EnvironmentsOptions,
  EnvironmentUsage,
  EnsureOptions,
  NodeSpec,
  Pruned,
} from './types.ts';

export type { Environment, EnvironmentList, Environments, EnvironmentsOptions, Pruned } from './types.ts';

/** Opens the environments of a home. Nothing is made before it is asked for. */
export async function openEnvironments(options: EnvironmentsOptions): Promise<Environments> {
  const { dir, log, clock } = options;
  // Tools leave locks and halves of packages in their temporary folder: on this disk, and cleared by the next prune.
  const temporary = join(dir, 'tmp');
  const env: Record<string, string> = { ...toolEnvironment(options.env ?? process.env), TMPDIR: temporary };
  await mkdir(temporary, { recursive: true });
  const flights = createSingleFlight<ReadyMarker>();
  const builder = createBuilder(options);
  const weights = openWeights(dir);
  const pythonRecipe = createPythonRecipes(options.python);
  const known = await readMarkers(dir);
  const ready = new Map(known.flatMap((marker) => wishesOf(marker).map((wish) => [wish, marker])));
  const handedOut = new Set<string>();
  const watchers = createWatchers();

  const ensure = async ({ wish, plan }: Recipe, { signal, onProgress }: EnsureOptions): Promise<Environment> => {
    const known = ready.get(wish);
    if (known) {
      // Before it is looked for: from here on no prune begins to take it.
      handedOut.add(known.id);
      await builder.left(known.id);
      if (await readMarker(join(dir, known.id))) return environmentOf(dir, known);
    }
    const stop = watchers.add(wish, onProgress);
    try {
      const marker = await flights.run(wish, signal, async (signal) => {
        const context = { dir, env, clock, log, signal, onProgress: watchers.tell(wish) };
        const made = await plan(context);
        handedOut.add(folderName(made.kind, made.content));
        return builder.build(made, signal);
      });
      ready.set(wish, marker);
      return environmentOf(dir, marker);
    } finally {
      stop();
    }
  };

  return {
    ensureNode: (spec, options) => ensure(nodeRecipe(spec), options),
    ensurePython: (spec, options) => ensure(pythonRecipe(spec), options),

    async ensure({ node, python }, options) {
      if (node) return ensure(nodeRecipe(node), options);
      if (!python || (python.unless !== undefined && (await isOnPath(python.unless, env['PATH'])))) return null;
      return ensure(pythonRecipe(python), options);
    },

    find({ node, python }) {
      const wish = node ? wishOfNode(node) : python && pythonRecipe(python).wish;
      return (wish !== undefined && ready.get(wish)?.id) || null;
    },

    list: () => weighAll(dir, weights),

    async prune(keep, { dryRun } = { dryRun: false }) {
      const kept = new Set(keep);
      const mayGo = (id: string) => !kept.has(id) && !handedOut.has(id) && !builder.isBuilding(id);
      const going = (await environmentFolders(dir)).filter(mayGo);
      let freed = await freedBy(
        going.map((id) => join(dir, id)),
        dryRun ? cachesOf(dir) : [],
      );
      const removed: Pruned['removed'][number][] = [];
      for (const id of going) {
        const packages = (await readMarker(join(dir, id)))?.packages ?? [];
        // Somebody may want it by now: it is looked at again, and what begins in the same turn nobody can come between.
        if (!mayGo(id)) continue;
        if (!dryRun) await builder.remove(id);
        removed.push({ id, packages });
      }
      // A store must not lose what a build under way has just put there.
      if (!dryRun && builder.isIdle) freed += await emptied(temporary);
      if (!dryRun && builder.isIdle) freed += await pruneCaches({ dir, env, clock, log });
      if (!dryRun) await weights.forget(await environmentFolders(dir));
      return { removed, freed };
    },
  };
}

/** Resolves with the bytes given back. */
async function emptied(folder: string): Promise<number> {
  const left = (await readdir(folder)).map((name) => join(folder, name));
  const freed = await freedBy(left, []);
  await Promise.all(left.map((path) => rm(path, { recursive: true, force: true })));
  return freed;
}

async function weighAll(dir: string, weights: Weights): Promise<EnvironmentList> {
  const markers = await readMarkers(dir);
  const found = await weights.all(markers);
  const environments = markers.flatMap(({ id, kind, packages, interpreter, builtAt }, i): EnvironmentUsage[] => {
    const weight = found[i];
    if (!weight) return [];
    const sharedBytes = linkedBytes(weight);
    const bytes = weight.aloneBytes + sharedBytes;
    return [{ id, kind, packages, path: join(dir, id), interpreter, builtAt, bytes, sharedBytes }];
  });
  return { environments, bytes: bytesTogether(found) };
}

/** Undefined where a definition has nothing for this machine: it has no environment here. */
function wishOfNode(spec: NodeSpec): string | undefined {
  try {
    return nodeRecipe(spec).wish;
  } catch {
    return undefined;
  }
}

async function readMarkers(dir: string): Promise<ReadyMarker[]> {
  const markers = await Promise.all((await environmentFolders(dir)).map((id) => readMarker(join(dir, id))));
  return markers.filter((marker) => marker !== null);
}

function environmentOf(dir: string, { id, kind }: ReadyMarker): Environment {
  const path = join(dir, id);
  if (kind === 'node') return { id, path, bin: join(path, 'node_modules', '.bin'), env: {} };
  const venv = join(path, 'venv');
  // Unbuffered, because a service's log is followed live.
  const env = { VIRTUAL_ENV: venv, PYTHONUNBUFFERED: '1', PYTHONNOUSERSITE: '1' };
  return { id, path, bin: join(venv, 'bin'), env };
}

/** All who wait for one build see its progress, the late ones too. */
function createWatchers() {
  const watchers = new Map<string, Set<OnProgress>>();
  return {
    tell:
      (wish: string): OnProgress =>
      (progress) =>
        watchers.get(wish)?.forEach((watcher) => watcher(progress)),
    add(wish: string, onProgress: OnProgress | undefined): () => void {
      if (!onProgress) return () => undefined;
      // Wrapped, so that one function given twice is two watchers.
      const own: OnProgress = (progress) => onProgress(progress);
      const all = watchers.get(wish) ?? new Set();
      watchers.set(wish, all.add(own));
      return () => {
        all.delete(own);
        if (all.size === 0 && watchers.get(wish) === all) watchers.delete(wish);
      };
    },
  };
}
