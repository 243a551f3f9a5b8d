import { existsSync } from 'node:fs';
import { access, chmod, constants, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ExitedStatus, InstanceHandle, InstanceSpec, RuntimeDriver } from '#contracts/runtime';
import runtimeProcess, { enforcedHere } from '#drivers/runtime/process';
import type { ProcessOptions } from '#drivers/runtime/process';
import { ownCgroupV1 } from '#kernel/cgroups';
import { systemClock } from '#kernel/clock';
import { newInstanceId, unitId } from '#kernel/ids';
import { silentLogger } from '#kernel/logger';
import { whyNoUsers } from '#runtime/sandbox/users';
import { followEvents, startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { exited, startedEarlier, until } from './_processes.ts';

const never = new AbortController().signal;
const host = { log: silentLogger, clock: systemClock, signal: never };
const MiB = 2 ** 20;
const enforced = await enforcedHere();
const noLandlock = enforced.files === 'none';
const noUsers = await whyNoUsers(70_000);

async function openDriver(options: ProcessOptions = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'sutaz-sandbox-'));
  const driver = await runtimeProcess.open(options, host);
  const ends = new Map<string, ExitedStatus>();
  driver.onExit(({ id }, status) => ends.set(id, status));
  onTestFinished(async () => {
    for (const handle of await driver.list()) await driver.stop(handle, 0);
    await driver.close();
    await rm(dir, { recursive: true, force: true });
  });
  const spec = (argv: InstanceSpec['argv'], confine: InstanceSpec['confine']): InstanceSpec => ({
    ...{ id: newInstanceId(), unit: unitId('service', 'misbehaving'), argv, cwd: dir, memoryBytes: 0 },
    ...{ env: { PATH: process.env['PATH'] ?? '' }, logFile: join(dir, 'logs', 'out.log') },
    ...(confine && { confine }),
  });
  const log = () => readFile(join(dir, 'logs', 'out.log'), 'utf8').catch(() => '');
  const end = async (driverOf: RuntimeDriver, one: InstanceSpec): Promise<ExitedStatus> => {
    await driverOf.start(one, never);
    await until(() => ends.has(one.id), 'its end', 30_000);
    return ends.get(one.id) as ExitedStatus;
  };
  return { dir, driver, spec, log, end, ends };
}

const limits = { memoryBytes: 200 * MiB, processes: 40, cpuWeight: 100 };
const leak = `const held = []; setInterval(() => held.push(Buffer.alloc(16 * 2 ** 20, 1)), 5)`;
/** Each process starts more of itself, for as long as the system lets it, and stays. */
const bomb = `import os, time
while True:
    try:
        os.fork()
    except OSError:
        print('fork refused', flush=True)
        time.sleep(60)`;

describe('a process that takes more and more memory', () => {
  it.skipIf(enforced.memory === 'rlimit')('is killed at its limit, which is told, and leaves no group', async () => {
    const { driver, spec, end } = await openDriver();
    const one = spec([process.execPath, '-e', leak], { limits });
    expect(await end(driver, one)).toEqual({
      ...{ state: 'exited', code: null, signal: 'SIGKILL', oomKilled: true, limitBytes: limits.memoryBytes },
    });
    expect(await groupsOf(one.id)).toEqual([]);
  });

  it.skipIf(enforced.memory === 'rlimit')(
    'is told of, too, when a shell passes on the death of its child',
    async () => {
      const { driver, spec, end } = await openDriver();
      const one = spec(['/bin/sh', '-c', `'${process.execPath}' -e '${leak}'; exit $?`], { limits });
      expect(await end(driver, one)).toMatchObject({ oomKilled: true, limitBytes: limits.memoryBytes });
    },
  );

  it.skipIf(enforced.memory === 'rlimit')('is told of when an earlier platform started it', async () => {
    const { spec } = await openDriver();
    const late = `setTimeout(() => { ${leak} }, 1_500)`;
    const one = spec([process.execPath, '-e', late], { limits });
    const handle = await startedEarlier(one);
    const next = await runtimeProcess.open({}, host);
    onTestFinished(() => next.close());
    const ends: ExitedStatus[] = [];
    next.onExit((_, status) => ends.push(status));
    expect(await next.recover(handle)).toEqual(handle);
    await until(() => ends.length > 0, 'its end', 30_000);
    expect(ends).toEqual([
      { ...{ state: 'exited', code: null, signal: null, oomKilled: true, limitBytes: limits.memoryBytes } },
    ]);
  });

  it('ends by itself where no group may be made, since the system gives it no more', async () => {
    const { driver, spec, end, log } = await openDriver({ cgroups: null });
    const hungry = 'import ctypes\nheld = []\nwhile True: held.append(bytearray(256 * 2 ** 20))';
    const status = await end(
      driver,
      spec(['/usr/bin/python3', '-c', hungry], { limits: { ...limits, memoryBytes: 16 * MiB } }),
    );
    expect(status).toMatchObject({ code: 1, oomKilled: false });
    expect(await log()).toContain('MemoryError');
  });
});

