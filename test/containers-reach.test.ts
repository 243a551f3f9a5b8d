import { spawnSync } from 'node:child_process';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { docker, dockerSocket, importNodeImage, whyNoDocker } from './_docker.ts';
import { root, startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';

const why = await whyNoDocker();
if (why !== null) console.log(`What containers reach is not tested: ${why}.`);
const image = `sutaz-test-node:${process.pid}`;
const hasRedis = spawnSync('which', ['redis-server']).status === 0;

const asking = (id: string, consumes: string, group = '') => `id: ${id}
name: ${id}
summary: Asks what it was told of
category: tool
run:
  docker:
    image: ${image}
    port: 8000
    command: [/bin/node, /asks.mjs, '{port}']
    env: { OPENAI_URL: '{openai.url}', OPENAI_KEY: '{key}' }
    user: '1234:1234'
    readOnly: true
    ${group}
health: { http: /, startupTimeout: 30s }
resources: { memory: 64MiB }
consumes:
${consumes}`;

describe.skipIf(why !== null)('a container, and a door on the loopback address alone', () => {
  let platform: TestPlatform;
  const catalog = {
    'services/asking.yaml': asking('asking', hasRedis ? "  redis: { REDIS_URL: '{redis.url}' }" : '  openai: {}'),
    'services/alone.yaml': asking('alone', '  openai: {}', 'group: alone'),
  };
  const env = { DOCKER_HOST: `unix://${dockerSocket}` };
  const start = async () => (platform = await startPlatform({ catalog, env, config: 'models: { context: 1024 }' }));
  const says = async (path: string) => (await platform.fetch(`/services/${path}`)).text();
  beforeAll(async () => {
    await importNodeImage(image, [join(root, 'test/asks.mjs')]);
    await start();
  });
  afterAll(async () => {
    await platform.stop();
    await docker('image', 'rm', '-f', image);
  });

  it('asks a model with the key that it was given, and gets nothing with another', async () => {
    expect(await says('asking/told')).toBe(`http://host.docker.internal:${platform.port}/v1`);
    const answer = await says('asking/chat');
    expect(answer).toMatch(/^200 .*"finish_reason"/s);
    expect(await says('asking/wrong-key')).toMatch(/^401 /);
  });

  it.skipIf(!hasRedis)('has its account at a database that is a process', async () => {
    expect(await says('asking/ping')).toContain('+OK\r\n+PONG');
  });

  it('reaches by its own network and no other, and nobody reaches that from outside', async () => {
    await says('alone/');
    const gateways = Object.entries(networkInterfaces())
      .filter(([name]) => name.startsWith('br-'))
      .flatMap(([, addresses = []]) => addresses.filter(({ family }) => family === 'IPv4'));
    const mine = await docker('inspect', '-f', '{{json .HostConfig.ExtraHosts}}', ...(await idsOf('alone')));
    const others = gateways.filter(({ address }) => !mine.includes(address));
    expect(others.length).toBeGreaterThan(0);
    for (const { address } of others) {
      expect(await says(`alone/reach?at=${address}:${platform.port}`)).toBe('closed');
      await expect(fetch(`http://${address}:${platform.port}/healthz`)).rejects.toThrow('fetch failed');
    }
  });

  it('goes on asking when the platform was killed and another one took over', async () => {
    const before = (await platform.unit('asking')).instance?.id;
    const { port } = platform;
    await platform.kill9();
    platform = await startPlatform({ catalog, env, config: `models: { context: 1024 }`, port });
    expect((await platform.unit('asking')).instance?.id).toBe(before);
    expect(await says('asking/chat')).toMatch(/^200 /);
    if (hasRedis) expect(await says('asking/ping')).toContain('+PONG');
  });

  const idsOf = async (id: string) =>
    (await docker('ps', '-q', '--filter', `label=ai.sutaz.unit=service/${id}`)).split('\n');
});
