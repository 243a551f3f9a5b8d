import { randomBytes } from 'node:crypto';
import { link, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Progress } from '#contracts/models';
import { stallMs } from './download.ts';
import { partialName } from './names.ts';
import { faultOf, openBench, urlOf } from './pull.fake.ts';
import type { Bench } from './pull.fake.ts';
import { digestOf, fakeServer, serve } from './server.fake.ts';
import type { Handler } from './server.fake.ts';
import { writeChunk } from './sources/context.ts';

const weights = randomBytes(300_000);
const sha256 = digestOf(weights);
const never = new AbortController().signal;

let bench: Bench;
beforeEach(async () => void (bench = await openBench()));
afterEach(() => bench.close());

describe('a download', () => {
  it('continues where it was cut, of the same version of the file', async () => {
    const server = await bench.serving({ '/m.gguf': serve(weights, { etag: '"1"', cuts: [100_000, 50_000] }) });
    const progress: Progress[] = [];
    await bench.puller({}, server).pull('m', [urlOf(server)], { signal: never, onProgress: (p) => progress.push(p) });
    expect(await bench.stored('m')).toBe(sha256);
    const [first, ...later] = server.asked.map(({ headers }) => [headers.range, String(headers['if-range'])] as const);
    expect(first?.[0]).toBeUndefined();
    expect(later).toHaveLength(2);
    expect(later.every(([range, validator]) => /^bytes=[1-9]\d*-$/.test(range ?? '') && validator === '"1"')).toBe(
      true,
    );
    expect(progress.at(-1)).toMatchObject({ phase: 'downloading', what: 'm.gguf', done: 300_000, total: 300_000 });
    expect(await bench.leftovers()).toEqual([]);
  });

  it('begins anew when the file changed meanwhile', async () => {
    const old = serve(randomBytes(300_000), { etag: '"old"', cuts: [100_000] });
    const fresh = serve(weights, { etag: '"new"' });
    const server = await bench.serving({
      '/m.gguf': (request, response, turn) => (turn === 0 ? old : fresh)(request, response, turn),
    });
    await bench.puller({}, server).pull('m', [urlOf(server)], { signal: never });
    expect(await bench.stored('m')).toBe(sha256);
  });

  it('begins anew where the server knows no ranges', async () => {
    const server = await bench.serving({ '/m.gguf': serve(weights, { etag: '"1"', ranges: false, cuts: [100_000] }) });
    await bench.puller({}, server).pull('m', [urlOf(server)], { signal: never });
    expect(await bench.stored('m')).toBe(sha256);
  });

  it('does not join parts that nothing identifies', async () => {
    const server = await bench.serving({ '/m.gguf': serve(weights, { cuts: [100_000] }) });
    await bench.puller({}, server).pull('m', [urlOf(server)], { signal: never });
    expect(server.asked.map(({ headers }) => headers.range)).toEqual([undefined, undefined]);
    expect(await bench.stored('m')).toBe(sha256);
  });

  it('is taken up by a later pull', async () => {
    const cut = await bench.serving({
      '/m.gguf': serve(weights, { etag: '"1"', cuts: Array<number>(9).fill(0).with(0, 90_000) }),
    });
    const failed = await faultOf(bench.puller({}, cut).pull('m', [urlOf(cut)], { signal: never }));
    expect(failed.message).toMatch(/came no further than \d+ of 300000 bytes in 5 tries/);
    expect(cut.asked).toHaveLength(6);
    const part = (await bench.leftovers()).find((path) => path.endsWith('.part')) ?? '';
    const had = (await stat(join(bench.dir, 'partial', part))).size;
    expect(had).toBeGreaterThan(0);
    cut.asked.push(...Array.from({ length: 9 }, () => ({ method: 'GET', path: '/m.gguf', headers: {} })));
    await bench.puller({}, cut).pull('m', [urlOf(cut)], { signal: never });
    expect(cut.asked.at(-1)?.headers.range).toBe(`bytes=${had}-`);
    expect(await bench.stored('m')).toBe(sha256);
  });

  it('takes old bytes that turn out wrong for no fault of the server', async () => {
    const old = serve(randomBytes(300_000), { cuts: [100_000] });
    const fresh = serve(weights);
    const server = await bench.serving({
      '/m.gguf': (request, response, turn) => (turn === 0 ? old : fresh)(request, response, turn),
    });
    await bench.puller({}, server).pull('m', [urlOf(server, sha256)], { signal: never });
    expect(await bench.stored('m')).toBe(sha256);
    expect(server.asked.map(({ headers }) => headers.range?.slice(0, 6))).toEqual([undefined, 'bytes=', undefined]);
  });

  it('asks again when nothing comes for a minute', async () => {
    const whole = serve(weights, { etag: '"1"' });
    let stalled = (): void => undefined;
    const waiting = new Promise<void>((resolve) => (stalled = resolve));
    const server = await bench.serving({
      '/m.gguf'(request, response, turn) {
        if (turn > 0) return whole(request, response, turn);
        response.writeHead(200, { etag: '"1"', 'content-length': '300000' });
        response.write(weights.subarray(0, 1000), stalled);
      },
    });
    const pulled = bench.puller().pull('m', [urlOf(server)], { signal: never });
    await waiting;
    bench.clock.advance(stallMs);
    bench.clock.advance(stallMs);
    await pulled;
    expect(server.asked).toHaveLength(2);
    expect(await bench.stored('m')).toBe(sha256);
  });

  it('waits for a busy server and follows redirects, five of them', async () => {
    const hop =
      (to: string): Handler =>
      (_, response) =>
        void response.writeHead(302, { location: to }).end();
    const hops = Object.fromEntries(Array.from({ length: 4 }, (_, i) => [`/${i}`, hop(`/${i + 1}`)]));
    const busy: Handler = (_, response) => void response.writeHead(503, { 'retry-after': '1' }).end();
    const server = await bench.serving({
      ...hops,
      '/m.gguf': (request, response, turn) => (turn === 0 ? busy : hop('/0'))(request, response, turn),
      '/4': serve(weights),
      '/loop': hop('/loop'),
    });
    await bench.puller().pull('m', [urlOf(server)], { signal: never });
    expect(await bench.stored('m')).toBe(sha256);
    expect(
      (await faultOf(bench.puller().pull('n', [urlOf(server, undefined, '/loop')], { signal: never }))).message,
    ).toMatch(/redirects more than 5 times/);
  });

  it('finds nothing left to do when its last byte was here already', async () => {
    const server = await bench.serving({ '/m.gguf': serve(weights, { etag: '"1"' }) });
    const folder = await bench.store.partial(`url-${partialName(`${server.url}/m.gguf`).replace('.part', '')}`);
    await writeFile(join(folder, partialName(`${server.url}/m.gguf`)), weights);
    await writeFile(join(folder, `${partialName(`${server.url}/m.gguf`)}.json`), '{"validator":"\\"1\\""}');
    await bench.puller().pull('m', [urlOf(server)], { signal: never });
    expect(await bench.stored('m')).toBe(sha256);
    expect(server.asked).toHaveLength(1);
  });
});

