/** Real WebSockets through the door to a service that is frozen while nothing is said on them. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import WebSocket from 'ws';
import type { ApiWhy } from '#contracts/explanations';
import { echoService, root, startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { exited, isFrozen, until } from './_processes.ts';
import { processesOf } from './fixtures/holders.ts';

let home: string;
let platform: TestPlatform;
const clients: WebSocket[] = [];
beforeEach(async () => void (home = await mkdtemp(join(tmpdir(), 'sutaz-silent-'))));
afterEach(async () => {
  for (const client of clients.splice(0)) client.terminate();
  await platform.stop();
  expect(processesOf(home)).toEqual([]);
  await rm(home, { recursive: true, force: true });
});

const talker = (idle: string, memory = '64MiB') => `id: talk
name: Talker
summary: Says back what it is told
category: tool
run: { process: { command: [node, '${root}test/fixtures/talker.mjs', '{port}'] } }
resources: { memory: ${memory} }
idle: ${idle}
`;
const sleeps = '{ after: 300ms, rung: cold, connections: sleep, silence: 200ms }';

async function start(idle: string, more: { memory?: string; size?: string; others?: Record<string, string> } = {}) {
  const catalog = { 'services/talk.yaml': talker(idle, more.size), ...more.others };
  platform = await startPlatform({ home, catalog, ...(more.memory ? { memory: more.memory } : {}) });
}

interface Client {
  readonly socket: WebSocket;
  readonly got: string[];
  say(text: string): void;
}

async function connect(): Promise<Client> {
  const headers = { authorization: `Bearer ${platform.key}` };
  const socket = new WebSocket(`ws://127.0.0.1:${platform.port}/services/talk/`, { headers });
  clients.push(socket);
  const got: string[] = [];
  socket.on('message', (data: Buffer) => got.push(data.toString()));
  socket.on('error', () => undefined);
  await once(socket, 'open');
  return { socket, got, say: (text) => socket.send(text) };
}

const pidOf = async () => (await platform.unit('talk')).instance?.pid ?? 0;
const untilFrozen = async () => {
  await platform.untilState('talk', 'frozen');
  const pid = await pidOf();
  await until(() => isFrozen(pid), 'its process to be frozen');
  return pid;
};
const told = async () => (await (await platform.fetch('/sutaz/v1/units/talk/why')).json()) as ApiWhy;

it('freezes a unit whose connection is silent, and the first byte wakes the same process on the same connection', async () => {
  await start(sleeps);
  const { socket, got, say } = await connect();
  for (let round = 1; round <= 3; round++) {
    const pid = await untilFrozen();
    const { unit, facts } = await told();
    expect(unit).toMatchObject({ leases: 0, why: expect.stringContaining('1 silent connection stays open') });
    expect(facts).toMatchObject({ connections: 1, evictable: false, options: [] });
    const words = Array.from({ length: 50 }, (_, i) => `${round}.${i}`);
    for (const word of words) say(word);
    await until(() => got.length === 50 * round, 'the answers');
    expect(got.slice(-50)).toEqual(words.map((word) => `${pid} ${word}`));
  }
  // Once it has closed there is nothing left for which it would be kept frozen.
  await untilFrozen();
  socket.terminate();
  await platform.untilState('talk', 'cold');
});

it('counts an open connection as work where its definition does not say otherwise', async () => {
  await start('{ after: 300ms, rung: frozen }');
  const { say, got } = await connect();
  const quiet = await connect();
  await until(async () => (await platform.unit('talk')).leases === 2, 'two leases');
  say('x');
  await until(() => got.length === 1, 'the answer');
  quiet.socket.terminate();
  await until(async () => (await platform.unit('talk')).leases === 1, 'one of them to be given back');
  expect((await platform.unit('talk')).state).toBe('ready');
});

it('wakes many connections at once, more than it has slots, and each gets its own answers in order', async () => {
  await start(sleeps);
  const many = await Promise.all(Array.from({ length: 30 }, connect));
  await untilFrozen();
  many.push(...(await Promise.all(Array.from({ length: 30 }, connect))));
  const pid = await untilFrozen();
  expect((await told()).facts).toMatchObject({ connections: 60 });
  for (const [i, { say }] of many.entries()) for (const word of ['a', 'b', 'c']) say(`${i}${word}`);
  await until(() => many.every(({ got }) => got.length === 3), 'all answers');
  for (const [i, { got }] of many.entries()) expect(got).toEqual(['a', 'b', 'c'].map((word) => `${pid} ${i}${word}`));
});

it('freezes it to make room for another unit where it would be stopped, and thaws it when there is room again', async () => {
  const other = echoService('other', { dir: `${root}test`, memory: '200MiB', idle: '500ms' });
  const idle = '{ after: 3s, rung: cold, connections: sleep, silence: 100ms }';
  await start(idle, { memory: '320MiB', size: '256MiB', others: { 'services/other.yaml': other } });
  const { say, got } = await connect();
  // What a freeze gives back is known once one was measured.
  const pid = await untilFrozen();
  await until(async () => ((await told()).facts?.bytes.frozen ?? null) !== null, 'it to be measured while frozen');
  say('one');
  await until(() => got.length === 1, 'the first answer');
  await until(async () => (await told()).facts?.evictable === true, 'its lease and its residency to end');
  expect((await platform.fetch('/services/other/x')).status).toBe(200);
  expect(await platform.unit('talk')).toMatchObject({
    state: 'frozen',
    why: expect.stringMatching(/made room .* for other; 1 silent connection stays open/),
  });
  expect(isFrozen(pid)).toBe(true);
  say('two');
  say('three');
  await until(() => got.length === 3, 'the answers after the other made room');
  expect(got).toEqual(['one', 'two', 'three'].map((word) => `${pid} ${word}`));
});

it('closes the connections when a person stops it, and when its process dies', async () => {
  await start(sleeps);
  const { socket } = await connect();
  const pid = await untilFrozen();
  const closed = once(socket, 'close');
  expect((await platform.fetch('/sutaz/v1/units/talk/stop', { method: 'POST' })).ok).toBe(true);
  await closed;
  await until(() => exited(pid), 'its process to end');
  const again = await connect();
  const second = await untilFrozen();
  const lost = once(again.socket, 'close');
  process.kill(second, 'SIGKILL');
  await lost;
  await until(async () => (await told()).facts?.connections === 0, 'nothing to be open');
});

it('lets a silent stream of events sleep too, and passes on what comes when somebody else wakes it', async () => {
  await start(sleeps);
  const headers = { accept: 'text/event-stream' };
  const answer = await platform.fetch('/services/talk/events', { headers });
  const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
  const next = async () => Buffer.from((await reader.read()).value ?? []).toString();
  expect(await next()).toBe('data: begun\n\n');
  const pid = await untilFrozen();
  expect(await (await platform.fetch('/services/talk/tell')).text()).toBe(String(pid));
  expect(await next()).toBe(`data: told by ${pid}\n\n`);
  await reader.cancel();
  await platform.untilState('talk', 'cold');
});