describe('a fork bomb', () => {
  it.skipIf(enforced.processes === 'user')('is bounded, and ended with all of it', async () => {
    const { driver, spec, log } = await openDriver();
    const one = spec(['/usr/bin/python3', '-c', bomb], { limits });
    const handle = await driver.start(one, never);
    await until(async () => (await log()).includes('fork refused'), 'the system to refuse a fork');
    const pids = await pidsOf(handle);
    expect(pids.length).toBeGreaterThan(5);
    expect(pids.length).toBeLessThanOrEqual(limits.processes);
    await driver.stop(handle, 0);
    expect(pids.filter((pid) => !exited(pid))).toEqual([]);
    expect(await groupsOf(one.id)).toEqual([]);
  });

  it.skipIf(noUsers !== null)('is bounded by its user where no group may be made', async () => {
    const { dir, driver, spec, log } = await openDriver({ cgroups: null });
    await chmod(dir, 0o755);
    const user = { uid: 79_991, gid: 79_991, groups: [79_991] };
    const handle = await driver.start(spec(['/usr/bin/python3', '-c', bomb], { limits, user }), never);
    await until(async () => (await log()).includes('fork refused'), 'the system to refuse a fork');
    const pids = await pidsOf(handle);
    expect(pids.length).toBeLessThanOrEqual(limits.processes);
    await driver.stop(handle, 0);
    await until(() => pids.every(exited), 'all of it to end');
  });
});

/** All processes with the instance's mark in their environment. */
async function pidsOf({ id }: InstanceHandle): Promise<number[]> {
  const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0);
  const marked = await Promise.all(
    pids.map(async (pid) => {
      const environ = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
      return environ.includes(`SUTAZ_INSTANCE=${id}`);
    }),
  );
  return pids.filter((pid, i) => marked[i] && !exited(pid));
}

/** Groups of version 1 that are left of an instance. */
async function groupsOf(id: string): Promise<string[]> {
  const parents = await Promise.all((['memory', 'pids', 'cpu'] as const).map((name) => ownCgroupV1(name)));
  return parents
    .flatMap((parent) => (parent === null ? [] : [join(parent, `sutaz-${id}`)]))
    .filter((path) => existsSync(path));
}

/** Tells over HTTP what it could do: of its environment, its user, reads and writes of files. */
const prober = (id: string, extra = '') => `
id: ${id}
name: Prober
summary: Tries what it should not
category: tool
run:
  process:
    command: [node, -e, "${`
      const fs = require('node:fs');
      const attempt = (f) => { try { f(); return 'done'; } catch (e) { return e.code; } };
      require('node:http').createServer((req, res) => {
        const url = new URL(req.url, 'http://x'); const path = url.searchParams.get('path');
        if (url.pathname === '/read') return res.end(attempt(() => fs.readFileSync(path)));
        if (url.pathname === '/write') return res.end(attempt(() => fs.writeFileSync(path, 'x')));
        res.end(JSON.stringify({ uid: process.getuid(), groups: process.getgroups(), env: process.env }));
      }).listen(Number(process.argv[1]), process.argv[2]);`
      .replaceAll('\n', ' ')
      .replaceAll('"', '\\"')}", '{port}', '{host}']
health: { http: /who }
resources: { memory: 64MiB }
${extra}`;

interface Who {
  readonly uid: number;
  readonly groups: readonly number[];
  readonly env: Readonly<Record<string, string>>;
}

