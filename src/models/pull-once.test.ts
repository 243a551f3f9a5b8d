import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ModelSource, Progress } from '#contracts/models';
import { Fault } from '#kernel/faults';
import { faultOf, openBench, urlOf } from './pull.fake.ts';
import type { FormatCheck } from './pull.ts';
import type { Bench } from './pull.fake.ts';
import { digestOf, serve } from './server.fake.ts';

const weights = randomBytes(300_000);
const sha256 = digestOf(weights);
const never = new AbortController().signal;

let bench: Bench;
beforeEach(async () => void (bench = await openBench()));
afterEach(() => bench.close());

describe('a pull', () => {
  /** A server that sends the file's second part when it is told to. */
  const halting = async () => {
    let finish = (): void => undefined;
    const server = await bench.serving({
      '/m.gguf'(_, response) {
        response.writeHead(200, { 'content-length': String(weights.length) });
        response.write(weights.subarray(0, 1000));
        finish = () => response.end(weights.subarray(1000));
      },
    });
    return { server, finish: () => finish() };
  };

  it.each([true, false])('of one file under two names is one request, its digest known: %s', async (known) => {
    const { server, finish } = await halting();
    const puller = bench.puller();
    const begun = Promise.withResolvers<void>();
    const heard: Progress[] = [];
    const sources = [urlOf(server, known ? sha256 : undefined)];
    const first = puller.pull('m', sources, {
      signal: never,
      onProgress: ({ phase }) => phase === 'downloading' && begun.resolve(),
    });
    await begun.promise;
    const second = puller.pull('n', sources, { signal: never, onProgress: (progress) => heard.push(progress) });
    while (heard.length === 0) await new Promise((resolve) => setImmediate(resolve));
    finish();
    expect((await first).path).toBe((await second).path);
    expect(server.asked).toHaveLength(1);
    expect(heard[0]).toMatchObject({ phase: 'downloading', what: 'm.gguf' });
    expect(await bench.stored('m')).toBe(sha256);
    expect(await bench.leftovers()).toEqual([]);
  });

  it('goes on for the other name when the one that began it is left', async () => {
    const { server, finish } = await halting();
    const puller = bench.puller();
    const begun = Promise.withResolvers<void>();
    const leave = new AbortController();
    const sources = [urlOf(server, sha256)];
    const onProgress = ({ phase }: Progress) => phase === 'downloading' && begun.resolve();
    const first = faultOf(puller.pull('m', sources, { signal: leave.signal, onProgress }));
    await begun.promise;
    const joined = Promise.withResolvers<void>();
    const second = puller.pull('n', sources, { signal: never, onProgress: () => joined.resolve() });
    await joined.promise;
    leave.abort();
    expect((await first).code).toBe('CANCELLED');
    while (puller.running().has('m')) await new Promise((resolve) => setImmediate(resolve));
    finish();
    expect((await second).sha256).toBe(sha256);
    expect(server.asked).toHaveLength(1);
  });

  it('fetches only what is damaged, and that very file', async () => {
    const server = await bench.serving({ '/m.gguf': serve(weights), '/now': serve(randomBytes(10)) });
    const puller = bench.puller();
    const { path } = await puller.pull('m', [urlOf(server, sha256)], { signal: never });
    await puller.pull('n', [urlOf(server, sha256)], { signal: never });
    await writeFile(path, weights.with(77, (weights[77] ?? 0) ^ 1));
    await bench.store.mark(sha256, { reason: 'a test says so', foundAt: 1 });
    const moved = faultOf(puller.pull('m', [urlOf(server, undefined, '/now')], { signal: never }));
    expect((await moved).message).toMatch(/instead of/);
    await puller.pull('m', [urlOf(server)], { signal: never });
    expect(await bench.stored('m')).toBe(sha256);
    expect(bench.store.damage(sha256)).toBeNull();
    await puller.pull('n', [urlOf(server, sha256)], { signal: never });
    expect(server.asked.map(({ path: asked }) => asked)).toEqual(['/m.gguf', '/now', '/m.gguf']);
  });

  it.each(['url', 'file'] as const)(
    'regression: puts a %s in the place of a damaged blob that nobody marked',
    async (kind) => {
      const server = await bench.serving({ '/m.gguf': serve(weights) });
      const puller = bench.puller();
      const { path } = await puller.pull('n', [urlOf(server, sha256)], { signal: never });
      await writeFile(path, weights.with(77, (weights[77] ?? 0) ^ 1));
      const original = join(bench.dir, 'mine.gguf');
      await writeFile(original, weights);
      const source: ModelSource = kind === 'url' ? urlOf(server, sha256) : { kind, path: original, sha256 };
      await puller.pull('m', [source], { signal: never });
      expect(await bench.stored('m')).toBe(sha256);
      expect(bench.store.damage(sha256)).toBeNull();
      expect(digestOf(await readFile(original))).toBe(sha256);
      expect(await bench.leftovers()).toEqual([]);
    },
  );

  it('regression: marks a blob as damaged that it found so, though nothing better is to be had', async () => {
    const server = await bench.serving({ '/m.gguf': serve(weights) });
    const { path } = await bench.puller().pull('n', [urlOf(server, sha256)], { signal: never });
    await writeFile(path, weights.with(77, (weights[77] ?? 0) ^ 1));
    const found = digestOf(await readFile(path));
    await faultOf(bench.puller().pull('m', [urlOf(server, sha256, '/gone')], { signal: never }));
    expect(bench.store.damage(sha256)).toEqual({ reason: `its SHA-256 is ${found}`, foundAt: bench.clock.wall() });
  });

  it('regression: reads a file that several sources promise once', async () => {
    const server = await bench.serving({ '/m.gguf': serve(weights) });
    const puller = bench.puller();
    await puller.pull('n', [urlOf(server, sha256)], { signal: never });
    await writeFile(bench.store.get('n')?.path ?? '', weights.with(77, (weights[77] ?? 0) ^ 1));
    const looks: string[] = [];
    const { blob } = bench.store;
    const store = { ...bench.store, blob: (digest: string) => (looks.push(digest), blob(digest)) };
    const gone = ['/1', '/2', '/3'].map((path) => ({ kind: 'file', path, sha256 }) as const);
    await faultOf(bench.puller({ store }).pull('m', gone, { signal: never }));
    expect(looks).toEqual([sha256]);
  });

  it('asks for a newer file only when it is told to, and keeps the one before', async () => {
    let file = weights;
    const server = await bench.serving({ '/m.gguf': (...args) => serve(file)(...args) });
    const puller = bench.puller();
    await puller.pull('m', [urlOf(server)], { signal: never });
    file = randomBytes(1000);
    await puller.pull('m', [urlOf(server)], { signal: never });
    expect(await bench.stored('m')).toBe(sha256);
    await puller.pull('m', [urlOf(server)], { signal: never, update: true });
    expect(await bench.stored('m')).toBe(digestOf(file));
    expect((await bench.store.rollback('m')).sha256).toBe(sha256);
    await puller.pull('m', [urlOf(server)], { signal: never });
    expect(await bench.stored('m')).toBe(sha256);
    await puller.pull('m', [urlOf(server)], { signal: never, byHand: true });
    expect(bench.store.get('m')).toMatchObject({ sha256: digestOf(file), held: false });
  });

  it('leaves a name where a person went back to, until a person pulls it', async () => {
    const newer = randomBytes(1000);
    const server = await bench.serving({ '/m.gguf': serve(weights), '/newer': serve(newer) });
    const puller = bench.puller();
    await puller.pull('m', [urlOf(server, sha256)], { signal: never });
    const promised = [urlOf(server, digestOf(newer), '/newer')];
    await puller.pull('m', promised, { signal: never });
    await bench.store.rollback('m');
    await puller.pull('m', promised, { signal: never });
    expect(await bench.stored('m')).toBe(sha256);
    await puller.pull('m', promised, { signal: never, byHand: true });
    expect(bench.store.get('m')).toMatchObject({ sha256: digestOf(newer), held: false });
    expect(server.asked).toHaveLength(2);
  });

  it('refuses what is no model, goes to the next source, and loses nothing of what was there', async () => {
    const page = Buffer.from('<!doctype html>');
    const server = await bench.serving({ '/m.gguf': serve(weights), '/page': serve(page) });
    const check: FormatCheck = async (path, name) => {
      if ((await readFile(path)).equals(page)) throw new Fault('BAD_REQUEST', `${name} is not a model`);
    };
    const puller = bench.puller({ check });
    await puller.pull('m', [urlOf(server, undefined, '/page'), urlOf(server)], { signal: never });
    const failed = await faultOf(puller.pull('m', [urlOf(server, digestOf(page), '/page')], { signal: never }));
    expect(failed.message).toMatch(/\/page is not a model/);
    await writeFile(join(bench.dir, 'page'), page);
    const file = { kind: 'file', path: join(bench.dir, 'page'), sha256: digestOf(page) } as const;
    expect((await faultOf(puller.pull('m', [file], { signal: never }))).message).toMatch(/is not a model/);
    expect(await bench.stored('m')).toBe(sha256);
    expect((await bench.store.collect()).removed).toEqual([]);
  });
});
