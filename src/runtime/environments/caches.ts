import { access } from 'node:fs/promises';
import { pnpmCaches, pnpmProgram, pnpmStore } from './node.ts';
import { runTool } from './tool.ts';
import type { BuildContext } from './types.ts';
import { findUv, uvCache } from './uv.ts';

/**
 * Takes out of pnpm's store and uv's cache what no environment links to any more. Best effort: what stays costs disk,
 * and the next prune tries again.
 */
export async function pruneCaches(context: Omit<BuildContext, 'signal' | 'onProgress'>): Promise<void> {
  const { dir, env, clock, log } = context;
  const { signal } = new AbortController();
  const run = { cwd: dir, signal, clock };
  const attempt = async (cache: string, prune: () => Promise<unknown>) => {
    if (
      !(await access(cache).then(
        () => true,
        () => false,
      ))
    )
      return;
    await prune().catch((error: unknown) => log.warn('a cache of packages could not be pruned', { cache, error }));
  };
  await attempt(pnpmStore(dir), () =>
    runTool({
      ...{ ...run, env: { ...env, ...pnpmCaches(dir) } },
      argv: [process.execPath, pnpmProgram(), 'store', 'prune', '--store-dir', pnpmStore(dir)],
    }),
  );
  await attempt(uvCache(dir), async () => {
    const uv = await findUv({ ...context, signal, onProgress: () => undefined }, undefined);
    await runTool({ ...run, env: uv.env, argv: [uv.program, 'cache', 'prune'] });
  });
}
