import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openBench } from './pull.fake.ts';
import type { Bench } from './pull.fake.ts';
import { digestOf, serve } from './server.fake.ts';
import type { Handler } from './server.fake.ts';

const weights = randomBytes(50_000);
const sha256 = digestOf(weights);
const signal = new AbortController().signal;

let bench: Bench;
beforeEach(async () => void (bench = await openBench()));
afterEach(() => bench.close());
const refusal = (pull: Promise<unknown>) =>
  pull.then(
    () => 'it was pulled',
    (error: unknown) => (error as Error).message,
  );

describe('the Hugging Face hub', () => {
  const path = '/owner/model/resolve/main/sub/m.gguf';
  const source = { kind: 'huggingface', repo: 'owner/model', file: 'sub/m.gguf', revision: 'main' } as const;
  /** A hub as it is: it tells digest and size, and redirects to a storage of another origin. */
  const hub = async (linked: string, bytes = weights) => {
    const storage = await bench.serving({ '/signed?key=hunter2': serve(bytes, { etag: '"s"', cuts: [20_000] }) });
    const server = await bench.serving({
      [path]: (_, response) =>
        void response
          .writeHead(302, {
            location: `${storage.url}/signed?key=hunter2`,
            'x-linked-etag': `"${linked}"`,
            'x-linked-size': String(weights.length),
          })
          .end(),
    });
    return { server, storage };
  };

  it('gives the file, its digest and its size, and sends the token to nobody else', async () => {
    const { server, storage } = await hub(sha256);
    const puller = bench.puller({ env: { HF_ENDPOINT: server.url, HF_TOKEN: 'hf_secret' } }, storage);
    const model = await puller.pull('m', [source], { signal });
    expect(digestOf(await readFile(model.path))).toBe(sha256);
    expect(model).toMatchObject({ sha256, source: 'huggingface owner/model/sub/m.gguf@main' });
    expect(server.asked[0]).toMatchObject({ method: 'HEAD', headers: { authorization: 'Bearer hf_secret' } });
    expect(server.asked[1]).toMatchObject({ method: 'GET', headers: { authorization: 'Bearer hf_secret' } });
    expect(storage.asked).toHaveLength(2);
    expect(storage.asked.map(({ headers }) => headers.authorization)).toEqual([undefined, undefined]);
    expect(storage.asked[1]?.headers['if-range']).toBe('"s"');
  });

  it('is held to the digest it tells', async () => {
    const { server, storage } = await hub('e'.repeat(64));
    const message = await refusal(
      bench.puller({ env: { HF_ENDPOINT: server.url } }, storage).pull('m', [source], { signal }),
    );
    expect(message).toContain(`its SHA-256 is ${sha256} instead of ${'e'.repeat(64)}`);
    expect(message).not.toContain('hunter2');
    expect(await bench.leftovers()).toEqual(['m']);
  });

  it('is not asked for a file that is another one than defined', async () => {
    const { server, storage } = await hub(sha256);
    const defined = { ...source, sha256: 'd'.repeat(64) };
    const message = await refusal(bench.puller({ env: { HF_ENDPOINT: server.url } }).pull('m', [defined], { signal }));
    expect(message).toContain('is another file now');
    expect(storage.asked).toEqual([]);
  });

  it('follows a renamed repository within the hub, and takes small files that have no digest', async () => {
    const server = await bench.serving({
      [path]: (_, response) => void response.writeHead(307, { location: '/new/model/resolve/main/sub/m.gguf' }).end(),
      '/new/model/resolve/main/sub/m.gguf': serve(weights, { etag: '"0123"' }),
    });
    const model = await bench.puller({ env: { HF_ENDPOINT: `${server.url}/` } }).pull('m', [source], { signal });
    expect(digestOf(await readFile(model.path))).toBe(sha256);
  });

  it.each([
    [401, undefined, /set HF_TOKEN/],
    [403, 'hf_secret', /The token in HF_TOKEN may not read it/],
    [404, undefined, /does not exist/],
    [500, undefined, /answers 500/],
  ])('explains %i', async (status, token, reason) => {
    const server = await bench.serving({ [path]: (_, response) => void response.writeHead(status).end() });
    const puller = bench.puller({ env: { HF_ENDPOINT: server.url, HF_TOKEN: token } });
    const message = await refusal(puller.pull('m', [source], { signal }));
    expect(message).toMatch(reason);
    expect(message).not.toContain('hf_secret');
  });

  it('has thirty seconds to answer', async () => {
    const asked = Promise.withResolvers<void>();
    const server = await bench.serving({ [path]: () => asked.resolve() });
    const message = refusal(bench.puller({ env: { HF_ENDPOINT: server.url } }).pull('m', [source], { signal }));
    await asked.promise;
    bench.clock.advance(30_000);
    expect(await message).toContain('did not answer within 30 s');
  });
});

describe('the Ollama registry', () => {
  const source = { kind: 'ollama', model: 'smollm2:135m' } as const;
  const manifestPath = '/v2/library/smollm2/manifests/135m';
  const blobPath = `/v2/library/smollm2/blobs/sha256:${sha256}`;
  const manifest = (digest = sha256): Handler => {
    const layers = [
      { mediaType: 'application/vnd.ollama.image.license', digest: `sha256:${'1'.repeat(64)}`, size: 10 },
      { mediaType: 'application/vnd.ollama.image.model', digest: `sha256:${digest}`, size: weights.length },
    ];
    return (_, response) => void response.end(JSON.stringify({ schemaVersion: 2, layers }));
  };

  it('gives the layer with the weights, from wherever it redirects to', async () => {
    const storage = await bench.serving({ '/blob': serve(weights, { etag: '"1"' }) });
    const server = await bench.serving({
      [manifestPath]: manifest(),
      [blobPath]: (_, response) => void response.writeHead(307, { location: `${storage.url}/blob` }).end(),
    });
    const model = await bench.puller({ env: { OLLAMA_REGISTRY: server.url } }).pull('m', [source], { signal });
    expect(digestOf(await readFile(model.path))).toBe(sha256);
    expect(model).toMatchObject({ sha256, source: 'ollama smollm2:135m' });
    expect(server.asked[0]?.headers.accept).toBe('application/vnd.docker.distribution.manifest.v2+json');
  });

  it('is held to the digest of its manifest', async () => {
    const server = await bench.serving({ [manifestPath]: manifest(), [blobPath]: serve(randomBytes(weights.length)) });
    const message = await refusal(
      bench.puller({ env: { OLLAMA_REGISTRY: server.url } }).pull('m', [source], { signal }),
    );
    expect(message).toContain(`instead of ${sha256}`);
    expect(await bench.leftovers()).toEqual(['m']);
  });

  it.each<[string, Handler, RegExp]>([
    ['an unknown model', (_, response) => void response.writeHead(404).end(), /does not exist \(404\)/],
    ['a page of a portal', (_, response) => void response.end('<html>log in</html>'), /not JSON/],
    ['no weights', (_, response) => void response.end('{"layers":[{"mediaType":"x"}]}'), /no layer with weights/],
    ['a digest that is a path', manifest('../../etc/passwd'), /no layer with weights/],
    [
      'an endless manifest',
      (_, response) => void response.end('x'.repeat(2 ** 20 + 1)),
      /more than a manifest can hold/,
    ],
  ])('explains %s', async (_, handler, reason) => {
    const server = await bench.serving({ [manifestPath]: handler });
    const puller = bench.puller({ env: { OLLAMA_REGISTRY: server.url } });
    expect(await refusal(puller.pull('m', [source], { signal }))).toMatch(reason);
  });
});
