import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { OnProgress } from '#contracts/models';
import { createSingleFlight } from '#kernel/single-flight';
import { createBuilder } from './builder.ts';
import { pruneCaches } from './caches.ts';
import { environmentFolders, noteOf, readMarker, removeFolder, usageOf, type ReadyMarker } from './folders.ts';
import { createPythonRecipes, nodeRecipe, type Recipe } from './recipes.ts';
import { isOnPath } from './programs.ts';
import { endLeftTool } from './tool.ts';
import { toolEnvironment } from './tool-env.ts';
import type { Environment, Environments, EnvironmentsOptions, EnvironmentUsage, EnsureOptions } from './types.ts';

export type { Environment, Environments, EnvironmentsOptions, EnvironmentUsage } from './types.ts';

/** Opens the environments of a home. Nothing is made before it is asked for. */
export async function openEnvironments(options: EnvironmentsOptions): Promise<Environments> {
  const { dir, log, clock } = options;
  const env = toolEnvironment(options.env ?? process.env);
  await mkdir(dir, { recursive: true });
  const flights = createSingleFlight<ReadyMarker>();
  const builder = createBuilder(options);
  const pythonRecipe = createPythonRecipes(options.python);
  const ready = new Map((await readMarkers(dir)).map((marker) => [marker.wish, marker]));
  const watchers = createWatchers();

  const ensure = async ({ wish, plan }: Recipe, { signal, onProgress }: EnsureOptions): Promise<Environment> => {
    const known = ready.get(wish);
    if (known && (await readMarker(join(dir, known.id)))) return environmentOf(dir, known);
    const stop = watchers.add(wish, onProgress);
    try {
      const marker = await flights.run(wish, signal, async (signal) => {
        const context = { dir, env, clock, log, signal, onProgress: watchers.tell(wish) };
        return builder.build(await plan(context), signal);
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

    async list() {
      const usages: EnvironmentUsage[] = [];
      for (const { id, kind, packages, interpreter, builtAt } of await readMarkers(dir)) {
        const path = join(dir, id);
        usages.push({ id, kind, packages, path, interpreter, builtAt, ...(await usageOf(path)) });
      }
      return usages;
    },

    async prune(keep) {
      const kept = new Set(keep);
      const removed = (await environmentFolders(dir)).filter((id) => !kept.has(id) && !builder.isBuilding(id));
      for (const id of removed) {
        const path = join(dir, id);
        await endLeftTool(noteOf(path), path);
        await removeFolder(path);
      }
      // A store must not lose what a build under way has just put there.
      if (builder.isIdle) await pruneCaches({ dir, env, clock, log });
      return { removed };
    },
  };
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
