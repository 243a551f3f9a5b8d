import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { runtimeConformance, type RuntimeHarness } from '#contracts/runtime.conformance';
import type { ContainerSpec, ExitedStatus, InstanceHandle, InstanceSpec, RuntimeDriver } from '#contracts/runtime';
import runtimeDocker from '#drivers/runtime/docker';
import { systemClock } from '#kernel/clock';
import { newInstanceId, unitId } from '#kernel/ids';
import { silentLogger } from '#kernel/logger';
import { freePort } from '#runtime/ports';
import { boxedDefinition, docker, dockerSocket, importImage, whyNoDocker } from './_docker.ts';
import { startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { runScript, until } from './_processes.ts';

const host = { log: silentLogger, clock: systemClock, signal: new AbortController().signal };
/** A run's own: another one at the same time removes only its own. */
const image = `sutaz-test-busybox:${process.pid}`;
const why = await whyNoDocker();
if (why !== null) console.log(`Containers are not tested: ${why}.`);

interface Harness extends RuntimeHarness {
  readonly owner: string;
  readonly dir: string;
}

async function openHarness(): Promise<Harness> {
  const dir = await mkdtemp(join(tmpdir(), 'sutaz-runtime-docker-'));
  const owner = `test${randomBytes(6).toString('hex')}`;
  const drivers: RuntimeDriver[] = [];
  let openDrivers = 0;
  const reopen = async () => {
    const driver = await runtimeDocker.open({ owner, socket: dockerSocket }, host);
    drivers.push(driver);
    openDrivers++;
    return { ...driver, close: () => driver.close().finally(() => openDrivers--) };
  };
  let serial = 0;
  const ports = await Promise.all(Array.from({ length: 8 }, () => freePort()));
  const container = (port: number): ContainerSpec => ({
    ...{ image, mounts: [], readOnly: true, init: true, limits: {} },
    publish: { inside: 80, host: '127.0.0.1', port },
  });
  const place = () => ({
    ...{ env: {}, cwd: dir, logFile: join(dir, 'logs', `${serial}.log`) },
    container: container(ports[serial++] as number),
  });
  const idsOf = async (logFile: string) =>
    (await docker('ps', '-aq', '--filter', `label=ai.sutaz.log=${logFile}`)).split('\n').filter(Boolean);
  return {
    owner,
    dir,
    driver: await reopen(),
    reopen,
    script: (text) => ({ ...place(), argv: ['/bin/sh', '-c', text] }),
    missing: () => ({ ...place(), argv: ['no-such-command', '--port', '1'], name: 'no-such-command' }),
    async log({ logFile }) {
      // While no platform runs, it is the engine that keeps what is written.
      const [id] = openDrivers > 0 ? [] : await idsOf(logFile);
      return id ? docker('logs', id) : readFile(logFile, 'utf8').catch(() => '');
    },
    async close() {
      for (const driver of drivers) {
        for (const handle of await driver.list()) await driver.stop(handle, 0);
        await driver.close();
      }
      await rm(dir, { recursive: true, force: true });
      expect(await docker('ps', '-aq', '--filter', `label=ai.sutaz.owner=${owner}`)).toBe('');
      expect(await docker('network', 'ls', '-q', '--filter', `label=ai.sutaz.owner=${owner}`)).toBe('');
    },
  };
}

describe.skipIf(why !== null)('containers', () => {
  beforeAll(() => importImage(image));
  afterAll(async () => void (await docker('image', 'rm', '-f', image)));

  describe('conformance', () => runtimeConformance(() => openHarness()));

  const never = new AbortController().signal;
  const MiB = 2 ** 20;
  type Complete = InstanceSpec & { readonly container: ContainerSpec };
  const setup = async () => {
    const harness = await openHarness();
    onTestFinished(() => harness.close());
    const spec = (text: string, container: Partial<ContainerSpec> = {}, name = 'special'): Complete => {
      const part = harness.script(text);
      const base = part.container as ContainerSpec;
      const id = newInstanceId();
      return { ...part, id, unit: unitId('service', name), memoryBytes: 0, container: { ...base, ...container } };
    };
    const ends: ExitedStatus[] = [];
    harness.driver.onExit((_, status) => ends.push(status));
    const says = (one: InstanceSpec, text: string) =>
      until(async () => (await harness.log(one)).includes(text), `"${text}" in the log`);
    return { ...harness, spec, ends, says };
  };
  const facts = async (handle: InstanceHandle) => {
    const [found] = JSON.parse(await docker('inspect', (handle.state as { container: string }).container)) as [Facts];
    return found;
  };
  interface Facts {
    readonly HostConfig: Readonly<Record<string, unknown>>;
    readonly NetworkSettings: {
      readonly Ports: Readonly<Record<string, unknown>>;
      readonly Networks: Readonly<Record<string, { readonly IPAddress: string }>>;
    };
  }

  it('that wants more memory than it is allowed is killed for that, with the bytes', async () => {
    const { driver, spec, ends } = await setup();
    const greedy = spec('', { limits: { memory: 24 * MiB } });
    // It looks for the end of a line that has none.
    await driver.start({ ...greedy, argv: ['/bin/tail', '/dev/zero'] }, never);
    await until(() => ends.length > 0, 'its end');
    expect(ends).toEqual([{ state: 'exited', code: null, signal: 'SIGKILL', oomKilled: true, limitBytes: 24 * MiB }]);
  });

  it('is held to its limits, its own mounts and no new privileges', async () => {
    const { driver, spec, dir, says } = await setup();
    const tries = `touch /forbidden || echo 'read only'; touch /tmp/a && echo scratch; touch /data/kept && echo kept`;
    const one = spec(`${tries}; cat /proc/self/status; sleep 60`, {
      ...{ user: '0:0', mounts: [{ source: dir, target: '/data', readOnly: false }] },
      limits: { memory: 64 * MiB, cpu: 0.5, pids: 20 },
    });
    const handle = await driver.start(one, never);
    for (const word of ['read only', 'scratch', 'kept', 'NoNewPrivs:\t1']) await says(one, word);
    expect((await facts(handle)).HostConfig).toMatchObject({
      ...{ Memory: 64 * MiB, MemorySwap: 64 * MiB, NanoCpus: 5e8, PidsLimit: 20, ReadonlyRootfs: true },
    });
    expect(await readFile(join(dir, 'kept'), 'utf8')).toBe('');
    const status = await driver.inspect(handle);
    expect(status).toMatchObject({ state: 'running', pid: expect.any(Number) });
    expect(status.state === 'running' && status.memoryBytes).toBeLessThan(64 * MiB);
  });

  it.skipIf(process.getuid?.() !== 0)('has its mounts given to whom its image runs as by name', async () => {
    const { driver, spec, dir, says } = await setup();
    const named = `${image}-named`;
    await importImage(named, { user: ['somebody', 4321] });
    onTestFinished(async () => void (await docker('image', 'rm', '-f', named)));
    await mkdir(join(dir, 'own'));
    await writeFile(join(dir, 'own', 'before'), 'of a process\n', { mode: 0o600 });
    const mounts = [{ source: join(dir, 'own'), target: '/data', readOnly: false }];
    const one = spec('cat /data/before && touch /data/after && echo written; sleep 60', { image: named, mounts });
    await driver.start(one, never);
    await says(one, 'of a process');
    await says(one, 'written');
    expect(await stat(join(dir, 'own', 'after'))).toMatchObject({ uid: 4321, gid: 4321 });
  });

  it('is reached on the loopback address alone, and by others of its group alone', async () => {
    const { driver, spec, says, log } = await setup();
    const serve = 'echo hello > /tmp/index.html; httpd -f -p 80 -h /tmp';
    const [apart, friend] = [spec(serve, {}, 'apart'), spec(serve, { group: 'friends' }, 'friend')];
    const handles = await Promise.all([driver.start(apart, never), driver.start(friend, never)]);
    const { host: at, port } = apart.container.publish;
    const answer = () =>
      fetch(`http://${at}:${port}/`).then(
        (res) => res.text(),
        () => '',
      );
    await until(async () => (await answer()) === 'hello\n', 'an answer at the published port');
    const [first, second] = await Promise.all(handles.map(facts));
    expect(first?.NetworkSettings.Ports).toEqual({ '80/tcp': [{ HostIp: '127.0.0.1', HostPort: String(port) }] });

    // By its address: a static program of this C library looks no names up.
    const ask = (who: Facts | undefined) => {
      const [network] = Object.values(who?.NetworkSettings.Networks ?? {});
      const get = `echo -e 'GET / HTTP/1.0\\r\\n\\r' | nc -w 2 ${network?.IPAddress} 80`;
      return `${get} || echo no answer; echo asked; sleep 60`;
    };
    const [one, other, stranger] = [
      spec(ask(second), { group: 'friends' }, 'one'),
      spec(ask(second), { group: 'others' }, 'other'),
      spec(ask(first), {}, 'stranger'),
    ];
    await Promise.all([one, other, stranger].map((each) => driver.start(each, never)));
    await Promise.all([one, other, stranger].map((each) => says(each, 'asked')));
    expect(await log(one)).toContain('hello');
    expect(await log(other)).toContain('no answer');
    expect(await log(stranger)).toContain('no answer');
  });

  it('goes on when the platform is killed, and is found by its labels with every line it wrote', async () => {
    const { driver, spec, log, owner } = await setup();
    const one = spec('n=0; while :; do n=$((n+1)); echo "line $n"; sleep 0.02; done');
    const platform = await runScript(`
      import runtimeDocker from '#drivers/runtime/docker';
      import { systemClock } from '#kernel/clock';
      import { silentLogger } from '#kernel/logger';
      const signal = new AbortController().signal;
      const options = ${JSON.stringify({ owner, socket: dockerSocket })};
      const driver = await runtimeDocker.open(options, { log: silentLogger, clock: systemClock, signal });
      const handle = await driver.start(${JSON.stringify(one)}, signal);
      setTimeout(() => console.log(JSON.stringify(handle)), 500);
      setInterval(() => undefined, 1_000);`);
    await platform.kill9();
    const handle = JSON.parse(platform.line) as InstanceHandle;
    expect(await driver.find?.(one.id, one.unit)).toEqual(handle);
    expect(await driver.find?.(newInstanceId(), one.unit)).toBeNull();
    const before = (await log(one)).length;
    expect(await driver.recover(handle)).toEqual(handle);
    await until(async () => (await log(one)).length > before + 200, 'more lines');
    await driver.stop(handle, 2_000);
    const lines = (await log(one)).trim().split('\n');
    expect(lines).toEqual(lines.map((_, i) => `line ${i + 1}`));
    expect(lines.length).toBeGreaterThan(40);
  });

  it('is not taken over by a platform that it does not belong to', async () => {
    const [one, other] = [await setup(), await setup()];
    const spec = one.spec('sleep 60');
    await one.driver.start(spec, never);
    expect(await other.driver.find?.(spec.id, spec.unit)).toBeNull();
  });

  it('leaves the last words of one that ended while no platform ran, and nothing else', async () => {
    const { driver, spec, log, reopen } = await setup();
    const one = spec('sleep 0.5; echo last words; exit 4');
    const handle = await driver.start(one, never);
    await driver.close();
    const { container } = handle.state as { container: string };
    await docker('wait', container);
    expect(await (await reopen()).recover(handle)).toBeNull();
    expect(await log(one)).toContain('last words');
    await expect(docker('inspect', container)).rejects.toThrow(/No such object/);
  });

  it('names an image that is not here and that no registry gives', async () => {
    const { driver, spec } = await setup();
    const missing = spec('true', { image: '127.0.0.1:1/nobody/nothing:1' });
    const fault = await driver.start(missing, never).catch((error: unknown) => error);
    expect(fault).toMatchObject({ message: expect.stringContaining('127.0.0.1:1/nobody/nothing:1') });
    const digest = `sha256:${'0'.repeat(64)}`;
    const other = spec('true', { image, digest });
    await expect(driver.start(other, never)).rejects.toThrow(/could not be fetched/);
  });

  it('says how an engine is had where none answers', async () => {
    const opening = runtimeDocker.open({ owner: 'nobody', socket: '/nowhere/docker.sock' }, host);
    await expect(opening).rejects.toMatchObject({
      code: 'START_FAILED',
      message: expect.stringMatching(/no Docker engine answers at \/nowhere\/docker\.sock \(ENOENT\): start it/),
    });
  });

  it('is a service like any other: started when asked for, taken over after a kill, gone after a stop', async () => {
    const home = await mkdtemp(join(tmpdir(), 'sutaz-docker-home-'));
    onTestFinished(() => rm(home, { recursive: true, force: true }));
    const definition = boxedDefinition(image, [
      `volumes: { '{data}': /data }`,
      `command: [/bin/sh, -c, 'echo from $WHERE > {data}/index.html; exec httpd -f -p {port} -h {data}']`,
      `env: { WHERE: 'a container' }`,
      `user: '1234:1234'`,
      'limits: { memory: 64MiB, pids: 20 }',
    ]);
    const options = { home, env: { DOCKER_HOST: `unix://${dockerSocket}` } };
    const first = await startPlatform({ ...options, catalog: { 'services/boxed.yaml': definition } });
    const read = (platform: TestPlatform) => platform.fetch('/services/boxed/index.html').then((res) => res.text());
    expect(await read(first)).toBe('from a container\n');
    const mine = () =>
      docker('ps', '-aq', '--no-trunc', '--filter', `label=ai.sutaz.log=${join(home, 'logs', 'service-boxed.log')}`);
    const container = await mine();
    expect(container).toMatch(/^[0-9a-f]{64}$/);
    const instance = (await first.unit('boxed')).instance?.id;
    await first.kill9();

    const next = await startPlatform({ ...options, catalog: { 'services/boxed.yaml': definition } });
    expect((await next.unit('boxed')).instance?.id).toBe(instance);
    expect(await read(next)).toBe('from a container\n');
    expect(await mine()).toBe(container);
    expect(await readFile(join(home, 'services/boxed/index.html'), 'utf8')).toBe('from a container\n');
    await next.stop();
    expect(await mine()).toBe('');
    // One that started a container itself ends as well: an answer of the engine that nobody read kept it alive.
    const last = await startPlatform({ ...options, catalog: { 'services/boxed.yaml': definition } });
    expect(await read(last)).toBe('from a container\n');
    expect(await last.stop()).toBe(0);
    expect(await mine()).toBe('');
    // Others may have networks on this engine, too.
    const owner = createHash('sha256').update(home).digest('hex').slice(0, 12);
    expect(await docker('network', 'ls', '-q', '--filter', `label=ai.sutaz.owner=${owner}`)).toBe('');
  });
});
