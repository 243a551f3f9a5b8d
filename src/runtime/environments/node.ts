import { writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Fault } from '#kernel/faults';
import { formatDuration } from '#kernel/quantities';
import { buildFault, isDiskFull, withoutPasswords, words } from './failures.ts';
import { noteOf } from './folders.ts';
import { runTool } from './tool.ts';
import type { BuildContext, NodeSpec } from './types.ts';

/** What decides the content of a Node environment; native modules are built for one ABI and one platform. */
export const nodeWish = (spec: NodeSpec) => ({
  kind: 'node',
  packages: [...new Set(spec.packages)].sort(),
  overrides: Object.entries(spec.overrides).sort(),
  allowBuilds: [...spec.allowBuilds].sort(),
  omitOptional: spec.omitOptional,
  abi: process.versions.modules,
  platform: `${process.platform}-${process.arch}`,
});

/** Installs into `path` with pnpm: each file once in the store beside it, hard links in the environments. */
export async function buildNode(path: string, spec: NodeSpec, context: BuildContext): Promise<void> {
  await writeFile(join(path, 'package.json'), JSON.stringify({ private: true, dependencies: dependencies(spec) }));
  // JSON is YAML. These stand above the user's own settings, which keep registries, proxies and keys.
  await writeFile(join(path, 'pnpm-workspace.yaml'), JSON.stringify(settings(spec, context.dir)));
  const progress = createPnpmProgress(context.onProgress);
  const errors: string[] = [];
  const flags = ['install', '--prod', '--reporter=ndjson'];
  const failed = (said: string): Fault =>
    buildFault(
      `The Node packages ${spec.packages.join(', ')}`,
      said,
      'Check the names and versions in the definition, and that the registry can be reached ("npm ping" asks the same one).',
      context.dir,
    );
  // On a full disk pnpm fetches everything again, for minutes.
  const hopeless = new AbortController();
  const result = await runTool({
    argv: [process.execPath, pnpmProgram(), ...flags],
    cwd: path,
    env: { ...retries, ...context.env, ...pnpmCaches(context.dir) },
    ...{ signal: AbortSignal.any([context.signal, hopeless.signal]), clock: context.clock, note: noteOf(path) },
    onLine(line, from) {
      if (from === 'stderr') return;
      const event = parseEvent(line);
      if (event?.name === 'pnpm:request-retry' && isDiskFull(event.error?.code ?? '')) hopeless.abort();
      if (event?.level === 'error') errors.push(errorText(event));
      else if (event) progress(event);
      // What pnpm says before its reporter stands is plain text.
      else errors.push(line);
    },
  }).catch((error: unknown) => {
    throw hopeless.signal.aborted && !context.signal.aborted ? failed('ENOSPC') : error;
  });
  if (result.code === 0) return;
  const said = words(errors.length > 0 ? errors : result.stderr.slice(-20));
  throw failed(said || `pnpm ended with code ${result.code}.`);
}

/** Of its own, pnpm would wait 10 s and then 60 s: 2, 6 and 18 s find a registry that is back sooner. The user's variables go before. */
const retries = {
  npm_config_fetch_retries: '3',
  npm_config_fetch_retry_mintimeout: '2000',
  npm_config_fetch_retry_factor: '3',
};

/** Left beside the packages, so that what is there can be read, and pnpm asked about it. */
const settings = (spec: NodeSpec, dir: string) => ({
  storeDir: pnpmStore(dir),
  packageImportMethod: 'auto',
  overrides: spec.overrides,
  // Not --no-optional: with that pnpm still downloads them all, 600 MB for node-llama-cpp, and only doesn't link them.
  ignoredOptionalDependencies: spec.omitOptional ? ['*'] : [],
  onlyBuiltDependencies: spec.allowBuilds,
  dangerouslyAllowAllBuilds: false,
  strictDepBuilds: false,
  managePackageManagerVersions: false,
});

