import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { Progress } from '#contracts/models';
import type { InstanceSpec, RuntimeDriver } from '#contracts/runtime';
import runtimeDocker from '#drivers/runtime/docker';
import { systemClock } from '#kernel/clock';
import { newInstanceId, unitId } from '#kernel/ids';
import { silentLogger } from '#kernel/logger';
import { freePort } from '#runtime/ports';
import { docker, dockerSocket, importImage, ownEngine, whyNoDocker, whyNoOwnEngine } from './_docker.ts';
import { until } from './_processes.ts';

const hasRegistry = spawnSync('which', ['docker-registry']).status === 0;
const why = (await whyNoDocker()) ?? (hasRegistry ? null : 'there is no docker-registry (Debian: docker-registry)');
if (why !== null) console.log(`Fetching images is not tested: ${why}.`);
const noOwn = await whyNoOwnEngine();

const host = { log: silentLogger, clock: systemClock, signal: new AbortController().signal };
const never = new AbortController().signal;
const MiB = 2 ** 20;

interface Registry {
  /** As images name it: engines ask one of the loopback addresses without TLS. */
  readonly name: string;
  /** What a tag stands for there. */
  digest(repository: string, tag: string): Promise<string>;
  close(): Promise<void>;
}

/** A real registry. `auth` has it ask for a password, which nobody has. */
async function startRegistry({ auth = false } = {}): Promise<Registry> {
  const dir = await mkdtemp(join(tmpdir(), 'sutaz-registry-'));
  const name = `127.0.0.1:${await freePort()}`;
  const users = join(dir, 'users');
  await writeFile(users, 'somebody:$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy\n');
  const asking = auth ? `auth: { htpasswd: { realm: here, path: ${users} } }\n` : '';
  const storage = `storage: { filesystem: { rootdirectory: ${join(dir, 'data')} } }\n`;
  await writeFile(
    join(dir, 'config.yml'),
    `version: 0.1\nlog: { level: error }\n${storage}http: { addr: '${name}' }\n${asking}`,
  );
  const child = spawn('docker-registry', ['serve', join(dir, 'config.yml')], { stdio: 'ignore' });
  await until(
    () =>
      fetch(`http://${name}/v2/`).then(
        () => true,
        () => false,
      ),
    'the registry to answer',
  );
  return {
    name,
    async digest(repository, tag) {
      const headers = { accept: 'application/vnd.docker.distribution.manifest.v2+json' };
      const answer = await fetch(`http://${name}/v2/${repository}/manifests/${tag}`, { method: 'HEAD', headers });
      return answer.headers.get('docker-content-digest') ?? '';
    },
    async close() {
      const ended = once(child, 'exit');
      child.kill();
      await ended;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

describe.skipIf(why !== null)('an image of a registry', () => {
  let registry: Registry;
  let driver: RuntimeDriver;
  let dir: string;
  const made = new Set<string>();
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sutaz-images-'));
    registry = await startRegistry();
    driver = await runtimeDocker.open({ owner: `test${randomBytes(6).toString('hex')}`, socket: dockerSocket }, host);
  });
  afterAll(async () => {
    for (const handle of await driver.list()) await driver.stop(handle, 0);
    await driver.close();
    for (const image of made) await docker('image', 'rm', '-f', image).catch(() => undefined);
    await registry.close();
    await rm(dir, { recursive: true, force: true });
  });
  /** Puts an image there, another one each time, and leaves none here. Returns its digest. */
  const publish = async (repository: string, tag: string, bytes = 3 * MiB): Promise<string> => {
    const image = `${registry.name}/${repository}:${tag}`;
    made.add(image);
    await importImage(image, { bytes });
    await docker('push', image);
    await docker('image', 'rm', '-f', image);
    return registry.digest(repository, tag);
  };
  const specOf = async (image: string, digest?: string): Promise<InstanceSpec> => ({
    ...{ id: newInstanceId(), unit: unitId('service', 'fetched'), argv: ['/bin/sleep', '60'], env: {}, cwd: dir },
    ...{ logFile: join(dir, 'fetched.log'), memoryBytes: 0 },
    container: {
      ...{ image, mounts: [], readOnly: true, init: true, limits: {}, ...(digest && { digest }) },
      publish: { inside: 80, host: '127.0.0.1', port: await freePort() },
    },
  });
  const digestOf = async (image: string, digest?: string) =>
    ((await driver.start(await specOf(image, digest), never)).state as { digest: string }).digest;
  const prepare = (image: string, signal = never) =>
    Promise.resolve(driver.prepare?.({ image }, { signal, onProgress: () => undefined }));

  it('is fetched with its progress told in bytes, and the digest that it had is kept', async () => {
    const digest = await publish('sutaz/told', '1', 8 * MiB);
    const image = `${registry.name}/sutaz/told:1`;
    const told: Progress[] = [];
    await driver.prepare?.({ image }, { signal: never, onProgress: (progress) => told.push(progress) });
    expect(told[0]).toMatchObject({ phase: 'downloading', what: image });
    const last = told.at(-1);
    expect(last?.total).toBeGreaterThan(8 * MiB);
    expect(last?.done).toBe(last?.total);
    expect(told.map(({ done }) => done)).toEqual(told.map(({ done }) => done).sort((a, b) => a - b));
    expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(await digestOf(image)).toBe(digest);
  });

  it('is the one of its digest, whatever its tag has come to mean', async () => {
    const image = `${registry.name}/sutaz/moved:1`;
    const [before, after] = [await publish('sutaz/moved', '1'), await publish('sutaz/moved', '1')];
    expect(before).not.toBe(after);
    expect(await digestOf(image, before)).toBe(before);
    expect(await digestOf(image)).toBe(after);
    await expect(digestOf(image, `sha256:${'0'.repeat(64)}`)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('that is not there is said to be so', async () => {
    await publish('sutaz/known', '1');
    for (const name of ['sutaz/known:2', 'sutaz/unknown:1']) {
      await expect(prepare(`${registry.name}/${name}`)).rejects.toMatchObject({
        ...{ code: 'NOT_FOUND', message: expect.stringMatching(new RegExp(`${name} .*check its name, its tag`)) },
      });
    }
  });

  it('that somebody must sign in for says how', async () => {
    const closed = await startRegistry({ auth: true });
    onTestFinished(() => closed.close());
    const message = expect.stringMatching(/who asks.*docker login/);
    await expect(prepare(`${closed.name}/sutaz/own:1`)).rejects.toMatchObject({ code: 'UPSTREAM_FAILED', message });
  });

  it('of a registry that does not answer says so', async () => {
    const nobody = `127.0.0.1:${await freePort()}/sutaz/any:1`;
    const message = expect.stringMatching(/connection refused.*out of reach/);
    await expect(prepare(nobody)).rejects.toMatchObject({ code: 'UPSTREAM_FAILED', message });
  });

  it('is not fetched on when nobody waits for it', async () => {
    await publish('sutaz/left', '1');
    const leaving = new AbortController();
    leaving.abort();
    await expect(prepare(`${registry.name}/sutaz/left:1`, leaving.signal)).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it.skipIf(noOwn !== null)('that the disk has no room for says so', async () => {
    await publish('sutaz/large', '1', 48 * MiB);
    const engine = await ownEngine({ dataBytes: 32 * MiB });
    onTestFinished(() => engine.close());
    await engine.start();
    const own = await runtimeDocker.open({ owner: 'full', socket: engine.socket }, host);
    onTestFinished(() => own.close());
    const image = `${registry.name}/sutaz/large:1`;
    const fetching = own.prepare?.({ image }, { signal: never, onProgress: () => undefined });
    const message = expect.stringContaining('docker image prune');
    await expect(fetching).rejects.toMatchObject({ code: 'DISK_FULL', message });
    expect(await engine.docker('images', '-q')).toBe('');
  });
});
