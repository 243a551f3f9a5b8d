import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { silentLogger } from '#kernel/logger';
import { loadConfig, watchConfig } from './load.ts';
import type { ConfigSource, Review, LoadOptions } from './load.ts';
import { changedForRestart, configSchema } from './static.ts';
import type { Config } from './static.ts';
import { formatProblem, parseStrict } from './strict.ts';
import { keysOf, unwrap } from './walk.ts';

const defaults = configSchema.parse({});

describe('the defaults', () => {
  it('are what the issue and the design say', () => {
    expect(defaults).toEqual({
      listen: { host: '127.0.0.1', port: 8080, hosts: [], plain: 'local', workers: 1, trust: [] },
      memory: {},
      scheduler: {
        minResidency: 500,
        horizon: 30_000,
        hold: 300_000,
        queue: 256,
        ageing: 60_000,
        backoff: { first: 1_000, max: 60_000, attempts: 3 },
        quarantine: 300_000,
        prediction: true,
      },
      limits: {
        ...{ body: 32 * 2 ** 20, headerTimeout: 30_000, keepAlive: 75_000, connections: 4_096 },
        ...{ headers: 32 * 2 ** 10, headerCount: 128, url: 8 * 2 ** 10, streams: 128 },
        ...{ bodyTimeout: 30_000, bodyRate: 64, rules: [] },
      },
      cache: { memory: 0, age: 3_600_000, shared: false },
      sandbox: { mode: 'auto', firstUser: 70_000 },
      models: { default: 'smollm2:135m', versions: 2, allowPickle: false, settings: {}, names: {} },
      security: { roles: {}, oidc: [] },
      services: {},
      bindings: {},
      routes: {},
      middlewares: {},
      catalog: { folders: [] },
      logs: { level: 'info', perInstance: 4 * 2 ** 20, audit: 4 * 2 ** 20 },
    });
  });
});