describe('a pull', () => {
  it('goes to the next source when one is missing, gone or altered, and leaves nothing of them', async () => {
    const altered = Buffer.from(weights);
    altered[1234] = (altered[1234] ?? 0) ^ 1;
    const server = await bench.serving({ '/altered': serve(altered, { etag: '"1"' }), '/m.gguf': serve(weights) });
    const gone = await fakeServer({});
    await gone.close();
    const sources = [
      { kind: 'file', path: join(bench.dir, 'none.gguf') } as const,
      urlOf(gone, sha256),
      urlOf(server, sha256, '/missing'),
      urlOf(server, sha256, '/altered'),
      urlOf(server, sha256),
    ];
    const model = await bench.puller().pull('m', sources, { signal: never });
    expect(model.source).toBe(`url ${server.url}/m.gguf`);
    expect(await bench.stored('m')).toBe(sha256);
    expect(await bench.leftovers()).toEqual([]);
  });

  it('tells the reason of every source when all fail', async () => {
    const server = await bench.serving({ '/altered': serve(weights) });
    const wrong = 'f'.repeat(64);
    const sources = [{ kind: 'file', path: '/none.gguf' } as const, urlOf(server), urlOf(server, wrong, '/altered')];
    const { code, message, details } = await faultOf(bench.puller().pull('m', sources, { signal: never }));
    expect(code).toBe('UPSTREAM_FAILED');
    expect(message).toContain('file /none.gguf: There is no file /none.gguf.');
    expect(message).toContain('does not have the file (404)');
    expect(message).toContain(`its SHA-256 is ${sha256} instead of ${wrong}`);
    expect(details['sources']).toMatchObject([
      { code: 'NOT_FOUND' },
      { code: 'NOT_FOUND' },
      { code: 'UPSTREAM_FAILED' },
    ]);
    expect(await bench.leftovers()).toEqual(['m']);
  });

  it('shows no secret of an address', async () => {
    const server = await bench.serving({});
    const secret = `${server.url.replace('://', '://user:hunter2@')}/m.gguf?key=hunter3`;
    const failed = await faultOf(bench.puller().pull('m', [{ kind: 'url', url: secret }], { signal: never }));
    expect(JSON.stringify([failed.message, failed.details])).not.toMatch(/hunter/);
    expect(server.asked[0]?.headers.authorization).toBe(`Basic ${Buffer.from('user:hunter2').toString('base64')}`);
  });

  it('is done once however many ask, and tells a late one how far it is', async () => {
    let finish = (): void => undefined;
    const server = await bench.serving({
      '/m.gguf'(_, response) {
        response.writeHead(200, { 'content-length': String(weights.length) });
        response.write(weights.subarray(0, 1000));
        finish = () => response.end(weights.subarray(1000));
      },
    });
    const puller = bench.puller();
    const started = Promise.withResolvers<void>();
    const onProgress = (progress: Progress) => progress.done > 0 && started.resolve();
    bench.clock.advance(0);
    const first = puller.pull('m', [urlOf(server)], { signal: never, onProgress: () => started.resolve() });
    await started.promise;
    const heard: Progress[] = [];
    const second = puller.pull('m', [urlOf(server)], {
      signal: never,
      onProgress: (p) => (onProgress(p), heard.push(p)),
    });
    expect(heard).toHaveLength(1);
    expect(puller.running().get('m')).toEqual(heard[0]);
    finish();
    expect(await second).toEqual(await first);
    expect(server.asked).toHaveLength(1);
    expect(puller.running().size).toBe(0);
  });

  it('lets a caller go at once, and ends with the last one, keeping what it has', async () => {
    const left = Promise.withResolvers<void>();
    const server = await bench.serving({
      '/m.gguf'(_, response) {
        response.writeHead(200, { etag: '"1"', 'content-length': String(weights.length) });
        response.write(weights.subarray(0, 1000));
        response.on('close', left.resolve);
      },
    });
    const puller = bench.puller();
    const [one, two] = [new AbortController(), new AbortController()];
    const started = Promise.withResolvers<void>();
    const first = faultOf(
      puller.pull('m', [urlOf(server)], { signal: one.signal, onProgress: () => started.resolve() }),
    );
    const second = faultOf(puller.pull('m', [urlOf(server)], { signal: two.signal }));
    await started.promise;
    one.abort();
    expect((await first).code).toBe('CANCELLED');
    expect(puller.running().has('m')).toBe(true);
    two.abort();
    expect((await second).code).toBe('CANCELLED');
    await left.promise;
    expect((await bench.leftovers()).some((path) => path.endsWith('.part'))).toBe(true);
    expect(bench.store.get('m')).toBeNull();
  });

  it('is not begun for a caller who has left', async () => {
    const server = await bench.serving({ '/m.gguf': serve(weights) });
    expect((await faultOf(bench.puller().pull('m', [urlOf(server)], { signal: AbortSignal.abort() }))).code).toBe(
      'CANCELLED',
    );
    expect(server.asked).toEqual([]);
  });

  it('asks nobody for what is here, under this name or another', async () => {
    const server = await bench.serving({ '/m.gguf': serve(weights) });
    const puller = bench.puller();
    const model = await puller.pull('m', [urlOf(server, sha256)], { signal: never });
    expect(await puller.pull('m', [urlOf(server, sha256)], { signal: never })).toEqual(model);
    expect((await puller.pull('n', [urlOf(server, sha256)], { signal: never })).path).toBe(model.path);
    expect(server.asked).toHaveLength(1);
  });

  it('fetches again what its definition now promises otherwise', async () => {
    const other = randomBytes(1000);
    const server = await bench.serving({ '/m.gguf': serve(weights), '/other': serve(other) });
    const puller = bench.puller();
    await puller.pull('m', [urlOf(server, sha256)], { signal: never });
    await puller.pull('m', [urlOf(server, digestOf(other), '/other')], { signal: never });
    expect(await bench.stored('m')).toBe(digestOf(other));
  });
});

