import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '#kernel/clock';
import { silentLogger } from '#kernel/logger';
import { digestOf, fakeServer } from '#models/server.fake';
import type { FakeServer } from '#models/server.fake';
import { openModelStore } from '#models/store';
import { verifyModels } from '#models/verify';
import { mulberry32 } from '#simulator/random';

/** A file whose bytes are given by their place, large enough to be killed in the middle of. */
const weights = Buffer.alloc(24 * 2 ** 20);
for (let at = 0; at < weights.length; at += 4) weights.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, at);
const sha256 = digestOf(weights);

interface Served {
  readonly url: string;
  /** Where each request began, and how many bytes of it were taken. */
  readonly requests: { readonly from: number; sent: number }[];
  /** Called as bytes go out. */
  onSent: (request: { readonly from: number; readonly sent: number }) => void;
}

let folder: string;
let server: FakeServer;
let served: Served;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'killed-'));
  const requests: Served['requests'] = [];
  server = await fakeServer({ '/m.gguf': (request, response) => void answer(request, response, served) });
  served = { url: `${server.url}/m.gguf`, requests, onSent: () => undefined };
});
afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

async function answer(request: IncomingMessage, response: ServerResponse, world: Served): Promise<void> {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const record = { from, sent: 0 };
  world.requests.push(record);
  const range = from > 0 && { 'content-range': `bytes ${from}-${weights.length - 1}/${weights.length}` };
  response.writeHead(from > 0 ? 206 : 200, { ...range, etag: '"1"', 'content-length': weights.length - from });
  response.on('error', () => undefined);
  let wake = (): void => undefined;
  response.on('drain', () => wake()).on('close', () => wake());
  for (let at = from; at < weights.length && !response.destroyed; at += 65_536) {
    const piece = weights.subarray(at, at + 65_536);
    const room = new Promise<void>((resolve) => (wake = resolve));
    if (!response.write(piece)) await room;
    record.sent += piece.length;
    world.onSent(record);
  }
  response.end();
}

/** Pulls in a process of its own; killed with SIGKILL once the server has sent that part of what was left, from 0 to 1. */
async function pull(killAt: number | null, digest: string): Promise<string> {
  const script = join(import.meta.dirname, 'pull.fixture.ts');
  const flags = ['--conditions=source', '--disable-warning=ExperimentalWarning', script];
  const child = spawn(process.execPath, [...flags, folder, served.url, digest], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  served.onSent = ({ from, sent }) => {
    if (killAt !== null && sent >= killAt * (weights.length - from)) child.kill('SIGKILL');
  };
  await once(child, 'close');
  return output.trim();
}

describe('a pull that is killed with SIGKILL at a random byte', () => {
  it.each([1, 2, 3, 4, 5, 6])('goes on where it was and verifies (seed %i)', async (seed) => {
    const random = mulberry32(seed);
    // Half of them know the digest beforehand, the others only that it is the same file.
    const digest = seed % 2 === 0 ? sha256 : '';
    for (let kills = 0; kills < 2; kills++) await pull(random(), digest);
    const store = () => openModelStore({ dir: folder, clock: systemClock, log: silentLogger });
    // Nothing half-made is ever taken for a model.
    for (const model of (await store()).list()) expect(model.sha256).toBe(sha256);
    expect(await pull(null, digest)).toBe(sha256);

    const opened = await store();
    expect((await readFile(opened.get('m')?.path ?? '')).equals(weights)).toBe(true);
    const signal = new AbortController().signal;
    const options = { signal, clock: systemClock, onProgress: () => undefined };
    expect(await verifyModels(opened, ['m'], options)).toMatchObject([{ problem: null }]);
    expect((await opened.collect({ downloads: true })).removed).toEqual([]);
    // What was on the disk was not asked for again; how much of it was still in the pipe nobody can say.
    const [first, ...later] = served.requests;
    expect(first?.from).toBe(0);
    expect(later.length).toBeGreaterThan(0);
    const past = 8 * 2 ** 20;
    if (served.requests.slice(0, -1).some(({ sent }) => sent > past)) expect(later.at(-1)?.from).toBeGreaterThan(0);
  });
});
