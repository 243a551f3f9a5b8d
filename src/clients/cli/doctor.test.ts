import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { homePaths } from '../home.ts';
import type { Composition } from './context.ts';
import { examine } from './doctor.ts';
import { fakePlatform } from './platform.fake.ts';
import type { FakePlatform } from './platform.fake.ts';
import { gatherFacts } from './probes.ts';
import type { Facts } from './probes.ts';

const GiB = 2 ** 30;
const healthy: Facts = {
  node: 'v24.21.0',
  python: 'Python 3.11.2',
  pip: 'pip 23.0',
  uv: null,
  npm: '/usr/bin/npm',
  disk: { free: 50 * GiB },
  memory: { total: 16 * GiB, free: 8 * GiB, cgroupLimit: null },
  cores: 2,
  gpu: null,
  confinement: { memory: 'cgroup', processes: 'cgroup', cpu: 'cgroup', files: 'landlock', noUsers: null },
  issuers: [{ issuer: 'https://good.example', problem: null }],
  home: { path: '/home/x/sutaz', writable: true, exists: true },
  key: { path: '/home/x/sutaz/keys/admin.key', mode: 0o600 },
  port: { number: 8080, free: true },
  platform: null,
};
const verdicts = (changes: Partial<Facts>) =>
  examine({ ...healthy, ...changes }).flatMap(({ verdict, name, advice }) => {
    if (verdict !== 'ok') expect(advice).toBeTruthy();
    return verdict === 'ok' ? [] : [`${verdict} ${name}`];
  });

test('a healthy machine has nothing to say', () => expect(verdicts({})).toEqual([]));

const running = { url: 'http://x', pid: 7, alive: true, ready: true };
const cases: [string, Partial<Facts>, string[]][] = [
  ['an old Node', { node: 'v20.20.2' }, ['fail node']],
  ['no Python', { python: null, pip: null }, ['warn python']],
  ['Python without pip', { pip: null }, ['warn python']],
  ['uv alone', { python: null, pip: null, uv: 'uv 0.9' }, []],
  ['no npm', { npm: null }, ['warn npm']],
  ['a GPU', { gpu: { devices: [{ name: 'Tesla T4', totalBytes: 15 * GiB }] } }, []],
  ['a GPU whose driver fails', { gpu: { error: 'no driver' } }, ['warn gpu']],
  [
    'no control groups',
    { confinement: { ...healthy.confinement, memory: 'rlimit', processes: 'user', cpu: 'none' } },
    ['warn limits'],
  ],
  [
    'no users',
    { confinement: { ...healthy.confinement, noUsers: 'the platform does not run as root' } },
    ['warn users'],
  ],
  ['no Landlock', { confinement: { ...healthy.confinement, files: 'none' } }, ['warn files']],
  ['a full disk', { disk: { free: GiB - 1 } }, ['fail disk']],
  ['little disk', { disk: { free: 10 * GiB - 1 } }, ['warn disk']],
  ['a disk that does not tell', { disk: null }, ['warn disk']],
  ['little memory', { memory: { ...healthy.memory, total: GiB - 1 } }, ['fail memory']],
  ['a small cgroup', { memory: { ...healthy.memory, cgroupLimit: 2 * GiB } }, ['warn memory']],
  ['a home of someone else', { home: { ...healthy.home, writable: false } }, ['fail home']],
  ['an issuer that does not answer', { issuers: [{ issuer: 'https://x', problem: 'gone' }] }, ['warn issuer']],
  ['no key yet', { key: null }, []],
  ['a key that others can read', { key: { path: '/k', mode: 0o640 } }, ['fail key']],
  ['a port in use', { port: { number: 8080, free: false } }, ['warn port']],
  ['a port in use by the platform itself', { port: { number: 8080, free: false }, platform: running }, []],
  ['a platform that was killed', { platform: { ...running, alive: false, ready: false } }, ['warn platform']],
  ['a platform that hangs', { platform: { ...running, ready: false } }, ['fail platform']],
];
test.each(cases)('%s', (_, changes, expected) => expect(verdicts(changes)).toEqual(expected));

let platform: FakePlatform;
beforeEach(async () => {
  platform = await fakePlatform();
});
afterEach(() => platform.close());

const port = () => Number(new URL(platform.url).port);
const env = { PATH: '/nowhere' };
const here = {
  gpus: () => Promise.resolve(null),
  confinement: () => Promise.resolve(healthy.confinement),
  issuers: () => Promise.resolve([]),
};

test('an issuer that cannot be asked is named with the reason and what to do, and fails nothing', async () => {
  const issuers = () =>
    Promise.resolve([{ issuer: 'https://id.example', problem: 'https://id.example cannot be reached: x' }]);
  const { out } = await platform.run(['doctor', '--json'], { composition: { issuers } });
  const { checks } = JSON.parse(out) as { checks: { name: string; verdict: string; text: string; advice: string }[] };
  expect(checks.find(({ name }) => name === 'issuer')).toEqual({
    ...{ verdict: 'warn', name: 'issuer', text: 'https://id.example: https://id.example cannot be reached: x' },
    advice: expect.stringContaining('security.oidc in sutaz.yaml') as string,
  });
});

test('the probes see what is there', async () => {
  const facts = await gatherFacts(homePaths(platform.home), port(), env, here);
  expect(facts).toMatchObject({
    node: process.version,
    ...{ python: null, pip: null, uv: null, npm: null, gpu: null },
    home: { path: platform.home, writable: true, exists: true },
    key: { mode: 0o600 },
    port: { free: false },
    platform: { url: platform.url, pid: process.pid, alive: true, ready: true },
  });
  expect(facts.disk?.free).toBeGreaterThan(0);
  expect(facts.memory.total).toBeGreaterThan(facts.memory.free);
});

const T4 = { name: 'Tesla T4', totalBytes: 15 * GiB };
test.each<[Composition['gpus'], string]>([
  [async () => [T4, { name: 'GB10', totalBytes: null }], 'ok    gpu      Tesla T4, 15 GiB; GB10\n'],
  [async () => [{ ...T4, usedBytes: 2 * GiB }], 'ok    gpu      Tesla T4, 15 GiB, of which 2 GiB are in use\n'],
  [async () => [], 'ok    gpu      nvidia-smi finds no device'],
  [() => Promise.reject(new Error('nvidia-smi failed: no driver')), 'warn  gpu      nvidia-smi failed: no driver'],
])('what is known of graphics cards is shown: %#', async (gpus, line) => {
  const { out } = await platform.run(['doctor'], { composition: { gpus } });
  expect(out).toContain(line);
});

test('the probes see what is not there yet', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sutaz-doctor-'));
  try {
    const facts = await gatherFacts(homePaths(join(folder, 'not', 'yet')), port(), env, here);
    expect(facts).toMatchObject({ home: { exists: false, writable: true }, key: null, platform: null });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('it fails when something does, and says it to programs too', async () => {
  chmodSync(join(platform.home, 'keys/admin.key'), 0o644);
  const { code, out } = await platform.run(['doctor', '--json'], {
    io: { env: { SUTAZ_HOME: platform.home, ...env } },
  });
  expect(code).toBe(1);
  expect(JSON.parse(out)).toMatchObject({ ok: false });
  const { out: text } = await platform.run(['doctor'], { io: { env: { SUTAZ_HOME: platform.home, ...env } } });
  expect(text).toMatch(/^fail {2}key .*\(644\)$/m);
  expect(text).toContain('chmod 600');
});
