import { link, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { silentLogger } from '#kernel/logger';
import { openBench } from './pull.fake.ts';
import type { Bench } from './pull.fake.ts';
import { digestOf } from './server.fake.ts';
import { openModelStore } from './store.ts';

const inUse = new Set<string>();
let bench: Bench;
beforeEach(async () => {
  inUse.clear();
  bench = await openBench({ inUse: (sha256) => inUse.has(sha256), keep: () => 1 });
});
afterEach(() => bench.close());

const digest = (content: string) => digestOf(Buffer.from(content));
const blobPath = (content: string) => join(bench.dir, 'blobs', `sha256-${digest(content)}`);
const put = async (name: string, content: string) => {
  const file = join(await bench.store.partial(name), 'tmp-made');
  await writeFile(file, content);
  return bench.store.add(name, file, { sha256: digest(content), bytes: content.length, source: 'a test' });
};
const orphan = (content: string) => writeFile(blobPath(content), content);
/** The store of an earlier process, in the place of the bench's. */
const reopen = async (keep = 1) => {
  bench = await openBench({ inUse: (sha256) => inUse.has(sha256), keep: () => keep }, bench.dir);
};
const exists = (path: string) => stat(path).then(Boolean, () => false);

describe('collecting garbage', () => {
  it('removes what no name has and what was half-made, and tells what that gives back', async () => {
    await put('a', 'named');
    await orphan('nobody');
    await writeFile(join(await bench.store.partial('m'), 'tmp-half'), 'half');
    const dry = await bench.store.collect({ dryRun: true });
    expect(dry).toMatchObject({ freed: 10 });
    expect(await exists(blobPath('nobody'))).toBe(true);
    expect(await bench.store.collect()).toEqual(dry);
    expect(await readdir(join(bench.dir, 'blobs'))).toEqual([`sha256-${digest('named')}`]);
    expect(await bench.store.collect()).toMatchObject({ removed: [], freed: 0 });
  });

  it('keeps a download that can go on, unless it is asked to go', async () => {
    await writeFile(join(await bench.store.partial('m'), 'x.part'), 'cut');
    expect((await bench.store.collect()).kept).toMatchObject([
      { why: expect.stringContaining('--downloads') as string },
    ]);
    expect(await bench.store.collect({ downloads: true })).toMatchObject({ freed: 3 });
  });

  it.each([true, false])(
    'regression: takes nothing from a running pull of a file, its digest known: %s',
    async (known) => {
      const path = join(bench.dir, 'mine.gguf');
      await writeFile(path, 'weights');
      let during: unknown;
      const check = async () => void (during = await bench.store.collect({ downloads: true }));
      const source = { kind: 'file', path, ...(known && { sha256: digest('weights') }) } as const;
      const { signal } = new AbortController();
      await bench.puller({ check }).pull('m', [source], { signal });
      expect(during).toMatchObject({ removed: [], kept: [{ bytes: 7, why: 'it is being pulled' }] });
      expect(await exists(blobPath('weights'))).toBe(true);
      // The pull has given its folder back.
      await writeFile(join(await bench.store.partial('m'), 'tmp-half'), 'half');
      expect(await bench.store.collect()).toMatchObject({ freed: 4 });
    },
  );

  it('counts nothing as given back while another link has the file', async () => {
    await orphan('linked');
    await mkdir(join(bench.dir, 'elsewhere'));
    await link(blobPath('linked'), join(bench.dir, 'elsewhere', 'x.gguf'));
    expect(await bench.store.collect()).toMatchObject({ removed: [{ bytes: 6, frees: 0 }], freed: 0 });
    expect(await exists(join(bench.dir, 'elsewhere', 'x.gguf'))).toBe(true);
  });

  it('removes no file while a manifest is damaged: it may be the one of that name', async () => {
    await put('a', 'weights');
    await writeFile(join(bench.dir, 'manifests', 'a.json'), '{');
    const reopened = await openModelStore({ dir: bench.dir, clock: fakeClock(0, Date.now()), log: silentLogger });
    expect(await reopened.collect()).toMatchObject({ removed: [], kept: [{ bytes: 7 }] });
    expect(await exists(blobPath('weights'))).toBe(true);
  });

  it('regression: removes the file of a name whose manifest is damaged for nobody, until the name is put again', async () => {
    await put('a', 'weights');
    await put('b', 'weights');
    await put('c', 'old');
    await writeFile(join(bench.dir, 'manifests', 'a.json'), '{');
    await reopen();
    expect(await bench.store.remove('b')).toEqual({ freed: 0 });
    await put('c', 'new');
    expect(await exists(blobPath('weights'))).toBe(true);
    expect(await exists(blobPath('old'))).toBe(true);
    expect(await bench.store.collect()).toMatchObject({ removed: [] });
    await put('a', 'weights');
    expect(await bench.store.collect()).toMatchObject({ removed: [{ path: blobPath('old') }], freed: 3 });
    expect(await bench.store.remove('a')).toEqual({ freed: 7 });
  });

  it('regression: keeps what a name without its file keeps, until the name is put again', async () => {
    await reopen(2);
    await put('a', 'old');
    await put('a', 'new');
    await rm(blobPath('new'));
    await reopen(2);
    expect(await bench.store.collect()).toMatchObject({ removed: [] });
    await put('a', 'newest');
    expect(await bench.store.collect()).toMatchObject({ removed: [{ path: blobPath('old') }], freed: 3 });
  });

  it('never removes what a name keeps, an engine has open or somebody holds', async () => {
    const content = fc.constantFrom('x', 'y', 'z');
    const action = fc.oneof(
      fc.record({ kind: fc.constant('put' as const), name: fc.constantFrom('a', 'b'), content }),
      fc.record({ kind: fc.constant('remove' as const), name: fc.constantFrom('a', 'b') }),
      fc.record({ kind: fc.constant('open' as const), content }),
      fc.record({ kind: fc.constant('shut' as const), content }),
      fc.record({ kind: fc.constant('hold' as const), content }),
      fc.record({ kind: fc.constant('release' as const) }),
      fc.record({ kind: fc.constant('collect' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 20 }), async (actions) => {
        const here = new Set<string>();
        const held: { readonly content: string; readonly release: () => void }[] = [];
        for (const step of actions) {
          if (step.kind === 'put') await put(step.name, step.content);
          if (step.kind === 'remove') await bench.store.remove(step.name).catch(() => undefined);
          if (step.kind === 'open' && (await exists(blobPath(step.content)))) inUse.add(digest(step.content));
          if (step.kind === 'shut') inUse.delete(digest(step.content));
          if (step.kind === 'hold' && (await exists(blobPath(step.content)))) {
            held.push({ content: step.content, release: bench.store.hold(digest(step.content)) });
          }
          if (step.kind === 'release') held.pop()?.release();
          if (step.kind === 'collect') await bench.store.collect();
          here.clear();
          for (const { sha256 } of bench.store.list()) here.add(sha256);
          for (const sha256 of inUse) here.add(sha256);
          for (const one of held) here.add(digest(one.content));
          for (const sha256 of here) expect(await exists(join(bench.dir, 'blobs', `sha256-${sha256}`))).toBe(true);
        }
        for (const { release } of held) release();
        inUse.clear();
      }),
      { numRuns: 40 },
    );
  });
});
