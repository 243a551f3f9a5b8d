import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiProblem } from '#contracts/api';
import { whyNoUsers } from '#runtime/sandbox/users';
import { docker, dockerSocket, importNodeImage, whyNoDocker } from './_docker.ts';
import { root, startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';

const why = await whyNoDocker();
if (why !== null) console.log(`Moving to containers is not tested: ${why}.`);
const image = `sutaz-test-counter:${process.pid}`;
const program = join(root, 'test/counter.mjs');
const ownUsers = (await whyNoUsers(70_000)) === null;
const isRoot = process.getuid?.() === 0;

const counting = (id: string, answer = 'well') => `id: ${id}
name: ${id}
summary: Counts in a file
category: tool
run:
  process:
    command: [node, '${program}', '{port}', '{data}']
  docker:
    image: ${image}
    port: 8000
    volumes: { '{data}': /kept }
    command: [/bin/node, /counter.mjs, '{port}', '{data}', ${answer}]
health: { http: /, startupTimeout: 20s }
stop: { grace: 1s }
resources: { memory: 64MiB }
`;

describe.skipIf(why !== null)('a service with both ways', () => {
  let home: string;
  let platform: TestPlatform;
  const env = { DOCKER_HOST: `unix://${dockerSocket}` };
  const catalog = {
    'services/counter.yaml': counting('counter'),
    'services/closed.yaml': counting('closed', 'fail'),
    'services/told.yaml': counting('told'),
    'services/lone.yaml': counting('lone').replace(/ {2}docker:[^]*?(?=health)/, ''),
  };
  const start = () => startPlatform({ home, catalog, env, config: 'services: { told: { run: process } }' });
  const count = async (id: string) =>
    (await (await platform.fetch(`/services/${id}/count`)).json()) as { count: number; uid: number };
  const move = async (id: string, to: string, more = '') => {
    const answer = await platform.fetch(`/sutaz/v1/units/${id}/move?to=${to}&wait=true${more}`, { method: 'POST' });
    const text = await answer.text();
    if (!answer.ok) return { problem: JSON.parse(text) as ApiProblem };
    const [, event, data = ''] = /event: (done|error)\ndata: (.*)/.exec(text) ?? [];
    return event === 'done' ? {} : { problem: JSON.parse(data) as ApiProblem };
  };
  const wayOf = async (id: string) => (await platform.unit(id)).instance?.way;
  const containersOf = (id: string) => docker('ps', '-aq', '--filter', `label=ai.sutaz.unit=service/${id}`);
  const ownerOf = (id: string) => stat(join(home, 'services', id, 'count')).then(({ uid }) => uid);

  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'sutaz-moving-'));
    await importNodeImage(image, [program], { user: ['counter', 4321] });
    platform = await start();
  });
  afterAll(async () => {
    await platform.stop();
    await rm(home, { recursive: true, force: true });
    await docker('image', 'rm', '-f', image);
  });

  it.skipIf(!isRoot)('goes over and comes back with all that it kept, each time as who it runs as there', async () => {
    const first = await count('counter');
    expect(first.count).toBe(1);
    expect(await wayOf('counter')).toBe('process');

    expect(await move('counter', 'docker')).toEqual({});
    expect(await wayOf('counter')).toBe('docker');
    expect(await count('counter')).toEqual({ count: 2, uid: 4321 });
    expect(await ownerOf('counter')).toBe(4321);

    expect(await move('counter', 'process')).toEqual({});
    expect(await wayOf('counter')).toBe('process');
    expect(await count('counter')).toEqual({ count: 3, uid: first.uid });
    if (ownUsers) expect(first.uid).toBeGreaterThanOrEqual(10_000);
    expect(await ownerOf('counter')).toBe(first.uid);
    expect(await containersOf('counter')).toBe('');
  });

  it.skipIf(!isRoot)('runs so after a restart of the platform, too', async () => {
    expect(await move('counter', 'docker')).toEqual({});
    await platform.stop();
    expect(await containersOf('counter')).toBe('');
    platform = await start();
    expect((await count('counter')).uid).toBe(4321);
    expect(await move('counter', 'process')).toEqual({});
  });

  it('runs as before when the other way does not work, and says why that is', async () => {
    const before = await count('closed');
    const { problem } = await move('closed', 'docker');
    expect(problem).toMatchObject({ code: 'START_FAILED', detail: expect.stringContaining('runs as before') });
    expect(problem?.detail).toContain('this way is closed');
    expect(await platform.unit('closed')).toMatchObject({ state: 'ready', failure: null });
    expect(await wayOf('closed')).toBe('process');
    expect(await count('closed')).toEqual({ ...before, count: before.count + 1 });
    expect(await containersOf('closed')).toBe('');
  });

  it('is left alone while it works, unless that is given up', async () => {
    await count('closed');
    const leaving = new AbortController();
    const held = await platform.fetch('/services/closed/hold', { signal: leaving.signal });
    expect(held.status).toBe(200);
    expect((await move('closed', 'docker')).problem).toMatchObject({ code: 'CONFLICT', status: 409 });
    expect((await move('closed', 'docker', '&force=true')).problem).toMatchObject({ code: 'START_FAILED' });
    leaving.abort();
    expect(await wayOf('closed')).toBe('process');
  });

  it('is refused where it cannot be, with what can be done', async () => {
    expect((await move('told', 'docker')).problem?.detail).toContain('services.told.run: process');
    expect((await move('lone', 'docker')).problem?.detail).toContain('its definition offers process');
    expect((await move('lone', 'nowhere')).problem).toMatchObject({ code: 'BAD_REQUEST', param: 'to' });
    expect((await move('default', 'docker')).problem?.status).toBe(409);
    expect(await move('told', 'process')).toEqual({});
  });

  it.skipIf(!isRoot)('changes its way with the configuration at its next start, data and all', async () => {
    const before = await count('told');
    await writeFile(join(home, 'sutaz.yaml'), 'services: { told: { run: docker } }');
    await expect.poll(() => move('told', 'docker'), { timeout: 20_000, interval: 200 }).toEqual({});
    expect(await count('told')).toEqual({ count: before.count + 1, uid: 4321 });
  });
});