describe('examples/sutaz.yaml', () => {
  const path = fileURLToPath(new URL('../../examples/sutaz.yaml', import.meta.url));

  it('has the values of the defaults', async () => {
    const home = await mkdtemp(join(tmpdir(), 'sutaz-example-'));
    expect(await loadConfig({ home, file: path, env: {} })).toEqual({ ok: true, value: defaults });
    await rm(home, { recursive: true });
  });

  it('is right and has every key once what stands behind a # is taken in', async () => {
    const text = (await readFile(path, 'utf8')).replace(/^(\s*)#(?=\S)/gm, '$1');
    const parsed = parseStrict(text, path, configSchema, { environment: {}, emptyIsAbsent: true });
    expect(parsed.ok ? [] : parsed.problems.map(formatProblem)).toEqual([]);
    if (parsed.ok) expect(keysMissing(configSchema, parsed.value)).toEqual([]);
  });
});

/** The paths of the schema's keys that a value does not have; of a record, those of its entries. */
function keysMissing(schema: Parameters<typeof unwrap>[0], value: unknown, path = ''): string[] {
  return unwrap(schema).flatMap((found) => {
    const { def } = (found as typeof configSchema)._zod as { def: unknown } as {
      def: { type: string; shape: Record<string, never>; valueType: never };
    };
    const entries = (value ?? {}) as Record<string, unknown>;
    if (def.type === 'record' && path !== '.services.env') {
      const all = Object.values(entries);
      if (all.length === 0) return [`${path}.*`];
      // Of keys that exclude one another each has an entry that has it.
      const [first = [], ...others] = all.map((entry) => keysMissing(def.valueType, entry, path));
      return first.filter((key) => others.every((missing) => missing.includes(key)));
    }
    return keysOf([found]).flatMap((key) =>
      key in entries ? keysMissing(def.shape[key] as never, entries[key], `${path}.${key}`) : [`${path}.${key}`],
    );
  });
}

let home = '';
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'sutaz-config-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

const write = (text: string) => writeFile(join(home, 'sutaz.yaml'), text);
const load = async (options: Partial<LoadOptions> = {}) => {
  const loaded = await loadConfig({ home, env: {}, ...options });
  return loaded.ok ? loaded.value : loaded.problems.map((problem) => formatProblem(problem).replace(`${home}/`, ''));
};

describe('loading', () => {
  it('needs no file, and takes an empty one for none', async () => {
    expect(await load()).toEqual(defaults);
    await write('# nothing yet\n\n');
    expect(await load()).toEqual(defaults);
    await write('memory:\n  # limit: 4GiB\n');
    expect(await load()).toEqual(defaults);
  });

  it('takes the file over the defaults and the command line over the file', async () => {
    await write('listen: { port: 1234, host: 0.0.0.0 }\nmemory: { limit: "${LIMIT}", reserve: 2GiB }\n');
    const overrides = { port: 0, memoryBytes: 5 };
    expect(await load({ env: { LIMIT: '4GiB' }, overrides })).toEqual({
      ...defaults,
      listen: { ...defaults.listen, host: '0.0.0.0', port: 0 },
      memory: { limit: 5, reserve: 2 * 2 ** 30 },
    });
  });

  it('reads the settings of single services and models', async () => {
    await write(
      'services:\n  chroma: { run: docker, memory: 1GiB, idle: { after: 1h }, env: { A: 1 } }\nmodels:\n  settings:\n    smollm2:135m: { context: 8192 }\n',
    );
    expect(await load()).toMatchObject({
      services: { chroma: { run: 'docker', memory: 2 ** 30, idle: { after: 3_600_000 }, env: { A: '1' } } },
      models: { settings: { 'smollm2:135m': { context: 8192 } } },
    });
  });

  it.each([
    [
      'lisen: { port: 1 }\n',
      'sutaz.yaml:1:1: lisen: unknown key. Did you mean listen? Known here: listen, memory, scheduler, limits, cache, sandbox, models, security, services, bindings, routes, middlewares, catalog, logs.',
    ],
    ['listen:\n  port: 80800\n', 'sutaz.yaml:2:9: listen.port: must be at most 65535'],
    [
      'memory:\n  limit: lots\n',
      'sutaz.yaml:2:10: memory.limit: "lots" is not a size. Write it as 256MiB, 4GiB or 1.5GB, or as a plain number of bytes.',
    ],
    [
      'scheduler: { backoff: { frist: 1s } }\n',
      'sutaz.yaml:1:25: scheduler.backoff.frist: unknown key. Did you mean first? Known here: first, max, attempts.',
    ],
    [
      'services:\n  chroma:\n    pined: true\n',
      'sutaz.yaml:3:5: services.chroma.pined: unknown key. Did you mean pinned? Known here: enabled, run, memory, vram, gpu, priority, idle, replicas, pinned, bindings, env, sandbox, writes, traffic, fallback.',
    ],
    [
      'models: { settings: { "a:1": { slots: 0 } } }\n',
      'sutaz.yaml:1:39: models.settings."a:1".slots: must be at least 1',
    ],
    ['logs: { level: ${LEVEL} }\n', 'sutaz.yaml:1:'],
    [
      'logs:\n  level: ${LEVEL}\n',
      'sutaz.yaml:2:10: the environment variable LEVEL is not set. Set it, or write ${LEVEL:-default}',
    ],
    ['catalog: { folders: [here] }\n', 'sutaz.yaml:1:22: catalog.folders[0]: must be an absolute path'],
  ])('tells what is wrong with %j', async (text, problem) => {
    await write(text);
    expect(await load()).toContainEqual(expect.stringContaining(problem));
  });

  it('misses a file that was named, and one that is none', async () => {
    expect(await load({ file: join(home, 'x.yaml') })).toEqual(['x.yaml:1:1: there is no such file']);
    expect(await load({ file: home })).toEqual([expect.stringContaining('cannot be read: EISDIR')]);
  });
});

describe('following the file', () => {
  const clock = fakeClock();
  let source: ConfigSource;
  const log = { ...silentLogger, error: vi.fn(), warn: vi.fn() };
  beforeEach(() => {
    vi.clearAllMocks();
    source = watchConfig({ home, env: {}, initial: defaults, clock, log });
  });
  afterEach(() => source.close());

  it('takes in a change, and tells of it with what was before', async () => {
    const seen = vi.fn<(config: Config, before: Config) => void>();
    source.onChange(seen);
    expect(await source.refresh()).toBe(false);
    await write('scheduler: { hold: 1m }\n');
    expect(await source.refresh()).toBe(true);
    expect(source.current().scheduler.hold).toBe(60_000);
    expect(seen).toHaveBeenCalledExactlyOnceWith(source.current(), defaults);
    expect(log.warn).not.toHaveBeenCalled();
  });

  it('leaves running what ran when the file is bad, tells why once, and recovers', async () => {
    await write('scheduler: { hold: 1m }\n');
    await source.refresh();
    await write('scheduler: { hold: soon }\n');
    expect(await source.refresh()).toBe(false);
    await source.refresh();
    expect(source.current().scheduler.hold).toBe(60_000);
    expect(source.problems()).toMatchObject([{ line: 1, key: 'scheduler.hold' }]);
    expect(log.error).toHaveBeenCalledOnce();
    await write('scheduler: { hold: 2m }\n');
    expect(await source.refresh()).toBe(true);
    expect(source.problems()).toEqual([]);
    await rm(join(home, 'sutaz.yaml'));
    expect(await afterAMoment()).toBe(true);
    expect(source.current()).toEqual(defaults);
  });

  /** Reads again, with the moment that one takes which has lost all it said. */
  async function afterAMoment(meanwhile: () => Promise<void> = async () => undefined): Promise<boolean> {
    const waits = vi.spyOn(clock, 'after');
    const read = source.refresh();
    await vi.waitFor(() => expect(waits).toHaveBeenCalledWith(1_000, expect.any(Function)));
    await meanwhile();
    clock.advance(1_000);
    return read.finally(() => waits.mockRestore());
  }

  it.each(['', '# nothing\n', null])(
    'regression: a file that is caught while it is written (%j) takes no rule away',
    async (text) => {
      const whole = 'limits: { rules: [{ requests: 5/minute }] }\n';
      const seen = vi.fn();
      await write(whole);
      await source.refresh();
      source.onChange(seen);
      await (text === null ? rm(join(home, 'sutaz.yaml')) : write(text));
      expect(await afterAMoment(() => write(whole))).toBe(false);
      expect(seen).not.toHaveBeenCalled();
      expect(source.current().limits.rules).toHaveLength(1);
    },
  );

  it('asks what was found beyond the schema first, and says where; a change of what it names is one', async () => {
    let review: Review = { problems: [{ path: ['scheduler', 'hold'], message: 'not so long' }], changed: false };
    source.review(() => Promise.resolve(review));
    await write('# why\nscheduler: { hold: 1m }\n');
    expect(await source.refresh()).toBe(false);
    expect(source.problems()).toMatchObject([{ line: 2, column: 20, key: 'scheduler.hold', message: 'not so long' }]);
    expect(source.current()).toEqual(defaults);
    review = { problems: [], changed: false };
    expect(await source.refresh()).toBe(true);
    expect(await source.refresh()).toBe(false);
    review = { problems: [], changed: true };
    expect(await source.refresh()).toBe(true);
  });

  it('says what takes effect only at the next start', async () => {
    await write('listen: { port: 1 }\nlogs: { level: debug }\n');
    await source.refresh();
    expect(log.warn).toHaveBeenCalledExactlyOnceWith(expect.any(String), { keys: ['listen.port'] });
    expect(changedForRestart(defaults, source.current())).toEqual(['listen.port']);
  });

  it('looks by itself', async () => {
    const changed = new Promise((resolve) => source.onChange(resolve));
    await write('scheduler: { hold: 3m }\n');
    clock.advance(5_000);
    await changed;
    expect(source.current().scheduler.hold).toBe(180_000);
  });
});