describe('a full disk', () => {
  it('is seen before a byte is written, with the bytes on both sides', async () => {
    const server = await bench.serving({ '/m.gguf': serve(weights) });
    const puller = bench.puller({ free: async () => 1000 });
    const { code, message, details } = await faultOf(
      puller.pull('m', [urlOf(server), urlOf(server)], { signal: never }),
    );
    expect(code).toBe('DISK_FULL');
    expect(message).toContain('300000 bytes');
    expect(details).toMatchObject({ needed: 300_000, free: 1000 });
    expect(server.asked).toHaveLength(1);
  });

  it('ends the pull when it comes in the middle, and gives its bytes back', async () => {
    const server = await bench.serving({ '/m.gguf': serve(weights, { etag: '"1"' }) });
    let room = 100_000;
    const puller = bench.puller({
      async write(handle, chunk, position) {
        room -= chunk.length;
        if (room < 0) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
        await writeChunk(handle, chunk, position);
      },
    });
    const { code, message } = await faultOf(puller.pull('m', [urlOf(server), urlOf(server)], { signal: never }));
    expect(code).toBe('DISK_FULL');
    expect(message).toMatch(/m\.gguf needs .* bytes\) free/);
    expect(server.asked).toHaveLength(1);
    expect(await bench.leftovers()).toEqual(['m']);
  });
});

