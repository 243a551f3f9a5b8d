import { access, readdir, lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { createScale, walk } from './disk.ts';
import { pnpmCaches, pnpmProgram, pnpmStore } from './node.ts';
import { runTool } from './tool.ts';
import type { BuildContext } from './types.ts';
import { findUv, uvCache } from './uv.ts';

/** Where the files of packages are kept that environments link to. */
export const cachesOf = (dir: string): readonly string[] => [pnpmStore(dir), uvCache(dir)];

/**
 * Takes out of pnpm's store and uv's cache what no environment links to any more. Best effort: what stays costs disk,
 * and the next prune tries again. Resolves with the bytes given back.
 */
export async function pruneCaches(context: Omit<BuildContext, 'signal' | 'onProgress'>): Promise<number> {
  const { dir, env, clock, log } = context;
  const { signal } = new AbortController();
  const run = { cwd: dir, signal, clock };
  const attempt = async (cache: string, prune: () => Promise<unknown>): Promise<number> => {
    if (!(await isThere(cache))) return 0;
    const before = await weightOf(cache);
    await prune().catch((error: unknown) => log.warn('a cache of packages could not be pruned', { cache, error }));
    return Math.max(0, before - (await weightOf(cache)));
  };
  const ofPnpm = await attempt(pnpmStore(dir), () =>
    runTool({
      ...{ ...run, env: { ...env, ...pnpmCaches(dir) } },
      argv: [process.execPath, pnpmProgram(), 'store', 'prune', '--store-dir', pnpmStore(dir)],
    }),
  );
  const ofUv = await attempt(uvCache(dir), async () => {
    const uv = await findUv({ ...context, signal, onProgress: () => undefined }, undefined);
    const unlinked = await unlinkedPackages(uvCache(dir));
    // By its own command: it alone knows what else it remembers of them. Its `prune` keeps all that is up to date.
    if (unlinked.length > 0) await runTool({ ...run, env: uv.env, argv: [uv.program, 'cache', 'clean', ...unlinked] });
    await runTool({ ...run, env: uv.env, argv: [uv.program, 'cache', 'prune'] });
  });
  return ofPnpm + ofUv;
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

async function weightOf(path: string): Promise<number> {
  const scale = createScale();
  await walk(path, scale.add);
  return scale.weight().bytes;
}

/**
 * The Python packages of which no environment has a file. Every unpacked wheel is a folder of its own in the cache; a package
 * of which any version is linked stays, because the cache is cleaned by name.
 */
async function unlinkedPackages(cache: string): Promise<string[]> {
  const archives = join(cache, 'archive-v0');
  const linked = new Map<string, boolean>();
  for (const id of await readdir(archives).catch(() => [])) {
    const found = await wheelIn(join(archives, id));
    if (found) linked.set(found.name, found.isLinked || (linked.get(found.name) ?? false));
  }
  return [...linked].flatMap(([name, isLinked]) => (isLinked ? [] : [name]));
}

async function wheelIn(path: string): Promise<{ readonly name: string; readonly isLinked: boolean } | null> {
  const info = (await readdir(path).catch(() => [])).find((entry) => entry.endsWith('.dist-info'));
  const stats = info && (await lstat(join(path, info, 'METADATA')).catch(() => null));
  const name = info?.split('-')[0]?.replaceAll('_', '-');
  return stats && name ? { name, isLinked: stats.nlink > 1 } : null;
}