export const pnpmStore = (dir: string): string => join(dir, 'pnpm-store');

/**
 * Where it keeps what it remembers of registries, and its own compiled form: it would leave them below the user's home and in the
 * machine's temporary folder.
 */
export const pnpmCaches = (dir: string): Record<string, string> => ({
  npm_config_cache_dir: join(dir, 'pnpm-cache'),
  npm_config_state_dir: join(dir, 'pnpm-cache', 'state'),
  NODE_COMPILE_CACHE: join(dir, 'pnpm-cache', 'compiled'),
});

/** pnpm's own program, run with the Node that runs us: the one in PATH may be too old for it. */
export function pnpmProgram(): string {
  // Its package exports one thing: its package.json.
  return join(createRequire(import.meta.url).resolve('pnpm'), '..', 'bin', 'pnpm.cjs');
}

function dependencies(spec: NodeSpec): Record<string, string> {
  return Object.fromEntries(
    spec.packages.map((text) => {
      const match = /^((?:@[\w.~-]+\/)?[\w.~-]+)(?:@(.+))?$/.exec(text);
      const [, name, range] = match ?? [];
      if (name === undefined || name.startsWith('-')) {
        throw new Fault(
          'BAD_REQUEST',
          `"${text}" is no npm package: write it as in "node-red@5.0.4" or "@scope/name@1".`,
        );
      }
      return [name, range ?? 'latest'];
    }),
  );
}

interface PnpmEvent {
  readonly name?: string;
  readonly level?: string;
  readonly status?: string;
  readonly packageId?: string;
  readonly stage?: string;
  readonly added?: number;
  readonly code?: string;
  readonly hint?: string;
  readonly err?: { readonly message?: string; readonly code?: string };
  readonly message?: string;
  readonly stdio?: string;
  readonly line?: string;
  /** Of a request that is to be made again. */
  readonly error?: { readonly code?: string };
  readonly url?: string;
  /** Milliseconds until then. */
  readonly timeout?: number;
}

function parseEvent(line: string): PnpmEvent | null {
  try {
    return JSON.parse(line) as PnpmEvent;
  } catch {
    return null;
  }
}

const errorText = (event: PnpmEvent): string =>
  [event.code ?? event.err?.code, event.err?.message ?? event.message, event.hint].filter(Boolean).join('\n');

/** Each package counts three steps: resolved, fetched (or found in the store), linked. The total is known once all are resolved. */
export function createPnpmProgress(onProgress: BuildContext['onProgress']): (event: PnpmEvent) => void {
  const counts = { resolved: 0, fetched: 0, imported: 0 };
  const kinds: Readonly<Record<string, keyof typeof counts>> = {
    ...{ resolved: 'resolved', fetched: 'fetched', found_in_store: 'fetched', imported: 'imported' },
  };
  let total: number | undefined;
  const tellRetry = ({ url = '', error, timeout = 0 }: PnpmEvent): void => {
    const host = URL.parse(url)?.host ?? withoutPasswords(url);
    const what = `${host} does not answer (${error?.code ?? 'no answer'}): again in ${formatDuration(timeout)}`;
    const done = counts.resolved + counts.fetched + counts.imported;
    onProgress({ phase: 'installing', what, unit: 'steps', done });
  };
  return (event) => {
    if (event.name === 'pnpm:stage' && event.stage === 'resolution_done') total = counts.resolved * 3;
    if (event.name === 'pnpm:request-retry') tellRetry(event);
    const kind = event.name === 'pnpm:progress' ? kinds[event.status ?? ''] : undefined;
    if (!kind) return;
    counts[kind]++;
    const done = counts.resolved + counts.fetched + counts.imported;
    const what = event.packageId ?? (kind === 'imported' ? 'linking packages' : 'packages');
    onProgress({
      ...{ phase: 'installing', what, unit: 'steps' },
      ...(total === undefined ? { done } : { done: Math.min(done, total), total }),
    });
  };
}
