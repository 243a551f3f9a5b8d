import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Clock } from '#kernel/clock';
import { systemCode } from '#kernel/faults';
import type { Logger } from '#kernel/logger';
import { changedForRestart, configSchema } from './static.ts';
import type { Config } from './static.ts';
import { formatProblem, parseStrict, problemAt } from './strict.ts';
import type { Parsed, Problem } from './strict.ts';
import type { Environment } from './substitute.ts';
import type { Path } from './walk.ts';
import { watchFolders } from './watch.ts';

/** What the command line says; it goes over the file. */
export interface ConfigOverrides {
  readonly port?: number;
  readonly host?: string;
  readonly memoryBytes?: number;
}

export interface LoadOptions {
  /** The home folder, absolute. */
  readonly home: string;
  /** Left out, `<home>/sutaz.yaml` when it is there. One that is named must be there. */
  readonly file?: string;
  readonly env: Environment;
  readonly overrides?: ConfigOverrides;
}

/** The configuration, or everything that is wrong with it. */
export async function loadConfig(options: LoadOptions): Promise<Parsed<Config>> {
  const path = fileOf(options);
  const text = await read(path, options.file === undefined);
  if (!text.ok) return text;
  const parsed =
    text.value === null
      ? defaults()
      : parseStrict(text.value, path, configSchema, { environment: options.env, emptyIsAbsent: true });
  if (!parsed.ok) return parsed;
  return { ok: true, value: override(parsed.value, options.overrides ?? {}) };
}

/** The file that is read, whether it is there or not. */
export const fileOf = ({ file, home }: LoadOptions): string => file ?? join(home, 'sutaz.yaml');

const defaults = (): Parsed<Config> => ({ ok: true, value: configSchema.parse({}) });

const bad = (file: string, message: string) =>
  ({ ok: false, problems: [{ file, line: 1, column: 1, key: '', message }] }) as const satisfies Parsed<never>;

/** Null where there is no file, or one with nothing but comments in it, and none is needed. */
async function read(path: string, optional: boolean): Promise<Parsed<string | null>> {
  try {
    const text = await readFile(path, 'utf8');
    return { ok: true, value: /^\s*[^#\s]/m.test(text) ? text : null };
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' && optional) return { ok: true, value: null };
    return bad(path, code === 'ENOENT' ? 'there is no such file' : `cannot be read: ${code ?? String(error)}`);
  }
}

const override = (config: Config, { port, host, memoryBytes }: ConfigOverrides): Config => ({
  ...config,
  listen: { ...config.listen, ...(port === undefined ? {} : { port }), ...(host === undefined ? {} : { host }) },
  memory: { ...config.memory, ...(memoryBytes === undefined ? {} : { limit: memoryBytes }) },
});

/** What was found beyond the schema about a configuration that is to take effect. */
export interface Review {
  readonly problems: readonly { readonly path: Path; readonly message: string }[];
  /** Whether it is another one although the file says the same: something that it names has changed. */
  readonly changed: boolean;
}

export interface ConfigSource {
  /** Where it stands, whether there is one or not. */
  readonly file: string;
  /** What runs: the last configuration that was good. */
  current(): Config;
  /** What is wrong with the file as it is now; empty when it is what runs. */
  problems(): readonly Problem[];
  /** Reads the file again now; tells whether another configuration runs. */
  refresh(): Promise<boolean>;
  /** Asked about each configuration before it takes effect. A problem leaves running what runs. */
  review(reviewer: (config: Config) => Promise<Review>): () => void;
  onChange(listener: (config: Config, before: Config) => void): () => void;
  close(): void;
}

export interface WatchConfigOptions extends LoadOptions {
  /** What was loaded at the start. */
  readonly initial: Config;
  readonly clock: Clock;
  readonly log: Logger;
  readonly settleMs?: number;
  readonly pollMs?: number;
}

/** Milliseconds after which a file that says nothing any more is believed. */
const bareMs = 1_000;

/** Follows the file. A bad one is told in the log, once, and leaves running what ran. */
export function watchConfig(options: WatchConfigOptions): ConfigSource {
  const { log } = options;
  const file = fileOf(options);
  const listeners = new Set<(config: Config, before: Config) => void>();
  const reviewers = new Set<(config: Config) => Promise<Review>>();
  let current = options.initial;
  let problems: readonly Problem[] = [];

  const complain = (found: readonly Problem[]) => {
    const told = new Set(problems.map(formatProblem));
    for (const line of found.map(formatProblem)) {
      if (!told.has(line)) log.error('the configuration is not used: it has a problem', { problem: line });
    }
    problems = found;
  };
  const take = (config: Config) => {
    const before = current;
    current = config;
    const waiting = changedForRestart(before, config);
    if (waiting.length > 0)
      log.warn('the configuration changed; some of it takes effect at the next start', { keys: waiting });
    for (const listener of [...listeners]) {
      try {
        listener(config, before);
      } catch (error) {
        log.error('a listener of the configuration failed', { error: String(error) });
      }
    }
  };
  const bare = JSON.stringify(override(configSchema.parse({}), options.overrides ?? {}));
  /** A file that is gone or empty may be one that is just being written, and would take every limit and rule with it. */
  const loadSettled = async (): Promise<Parsed<Config>> => {
    const loaded = await loadConfig(options);
    const hasLostAll = loaded.ok && JSON.stringify(loaded.value) === bare && JSON.stringify(current) !== bare;
    if (!hasLostAll) return loaded;
    await new Promise<void>((resolve) => void options.clock.after(bareMs, resolve));
    return loadConfig(options);
  };
  const read = async (): Promise<boolean> => {
    const loaded = await loadSettled();
    const reviewed = loaded.ok ? await Promise.all([...reviewers].map((review) => review(loaded.value))) : [];
    const found = loaded.ok ? await placed(file, reviewed) : loaded.problems;
    complain(found);
    if (!loaded.ok || found.length > 0) return false;
    if (!reviewed.some(({ changed }) => changed) && JSON.stringify(loaded.value) === JSON.stringify(current))
      return false;
    take(loaded.value);
    return true;
  };
  // The home folder is a busy place: only this file's changes count.
  const concerns = (name: string | null) => name === null || name === basename(file);
  const watched = watchFolders({ ...options, what: 'the configuration', folders: [dirname(file)], concerns, read });
  return {
    file,
    current: () => current,
    problems: () => problems,
    refresh: watched.refresh,
    review(reviewer) {
      reviewers.add(reviewer);
      return () => reviewers.delete(reviewer);
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: watched.close,
  };
}

async function placed(file: string, reviewed: readonly Review[]): Promise<Problem[]> {
  const found = reviewed.flatMap(({ problems }) => problems);
  if (found.length === 0) return [];
  const text = await readFile(file, 'utf8').catch(() => '');
  return found.map(({ path, message }) => problemAt(text, file, path, message));
}
