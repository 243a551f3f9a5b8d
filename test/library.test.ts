import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiModelDetails } from '#contracts/api';
import type { ApiCollected, ApiImport, ApiModelVersions, ApiVerification, ApiView } from '#contracts/store-api';
import { fakeGguf, tinyLlama } from '#models/gguf.fake';
import type { FakeGguf } from '#models/gguf.fake';
import { digestOf, fakeServer } from '#models/server.fake';
import type { FakeServer } from '#models/server.fake';
import { started, stopped } from './_llama-host.ts';
import { define, startPlatform, testHome } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { pssBytes, until } from './_processes.ts';

const run = promisify(execFile);
/** All that one test runs in turn ends within its time. */
const bounded = { timeout: 75_000, killSignal: 'SIGKILL' } as const;
let folder: string;
let platform: TestPlatform;
let server: FakeServer;
/** What the server has at this moment, by path; each asks for a whole file. */
const files = new Map<string, Buffer>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'library-'));
  const home = join(folder, 'home');
  await mkdir(home);
  // The engine's packages are those of all tests; the models are not.
  await symlink(join(testHome(), 'env'), join(home, 'env'));
  const paths = ['/a.gguf', '/b.gguf'];
  const give = (path: string) => (_: unknown, response: { end(bytes: Buffer | undefined): unknown }) =>
    void response.end(files.get(path));
  server = await fakeServer(Object.fromEntries(paths.map((path) => [path, give(path)])));
  platform = await startPlatform({ home, config: 'models: { threads: 1 }\n' });
});
afterAll(async () => {
  await platform?.stop();
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

const api = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
  const init = { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
  const response = await platform.fetch(`/sutaz/v1${path}`, init);
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status} ${text}`);
  if (!response.headers.get('content-type')?.startsWith('text/event-stream')) return JSON.parse(text || 'null') as T;
  const [, event, data = ''] = /event: (done|error)\ndata: (.*)\n\n$/.exec(text) ?? [];
  if (event !== 'done') throw new Error(data || text);
  return JSON.parse(data) as T;
};
const model = (id: string) => `/models/${encodeURIComponent(id)}`;
const inode = async (path: string) => (await stat(path)).ino;
const blobs = () => readdir(join(platform.home, 'models/blobs'));
const defineModel = async (id: string, path: string, sha256?: string) => {
  const pin = sha256 === undefined ? '' : `, sha256: ${sha256}`;
  const source = `{ url: { url: '${server.url}${path}'${pin} } }`;
  const text = `{ id: '${id}', name: X, summary: For a test., size: 1MiB, context: 256, sources: [${source}] }`;
  await define(platform.home, `models/${id.replace(':', '-')}.yaml`, text);
  await until(async () => {
    const known = await platform.fetch(`/sutaz/v1/catalog/${encodeURIComponent(id)}`);
    return (
      known.ok && JSON.stringify(((await known.json()) as { definition: unknown }).definition).includes(sha256 ?? path)
    );
  }, `the definition of ${id}`);
};
const gguf = (name: string, metadata: FakeGguf['metadata'] = {}) =>
  fakeGguf({ ...tinyLlama, metadata: { ...tinyLlama.metadata, 'general.name': name, ...metadata } });
const chat = (name: string, content = 'Hi') =>
  platform.fetch('/v1/chat/completions', {
    method: 'POST',
    body: JSON.stringify({ model: name, max_tokens: 4, messages: [{ role: 'user', content }] }),
  });

describe('an Ollama store with a real model', () => {
  let original: string;
  let sha256: string;
  let before: { readonly ino: number; readonly mode: number; readonly mtimeMs: number };
  const facts = async () => {
    const { ino, mode, mtimeMs } = await stat(original);
    return { ino, mode, mtimeMs };
  };

  it('is imported without a copy, and answers at once', async () => {
    const source = process.env['SUTAZ_TEST_MODEL'] ?? '';
    sha256 = source.slice(-64);
    const place = join(folder, 'ollama');
    original = join(place, 'blobs', `sha256-${sha256}`);
    await mkdir(join(place, 'blobs'), { recursive: true });
    await mkdir(join(place, 'manifests/registry.ollama.ai/library/smol'), { recursive: true });
    await cp(source, original);
    const layer = { mediaType: 'application/vnd.ollama.image.model', digest: `sha256:${sha256}`, size: 1 };
    await writeFile(join(place, 'manifests/registry.ollama.ai/library/smol/135m'), JSON.stringify({ layers: [layer] }));
    before = await facts();

    const { imported, skipped, layout } = await api<ApiImport>('POST', '/store/import', { path: place });
    expect({ layout, skipped }).toEqual({ layout: 'ollama', skipped: [] });
    expect(imported).toMatchObject([{ id: 'smol:135m', how: 'linked', sha256 }]);
    expect(await inode(join(platform.home, 'models/blobs', `sha256-${sha256}`))).toBe(before.ino);
    expect(await facts()).toEqual(before);

    const answer = await chat('smol:135m');
    expect(answer.status).toBe(200);
    expect((await api<ApiImport>('POST', '/store/import', { path: place })).imported).toMatchObject([{ how: 'known' }]);
  });

  it('is in use: nothing of it is collected or removed, and it is whole', async () => {
    expect((await api<ApiCollected>('POST', '/store/collect', {})).removed).toEqual([]);
    await expect(api('DELETE', model('smol:135m'))).rejects.toThrow(/409 .*is loaded/);
    const { files: found } = await api<ApiVerification>('POST', '/store/verify', {});
    expect(found).toMatchObject([{ models: ['smol:135m'], problem: null }]);
  });

  it('is planned within a tenth of what it takes, and says what fits', async () => {
    // What it takes is what it was made to use: a prompt that fills a part of the cache, not a greeting.
    const words = Array.from({ length: 250 }, (_, i) => `word${i}`).join(' ');
    expect((await chat('smol:135m', words)).status).toBe(200);
    const { instance } = await platform.unit('smol:135m');
    const measured = async () => (await platform.unit('smol:135m')).bytes.measured ?? 0;
    const grown = async () => (await measured()) >= 0.98 * (await pssBytes(instance?.pid ?? 0));
    await until(grown, 'the platform to have measured what it takes by now', 30_000);
    const { estimate, fit, plan } = await api<ApiModelDetails>('GET', model('smol:135m'));
    expect(Math.abs(estimate?.errorPercent ?? Infinity)).toBeLessThan(10);
    expect(estimate?.plannedBytes).toBe(plan?.total);
    // It was trained for so many tokens; the limit of this machine is no matter for so small a model.
    expect(fit?.context).toBe(8192);
  });

  it('may be asked for by its version, which is a condition', async () => {
    expect((await chat(`smol:135m@sha256:${sha256.slice(0, 12)}`)).status).toBe(200);
    const other = await chat('smol:135m@sha256:000000000000');
    expect(other.status).toBe(404);
    expect(await other.text()).toMatch(/has no version sha256:000000000000\. Its versions here: sha256:b179/);
    expect((await chat('smol:135m@sha256:12')).status).toBe(400);
  });

  it('is loaded by the embedded engine through the folder view', async () => {
    const view = await api<ApiView>('POST', '/store/views/folder', { models: ['smol:135m'] });
    const [viewed] = view.models;
    expect(viewed?.path).toBe(join(view.root, 'smol/135m.gguf'));
    expect(await inode(viewed?.path ?? '')).toBe(before.ino);
    const host = await started({ SUTAZ_MODEL_PATH: viewed?.path ?? '', SUTAZ_CONTEXT: '256', SUTAZ_SLOTS: '1' });
    try {
      expect(await readFile(`/proc/${host.process.pid}/maps`, 'utf8')).toContain(viewed?.path);
    } finally {
      await stopped(host);
    }
  });

  it('is found by the hub’s own library through the hub view, offline', async (context) => {
    const view = await api<ApiView>('POST', '/store/views/huggingface', {});
    expect(await inode(view.models[0]?.path ?? '')).toBe(before.ino);
    const python = join(folder, 'venv/bin/python');
    try {
      await run('python3', ['-m', 'venv', join(folder, 'venv')], bounded);
      const install = ['install', '--quiet', '--disable-pip-version-check', 'huggingface_hub'];
      await run(python, ['-m', 'pip', ...install], bounded);
    } catch (error) {
      return context.skip(`Python or its package index is not to be had here: ${String(error).slice(0, 200)}`);
    }
    const code =
      'import huggingface_hub as h; print(h.hf_hub_download("sutazai/smol-135m", "smol-135m.gguf")); ' +
      'print([r.repo_id for r in h.scan_cache_dir().repos], len(h.scan_cache_dir().warnings))';
    const env = { ...process.env, HF_HUB_OFFLINE: '1', HF_HUB_CACHE: view.root };
    const { stdout } = await run(python, ['-c', code], { env, ...bounded });
    const [path = '', cache] = stdout.trim().split('\n');
    expect(path.startsWith(view.root)).toBe(true);
    expect(await inode(path)).toBe(before.ino);
    expect(cache).toBe("['sutazai/smol-135m'] 0");
  }, 240_000);

  it('goes with its views, and the original stays', async () => {
    await api('POST', '/store/views/ollama', {});
    await api('POST', '/units/smol%3A135m/stop?force=true');
    await platform.untilState('smol:135m', 'cold');
    await api('DELETE', model('smol:135m'));
    expect(await blobs()).toEqual([]);
    const left = await readdir(join(platform.home, 'models/views'), { recursive: true });
    expect(left.filter((path) => path.includes('smol') || path.includes('sha256'))).toEqual([]);
    expect(await facts()).toEqual(before);
  });
});

describe('the files of the store', () => {
  it('are found damaged, and only what is damaged is fetched again', async () => {
    for (const name of ['a', 'b']) {
      const bytes = gguf(name);
      files.set(`/${name}.gguf`, bytes);
      await defineModel(`${name}:1`, `/${name}.gguf`, digestOf(bytes));
      await api('POST', model(`${name}:1`) + '/pull');
    }
    const { pulled } = await api<ApiModelDetails>('GET', model('a:1'));
    await truncate(pulled?.path ?? '', 100);
    await truncate(pulled?.path ?? '', pulled?.bytes);
    const found = await api<ApiVerification>('POST', '/store/verify', {});
    expect(found.files.map(({ models, problem }) => [models[0], problem?.slice(0, 14) ?? null])).toEqual([
      ['a:1', 'its SHA-256 is'],
      ['b:1', null],
    ]);
    expect((await api<ApiModelVersions>('GET', model('a:1') + '/versions')).versions[0]?.damage).toMatch(/SHA-256/);
    server.asked.length = 0;
    const mended = await api<ApiVerification>('POST', '/store/verify', { models: ['a:1'], repair: true });
    expect(mended.files).toMatchObject([{ repaired: true }]);
    expect(server.asked.map(({ path }) => path)).toEqual(['/a.gguf']);
    expect((await api<ApiVerification>('POST', '/store/verify', {})).files.map(({ problem }) => problem)).toEqual([
      null,
      null,
    ]);
  });

  it('are kept by version: on by the definition, back by hand, and there it stays', async () => {
    const [old, fresh] = [digestOf(gguf('a')), digestOf(gguf('a2'))];
    files.set('/a.gguf', gguf('a2'));
    await defineModel('a:1', '/a.gguf', fresh);
    await api('POST', model('a:1') + '/pull');
    const versions = async () => (await api<ApiModelVersions>('GET', model('a:1') + '/versions')).versions;
    expect((await versions()).map(({ sha256, present }) => [sha256, present])).toEqual([
      [fresh, true],
      [old, false],
    ]);
    const back = await api<ApiModelDetails>('POST', model('a:1') + '/rollback');
    expect(back.pulled?.sha256).toBe(old);
    // Whoever asks for it now gets what it is, and no download: that it is no real model is told by the engine.
    server.asked.length = 0;
    await (await chat('a:1')).text();
    expect(server.asked).toEqual([]);
    expect((await versions()).find(({ present }) => present)?.sha256).toBe(old);
    await api('POST', model(`a:1@sha256:${fresh.slice(0, 12)}`) + '/pull');
    expect((await versions())[0]).toMatchObject({ sha256: fresh, present: true });
    await api('DELETE', model(`a:1@sha256:${old.slice(0, 12)}`));
    expect((await blobs()).sort()).toEqual([fresh, digestOf(gguf('b'))].map((sha256) => `sha256-${sha256}`).sort());
    await platform.fetch('/sutaz/v1/units/a%3A1/stop?force=true', { method: 'POST' });
  });

  it.each([
    [
      'an absurd header',
      gguf('x', { 'llama.block_count': 2 ** 31 }),
      /b\.gguf is not a usable GGUF file: it is 2147483648, more than 4096 \(at \\"llama\.block_count/,
    ],
    [
      'a file that is no model',
      Buffer.from('<html>Sign in</html>'),
      /b\.gguf is not a model: it is a text that begins with/,
    ],
    [
      'a pickle',
      Buffer.from([0x80, 4, 0x95, 0, 0, 0, 0, 0, 0, 0, 0]),
      /b\.gguf is refused: it begins as a pickle does/,
    ],
  ])('are not replaced by %s: file and field are named, and nothing is lost', async (_, bytes, message) => {
    files.set('/b.gguf', bytes);
    const kept = (await blobs()).sort();
    await expect(api('POST', model('b:1') + '/pull?update=true')).resolves.toBeDefined();
    await defineModel('b:1', '/b.gguf', digestOf(bytes));
    await expect(api('POST', model('b:1') + '/pull')).rejects.toThrow(message);
    expect((await blobs()).sort()).toEqual(kept);
    expect((await api<ApiModelDetails>('GET', model('b:1'))).pulled?.sha256).toBe(digestOf(gguf('b')));
    files.set('/b.gguf', gguf('b'));
    await defineModel('b:1', '/b.gguf', digestOf(gguf('b')));
  });

  it('without a tokenizer are told by that field, and nothing is loaded', async () => {
    const { 'tokenizer.ggml.model': _, ...metadata } = tinyLlama.metadata ?? {};
    const bytes = fakeGguf({ ...tinyLlama, metadata });
    files.set('/b.gguf', bytes);
    await defineModel('b:1', '/b.gguf', digestOf(bytes));
    const answer = await chat('b:1');
    expect(answer.status).toBe(400);
    expect(await answer.text()).toMatch(/its tokenizer is missing \(at \\"tokenizer\.ggml\.model/);
    expect((await platform.unit('b:1')).instance).toBeNull();
  });
});