describe('services of a platform', () => {
  const setup = async (config = '', home?: string): Promise<TestPlatform> => {
    const at = home ?? (await mkdtemp(join(tmpdir(), 'sutaz-sandboxed-')));
    const catalog = { 'services/prober.yaml': prober('prober'), 'services/neighbour.yaml': prober('neighbour') };
    const env = { SUTAZ_TEST_SECRET: 'of the platform', OPENAI_API_KEY: 'of the platform' };
    const platform = await startPlatform({ home: at, config, catalog, env });
    onTestFinished(async () => {
      await platform.stop();
      await rm(at, { recursive: true, force: true });
    });
    return platform;
  };
  const who = async ({ fetch }: TestPlatform, id = 'prober') =>
    (await (await fetch(`/services/${id}/who`)).json()) as Who;
  const tries = async ({ fetch }: TestPlatform, what: 'read' | 'write', path: string, id = 'prober'): Promise<string> =>
    (await fetch(`/services/${id}/${what}?path=${encodeURIComponent(path)}`)).text();

  it('get no variable of the platform but a few that every program needs', async () => {
    const platform = await setup();
    const { env } = await who(platform);
    expect(JSON.stringify(env)).not.toContain('of the platform');
    const allowed = [
      'HOME',
      'PATH',
      'LANG',
      'LC_ALL',
      'TZ',
      'NODE_COMPILE_CACHE',
      'NODE_EXTRA_CA_CERTS',
      'PWD',
      'OLDPWD',
    ];
    const more = [
      'SSL_CERT_FILE',
      'SSL_CERT_DIR',
      'REQUESTS_CA_BUNDLE',
      'SUTAZ_INSTANCE',
      'SHLVL',
      '_',
      ...['TMPDIR', 'USER', 'LOGNAME', 'DO_NOT_TRACK', 'ORT_DISABLE_TELEMETRY'],
    ];
    expect(Object.keys(env).filter((name) => ![...allowed, ...more].includes(name))).toEqual([]);
  });

  it.skipIf(noUsers !== null)('run as users of their own, who reach nothing but their own data', async () => {
    const platform = await setup();
    const { home } = platform;
    const [one, other] = [await who(platform), await who(platform, 'neighbour')];
    expect(one.uid).toBeGreaterThan(70_000);
    expect(one.uid).toBeLessThan(80_000);
    expect(other.uid).not.toBe(one.uid);
    const outside = [join(home, 'x'), join(home, 'services', 'x'), join(home, 'env', 'x'), '/usr/bin/x', '/etc/passwd'];
    for (const path of [...outside, join(home, 'services', 'neighbour', 'x')]) {
      expect([path, await tries(platform, 'write', path)]).toEqual([path, 'EACCES']);
    }
    const secrets = ['keys/admin.key', 'state.db', 'platform.json', 'sutaz.yaml', 'logs/service-neighbour.log'];
    for (const path of secrets.map((name) => join(home, name))) {
      await access(path, constants.R_OK);
      expect([path, await tries(platform, 'read', path)]).toEqual([path, 'EACCES']);
    }
    expect(await tries(platform, 'read', `/proc/${platform.pid}/environ`)).toBe('EACCES');
    expect(await tries(platform, 'write', join(home, 'services', 'prober', 'x'))).toBe('done');
    expect((await stat(join(home, 'services', 'prober', 'x'))).uid).toBe(one.uid);
    // Regression: the folder above it was closed to them, and Node went without compiled code.
    expect(await tries(platform, 'write', join(one.env['NODE_COMPILE_CACHE'] ?? '', 'x'))).toBe('done');
  });

  it.skipIf(noLandlock)(
    'write in their data, their temporary folder and what was named, and nowhere else',
    async () => {
      const open = await mkdtemp(join(tmpdir(), 'sutaz-open-'));
      onTestFinished(() => rm(open, { recursive: true }));
      await chmod(open, 0o777);
      const platform = await setup(`services: { neighbour: { writes: [${open}] } }`);
      const { home } = platform;
      const { env } = await who(platform);
      await who(platform, 'neighbour');
      const temporary = env['TMPDIR'] ?? '';
      const own = [join(home, 'services', 'prober', 'x'), join(temporary, 'x'), '/dev/null', '/proc/self/fd/1'];
      for (const path of [...own, join(env['NODE_COMPILE_CACHE'] ?? '', 'x')]) {
        expect([path, await tries(platform, 'write', path)]).toEqual([path, 'done']);
      }
      // Anybody may write in these but for that.
      const names = ['/tmp', '/var/tmp', '/dev/shm', open].map((folder) => join(folder, `sutaz-${process.pid}`));
      onTestFinished(async () => void (await Promise.all(names.map((path) => rm(path, { force: true })))));
      const inHome = ['x', 'env/x', 'catalog/services/prober.yaml', 'services/neighbour/x', 'cache/x'];
      for (const path of [...names, ...inHome.map((name) => join(home, name))]) {
        expect([path, await tries(platform, 'write', path)]).toEqual([path, 'EACCES']);
      }
      for (const path of ['keys/admin.key', 'state.db', 'platform.json'].map((name) => join(home, name))) {
        expect([path, await tries(platform, 'read', path)]).toEqual([path, 'EACCES']);
      }
      expect(await tries(platform, 'write', join(open, 'named'), 'neighbour')).toBe('done');
      const { instance } = await platform.unit('prober');
      expect(instance?.confined).toEqual({ user: noUsers === null ? expect.any(Number) : null, files: true });
      await platform.fetch('/sutaz/v1/units/prober/stop', { method: 'POST' });
      await platform.untilState('prober', 'cold');
      await until(() => !existsSync(temporary), 'its temporary files to go');
    },
  );

  it('write where their users may when they are told to be off, and keep their temporary files apart all the same', async () => {
    const open = await mkdtemp(join(tmpdir(), 'sutaz-open-'));
    onTestFinished(() => rm(open, { recursive: true }));
    const platform = await setup('services: { prober: { sandbox: "off" } }');
    expect(await tries(platform, 'write', join(open, 'x'))).toBe('done');
    expect((await platform.unit('prober')).instance?.confined).toBeUndefined();
    const temporary = (await who(platform)).env['TMPDIR'] ?? '';
    expect(existsSync(temporary)).toBe(true);
  });

  it('are not given the home to write in', async () => {
    const platform = await setup('services: { prober: { writes: [/tmp] } }', undefined);
    const answer = await platform.fetch('/services/prober/who');
    expect([answer.status, await answer.text()]).toEqual([503, expect.stringContaining('nor has it in it')]);
  });

  it.skipIf(noUsers !== null)(
    'are taken over with their user, and get back what they had when told to be off',
    async () => {
      const home = await mkdtemp(join(tmpdir(), 'sutaz-sandboxed-'));
      const first = await setup('', home);
      const { uid } = await who(first);
      await tries(first, 'write', join(home, 'services', 'prober', 'kept'));
      const before = await first.unit('prober');
      await first.kill9();
      const second = await setup('sandbox: { mode: "off" }', home);
      expect((await second.unit('prober')).instance?.pid).toBe(before.instance?.pid);
      expect((await who(second)).uid).toBe(uid);
      await second.fetch('/sutaz/v1/units/prober/stop', { method: 'POST' });
      await second.untilState('prober', 'cold');
      expect((await who(second)).uid).toBe(process.getuid?.());
      expect((await stat(join(home, 'services', 'prober', 'kept'))).uid).toBe(process.getuid?.());
    },
  );

  it('that are to be strict do not start where it cannot be had, and say why', async () => {
    const parent = await mkdtemp(join(tmpdir(), 'sutaz-closed-'));
    onTestFinished(() => rm(parent, { recursive: true, force: true }));
    const platform = await setup('services: { prober: { sandbox: strict } }', join(parent, 'home'));
    const answer = await platform.fetch('/services/prober/who');
    expect(answer.status).toBe(503);
    expect(await answer.text()).toMatch(/user of its own.*(closed to other users|does not run as root|CAP_|setpriv)/s);
    // In a folder that only root may enter, others run as the platform does.
    expect((await who(platform, 'neighbour')).uid).toBe(process.getuid?.());
  });

  it.skipIf(enforced.memory === 'rlimit')('say that they were killed at their limit, with the bytes', async () => {
    const platform = await setup();
    const leaking = `id: leaking\nname: Leaking\nsummary: Leaks\ncategory: tool\nrun: { process: { command: [node, -e, "setTimeout(() => { const held = []; setInterval(() => held.push(Buffer.alloc(64 * 2 ** 20, 1)), 1) }, 500); require('node:http').createServer((q, s) => s.end('ok')).listen(+process.argv[1], process.argv[2])", '{port}', '{host}'] } }\nhealth: { http: / }\nresources: { memory: 64MiB }\n`;
    await writeFile(join(platform.home, 'catalog/services/leaking.yaml'), leaking);
    const events = followEvents(platform);
    onTestFinished(() => events.stop());
    await until(async () => (await platform.fetch('/services/leaking/')).status === 200, 'it to answer once');
    const said = () => JSON.stringify(events.seen.filter(({ event }) => event === 'log'));
    await until(() => said().includes('"type":"exited"'), 'its end', 60_000);
    expect(said()).toContain('it wanted more than its limit of 1.06 GiB');
  });
});