describe('a file', () => {
  it('is linked, and the original stays', async () => {
    const original = join(bench.dir, 'mine.gguf');
    await writeFile(original, weights);
    const model = await bench.puller().pull('m', [{ kind: 'file', path: original, sha256 }], { signal: never });
    expect((await stat(model.path)).ino).toBe((await stat(original)).ino);
    await bench.store.remove('m');
    expect(digestOf(await readFile(original))).toBe(sha256);
  });

  it('that is its own blob already is named without losing it', async () => {
    const original = join(bench.dir, 'mine.gguf');
    await writeFile(original, weights);
    const puller = bench.puller();
    const { path } = await puller.pull('m', [{ kind: 'file', path: original }], { signal: never });
    await link(path, join(bench.dir, 'again.gguf'));
    await puller.pull('n', [{ kind: 'file', path: join(bench.dir, 'again.gguf') }], { signal: never });
    expect(await bench.stored('m')).toBe(sha256);
    expect(await bench.leftovers()).toEqual([]);
  });

  it('with other bytes than promised is refused and stays', async () => {
    const original = join(bench.dir, 'mine.gguf');
    await writeFile(original, 'other');
    const failed = await faultOf(
      bench.puller().pull('m', [{ kind: 'file', path: original, sha256 }], { signal: never }),
    );
    expect(failed.message).toMatch(/instead of/);
    expect(await readFile(original, 'utf8')).toBe('other');
    expect(await bench.leftovers()).toEqual(['m']);
  });
});
