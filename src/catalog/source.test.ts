import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { getuid } from 'node:process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { silentLogger } from '#kernel/logger';
import { openCatalog, readFolders } from './source.ts';
import type { CatalogSource } from './source.ts';

const definition = (id: string, more = '') =>
  `id: ${id}\nname: n\nsummary: s\ncategory: tool\nrun: { process: { command: [x] } }\nresources: { memory: 1 }\n${more}`;

let root = '';
let source: CatalogSource | undefined;
const builtIn = () => join(root, 'built-in');
const user = () => join(root, 'user');
const clock = fakeClock();

const put = async (folder: string, name: string, text: string) => {
  await mkdir(join(folder, 'services'), { recursive: true });
  await writeFile(join(folder, 'services', name), text);
};

const open = async () => {
  source = await openCatalog({
    folders: [
      { path: builtIn(), origin: 'built-in' },
      { path: user(), origin: 'user' },
    ],
    clock,
    log: silentLogger,
    pollMs: 5_000,
  });
  return source;
};

const ids = (from: CatalogSource) => [...from.current().services.keys()].sort();

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sutaz-catalog-'));
  await put(builtIn(), 'a.yaml', definition('a'));
});

afterEach(async () => {
  source?.close();
  await rm(root, { recursive: true, force: true });
});

describe('while it runs', () => {
  it('takes in what a user adds, changes and takes away, in a folder that comes later', async () => {
    const catalog = await open();
    const seen = vi.fn();
    catalog.onChange(seen);
    expect(ids(catalog)).toEqual(['a']);
    expect(await catalog.refresh()).toBe(false);
    await put(user(), 'b.yaml', definition('b'));
    await put(user(), 'a.yml', definition('a', 'priority: 90\n'));
    expect(await catalog.refresh()).toBe(true);
    expect(ids(catalog)).toEqual(['a', 'b']);
    expect(catalog.current().services.get('a')?.definition.priority).toBe(90);
    await put(user(), 'b.yaml', definition('b', 'oops: 1\n'));
    await catalog.refresh();
    expect(ids(catalog)).toEqual(['a']);
    expect(catalog.current().disabled.map(({ id }) => id)).toEqual(['b']);
    await rm(user(), { recursive: true });
    await catalog.refresh();
    expect(catalog.current().services.get('a')?.origin).toBe('built-in');
    expect(catalog.current().disabled).toEqual([]);
    expect(seen).toHaveBeenCalledTimes(3);
    expect(seen).toHaveBeenLastCalledWith(catalog.current());
  });

  it('looks by itself now and then, for file systems that tell of nothing', async () => {
    const catalog = await open();
    const changed = new Promise((resolve) => catalog.onChange(resolve));
    await put(user(), 'b.yaml', definition('b'));
    clock.advance(5_000);
    await changed;
    expect(ids(catalog)).toEqual(['a', 'b']);
  });

  it('hears of a change in a folder that is there', async () => {
    await put(user(), 'b.yaml', definition('b'));
    const catalog = await open();
    const before = clock.pending;
    const changed = new Promise((resolve) => catalog.onChange(resolve));
    const after = vi.spyOn(clock, 'after');
    await put(user(), 'c.yaml', definition('c'));
    await vi.waitFor(() => expect(after).toHaveBeenCalledWith(150, expect.any(Function)), { timeout: 5_000 });
    clock.advance(150);
    await changed;
    after.mockRestore();
    expect(ids(catalog)).toEqual(['a', 'b', 'c']);
    expect(clock.pending).toBeLessThanOrEqual(before);
  });

  it('tells the other listeners when one fails', async () => {
    const catalog = await open();
    const seen = vi.fn();
    catalog.onChange(() => {
      throw new Error('mine');
    });
    catalog.onChange(seen);
    await put(user(), 'b.yaml', definition('b'));
    expect(await catalog.refresh()).toBe(true);
    expect(seen).toHaveBeenCalledOnce();
  });

  it('does nothing more once closed', async () => {
    const catalog = await open();
    const seen = vi.fn();
    catalog.onChange(seen);
    catalog.close();
    await put(user(), 'b.yaml', definition('b'));
    expect(await catalog.refresh()).toBe(false);
    expect(clock.pending).toBe(0);
    expect(seen).not.toHaveBeenCalled();
  });
});

describe('reading folders', () => {
  it('passes over what is no definition', async () => {
    await put(builtIn(), '.b.yaml', definition('b'));
    await put(builtIn(), 'notes.txt', 'x');
    await put(builtIn(), 'c.yaml~', definition('c'));
    await mkdir(join(builtIn(), 'services', 'dir.yaml'));
    await writeFile(join(builtIn(), 'models'), 'a file where a folder could be');
    const files = await readFolders([{ path: builtIn(), origin: 'built-in' }]);
    expect(files.map(({ path }) => path)).toEqual([join(builtIn(), 'services', 'a.yaml')]);
  });

  it.skipIf(getuid?.() === 0)('hands on what may not be read, with the reason (root may read everything)', async () => {
    await put(builtIn(), 'b.yaml', definition('b'));
    await chmod(join(builtIn(), 'services', 'b.yaml'), 0);
    const files = await readFolders([{ path: builtIn(), origin: 'built-in' }]);
    expect(files.find(({ path }) => path.endsWith('b.yaml'))).toMatchObject({ text: '', unreadable: 'EACCES' });
  });
});
