import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { ExitedStatus, InstanceHandle, InstanceSpec } from '#contracts/runtime';
import runtimeDocker from '#drivers/runtime/docker';
import { systemClock } from '#kernel/clock';
import { newInstanceId, unitId } from '#kernel/ids';
import { silentLogger } from '#kernel/logger';
import { freePort } from '#runtime/ports';
import { boxedDefinition, importImage, ownEngine, whyNoOwnEngine } from './_docker.ts';
import type { OwnEngine } from './_docker.ts';
import { startPlatform } from './_platform.ts';
import { until } from './_processes.ts';

const why = await whyNoOwnEngine();
if (why !== null) console.log(`An engine that goes away is not tested: ${why}.`);
const image = 'sutaz-test-away:1';
const host = { log: silentLogger, clock: systemClock, signal: new AbortController().signal };
const never = new AbortController().signal;
const counting = 'n=0; while :; do n=$((n+1)); echo "line $n"; sleep 0.05; done';

describe.skipIf(why !== null).each([
  ['goes on with what it ran', ['--live-restore'], true],
  ['ends what it ran', [], false],
] as const)('an engine that is killed, comes back and %s', (_, flags, lives) => {
  let engine: OwnEngine;
  beforeAll(async () => {
    engine = await ownEngine({ flags });
    await engine.start();
    await importImage(image, { socket: engine.socket });
  });
  afterAll(() => engine.close());

  const all = () => engine.docker('ps', '-aq');
  const networks = () => engine.docker('network', 'ls', '-q', '--filter', 'label=ai.sutaz.owner');

  async function setup(more: { readonly patienceMs?: number } = {}) {
    const dir = await mkdtemp(join(tmpdir(), 'sutaz-away-'));
    const owner = `test${randomBytes(6).toString('hex')}`;
    const driver = await runtimeDocker.open({ owner, socket: engine.socket, ...more }, host);
    const ends = new Map<string, ExitedStatus>();
    driver.onExit(({ id }, status) => ends.set(id, status));
    onTestFinished(async () => {
      await driver.close();
      await rm(dir, { recursive: true, force: true });
    });
    const start = async (name: string, script: string) => {
      const spec: InstanceSpec = {
        ...{ id: newInstanceId(), unit: unitId('service', name), argv: ['/bin/sh', '-c', script], env: {}, cwd: dir },
        ...{ logFile: join(dir, `${name}.log`), memoryBytes: 0 },
        container: {
          ...{ image, mounts: [], readOnly: true, init: true, limits: {} },
          publish: { inside: 80, host: '127.0.0.1', port: await freePort() },
        },
      };
      return driver.start(spec, never);
    };
    const lines = async (name: string) => (await readFile(join(dir, `${name}.log`), 'utf8')).trim().split('\n');
    return { driver, ends, start, lines };
  }
  const idOf = ({ state }: InstanceHandle) => (state as { container: string }).container;

  it('is waited for: what lives is had again, what does not is told, nothing is left', async () => {
    const { driver, ends, start, lines } = await setup();
    const [kept, unwanted] = [await start('kept', counting), await start('unwanted', counting)];
    await until(async () => (await lines('kept')).length > 5, 'lines');
    await engine.kill();
    const away = { code: 'START_FAILED', message: expect.stringMatching(/no Docker engine answers/) };
    await expect(driver.inspect(kept)).rejects.toMatchObject(away);
    await expect(driver.freeze?.(kept)).rejects.toMatchObject(away);
    await expect(driver.stop(unwanted, 100)).rejects.toMatchObject(away);
    await expect(start('late', 'sleep 60')).rejects.toMatchObject(away);
    expect(ends.size).toBe(0);

    await engine.start();
    // What was to end while the engine was away does so now.
    await until(() => ends.has(unwanted.id), 'the end of what was to be stopped', 60_000);
    if (lives) {
      expect(await driver.inspect(kept)).toMatchObject({ state: 'running' });
      const before = (await lines('kept')).length;
      await until(async () => (await lines('kept')).length > before, 'more lines', 30_000);
      const read = await lines('kept');
      expect(read).toEqual(read.map((_, i) => `line ${i + 1}`));
      // Its events are heard again.
      await engine.docker('kill', idOf(kept));
      await until(() => ends.has(kept.id), 'its end');
      expect(ends.get(kept.id)).toMatchObject({ signal: 'SIGKILL' });
      expect(ends.get(kept.id)).not.toHaveProperty('circumstance');
    } else {
      await until(() => ends.has(kept.id), 'its end', 30_000);
      expect(ends.get(kept.id)).toMatchObject({ state: 'exited', circumstance: 'while the Docker engine was away' });
    }
    await until(async () => (await all()) === '' && (await networks()) === '', 'nothing to be left');
    expect(await driver.list()).toEqual([]);
  });

  it('and says nothing for a while is as good as away, and had again', async () => {
    const { driver, start, ends } = await setup({ patienceMs: 1_500 });
    const kept = await start('hung', 'sleep 60');
    const wake = engine.hang();
    onTestFinished(wake);
    const away = { code: 'START_FAILED', message: expect.stringMatching(/no Docker engine answers/) };
    await expect(driver.inspect(kept)).rejects.toMatchObject(away);
    await expect(driver.recover({ ...kept, id: newInstanceId() })).rejects.toMatchObject(away);
    await expect(start('late', 'sleep 60')).rejects.toMatchObject(away);
    wake();
    expect(await driver.inspect(kept)).toMatchObject({ state: 'running' });
    const again = engine.hang();
    onTestFinished(again);
    await expect(driver.stop(kept, 100)).rejects.toMatchObject(away);
    again();
    await driver.stop(kept, 0);
    expect(ends.has(kept.id)).toBe(true);
  });

  it('is waited for by a platform that began without it, and no instance runs beside another', async () => {
    const home = await mkdtemp(join(tmpdir(), 'sutaz-away-home-'));
    onTestFinished(() => rm(home, { recursive: true, force: true }));
    const serve = 'echo served > /tmp/index.html; exec httpd -f -p {port} -h /tmp';
    const definition = boxedDefinition(image, [`command: [/bin/sh, -c, '${serve}']`]);
    const options = { home, env: { DOCKER_HOST: `unix://${engine.socket}` } };
    const begin = () => startPlatform({ ...options, catalog: { 'services/boxed.yaml': definition } });
    const first = await begin();
    const read = () => fetchText(first, '/services/boxed/index.html');
    expect(await read()).toBe('served\n');
    await engine.kill();
    await first.kill9();

    const next = await begin();
    onTestFinished(() => next.stop().then(() => undefined));
    expect((await next.unit('boxed')).state).toBe('cold');
    await next.fetch('/sutaz/v1/units/boxed/start', { method: 'POST' });
    const told = async () => (await next.unit('boxed')).failure?.message ?? '';
    await until(async () => (await told()).includes('no Docker engine answers'), 'the reason');
    await engine.start();
    await until(async () => (await all()) === '', 'the instance of before to be ended', 30_000);
    await next.fetch('/sutaz/v1/units/boxed/start', { method: 'POST' });
    await next.untilState('boxed', 'ready');
    expect((await all()).split('\n')).toHaveLength(1);
    expect(await fetchText(next, '/services/boxed/index.html')).toBe('served\n');
    await next.stop();
    expect([await all(), await networks()]).toEqual(['', '']);
  });
});

const fetchText = async (platform: { fetch(path: string): Promise<Response> }, path: string): Promise<string> =>
  (await platform.fetch(path)).text();
