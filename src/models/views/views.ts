import { lstat, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault, systemCode, toFault } from '#kernel/faults';
import { isRecord } from '#kernel/json';
import type { Logger } from '#kernel/logger';
import { writeAtomic } from '../files.ts';
import type { ModelStore } from '../store.ts';
import { folderView } from './folder.ts';
import { huggingfaceView } from './huggingface.ts';
import { makeLayout, removePaths } from './make.ts';
import { ollamaView } from './ollama.ts';
import { pathsOf } from './view.ts';
import type { Layout, View, ViewKind, ViewedModel } from './view.ts';

export const views: Readonly<Record<ViewKind, View>> = {
  ollama: ollamaView,
  huggingface: huggingfaceView,
  folder: folderView,
};

/** Where a model is in a view. */
export interface Viewed {
  /** What an engine's own variable is set to. */
  readonly root: string;
  /** The model's path in it, absolute. */
  readonly path: string;
}

/**
 * The views of a store, in `views/<kind>/`. What a view has of a model is written down before it is made: whatever
 * happens then, it can be taken away again.
 */
export interface Views {
  /** Makes the model's place in a view, or finds it made. */
  ensure(kind: ViewKind, model: ViewedModel): Promise<Viewed>;
  /** Takes a model out of all views. */
  drop(id: string): Promise<void>;
  /**
   * Takes out what is no longer the store's file of that name: it went, changed, or was replaced by a whole one. What
   * `viewed` still knows is made anew where it was.
   */
  refresh(viewed: (id: string) => Promise<ViewedModel | null>): Promise<void>;
  rootOf(kind: ViewKind): string;
  /** The models of a view. */
  list(kind: ViewKind): Promise<readonly string[]>;
}

/** What one model has in one view. */
interface Entry {
  readonly sha256: string;
  readonly inode: number;
  readonly layout: Layout;
}

/** What a view has, by model. */
type Entries = Map<string, Entry>;

const kinds = Object.keys(views) as ViewKind[];

export function createViews(store: ModelStore, log: Logger): Views {
  // One at a time: two models may have the same file in Ollama's layout, and each must see what the other still needs.
  let last: Promise<unknown> = Promise.resolve();
  const exclusive = <T>(work: () => Promise<T>): Promise<T> => {
    const result = last.then(work);
    last = result.catch(() => undefined);
    return result;
  };
  const shelves = kinds.map((kind) => shelfOf(store, kind));
  const shelf = (kind: ViewKind): ViewShelf => shelves[kinds.indexOf(kind)] as ViewShelf;
  return {
    ensure: (kind, model) => exclusive(() => putIn(shelf(kind), model)),
    drop: (id) =>
      exclusive(async () => {
        for (const one of shelves) await takeOut(one, id, await readEntries(one));
      }),
    refresh: (viewed) =>
      exclusive(async () => {
        for (const one of shelves) await refreshOne(one, viewed, log);
      }).catch((error: unknown) => log.warn('the views could not be looked at', { error: toFault(error).message })),
    rootOf: (kind) => shelf(kind).root,
    list: async (kind) => [...(await readEntries(shelf(kind))).keys()],
  };
}

/** One kind of view on the disk: its folder, and the file that says what is in it. */
interface ViewShelf {
  readonly store: ModelStore;
  readonly view: View;
  readonly root: string;
  readonly record: string;
}

const shelfOf = (store: ModelStore, kind: ViewKind): ViewShelf => ({
  store,
  view: views[kind],
  root: join(store.dir, 'views', kind),
  record: join(store.dir, 'views', `${kind}.json`),
});

async function putIn(shelf: ViewShelf, model: ViewedModel): Promise<Viewed> {
  const { store, view, root } = shelf;
  const release = store.hold(model.sha256);
  try {
    const blob = await store.blob(model.sha256);
    if (!blob || store.damage(model.sha256)) throw new Fault('NOT_FOUND', `The file of ${model.id} is not here whole.`);
    await mkdir(root, { recursive: true });
    const layout = view.layout(model);
    const entry = { sha256: model.sha256, inode: (await lstat(blob.path)).ino, layout };
    const entries = await readEntries(shelf);
    if (JSON.stringify(entries.get(model.id)) !== JSON.stringify(entry)) {
      await takeOut(shelf, model.id, entries);
      entries.set(model.id, entry);
      await writeEntries(shelf, entries);
    }
    await makeLayout(root, layout, blob.path);
    return { root, path: join(root, layout.main) };
  } finally {
    release();
  }
}

/** Others may have some of its paths, too: those stay, and are again what the others have there. */
async function takeOut(shelf: ViewShelf, id: string, entries: Entries): Promise<void> {
  const entry = entries.get(id);
  if (!entry) return;
  const paths = new Set(pathsOf(entry.layout));
  const others = [...entries].filter(([other]) => other !== id).map(([, other]) => other);
  const needed = new Set(others.flatMap(({ layout }) => pathsOf(layout)));
  await removePaths(
    shelf.root,
    [...paths].filter((path) => !needed.has(path)),
  );
  for (const other of others) {
    if (pathsOf(other.layout).some((path) => paths.has(path))) await makeAgain(shelf, other);
  }
  entries.delete(id);
  await writeEntries(shelf, entries);
}

async function makeAgain({ store, root }: ViewShelf, { sha256, layout }: Entry): Promise<void> {
  const blob = store.damage(sha256) ? null : await store.blob(sha256);
  // Without its file it leaves the view itself, with the next look.
  if (blob) await makeLayout(root, layout, blob.path);
}

async function refreshOne(
  shelf: ViewShelf,
  viewed: (id: string) => Promise<ViewedModel | null>,
  log: Logger,
): Promise<void> {
  const { store } = shelf;
  for (const [id, { sha256, inode }] of await readEntries(shelf)) {
    const stored = store.get(id);
    const same = stored?.sha256 === sha256 && (await lstat(stored.path).catch(() => null))?.ino === inode;
    if (same) continue;
    await takeOut(shelf, id, await readEntries(shelf));
    const model = await viewed(id);
    const fresh = stored && model?.sha256 === stored.sha256 && store.damage(stored.sha256) === null;
    if (fresh) await putIn(shelf, model);
    log.info(fresh ? 'a view was made anew' : 'a model left a view', { view: shelf.view.kind, model: id });
  }
}

const writeEntries = ({ record }: ViewShelf, entries: Entries): Promise<void> =>
  writeAtomic(record, JSON.stringify(Object.fromEntries(entries), null, 2));

/** None where there is no record. Without a record that can be read nobody knows what is in the view: it is made anew. */
async function readEntries({ record, root }: ViewShelf): Promise<Entries> {
  try {
    const value: unknown = JSON.parse(await readFile(record, 'utf8'));
    if (isRecord(value) && Object.values(value).every(isEntry))
      return new Map(Object.entries(value as Record<string, Entry>));
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return new Map();
    if (!(error instanceof SyntaxError)) throw error;
  }
  await rm(root, { recursive: true, force: true });
  return new Map();
}

const isEntry = (value: unknown): boolean =>
  isRecord(value) &&
  typeof value['sha256'] === 'string' &&
  typeof value['inode'] === 'number' &&
  isLayout(value['layout']);

const isLayout = (value: unknown): boolean =>
  isRecord(value) &&
  typeof value['main'] === 'string' &&
  isListOf(value['links'], (link) => typeof link === 'string') &&
  isListOf(value['files'], (file) => hasTexts(file, 'path', 'content')) &&
  isListOf(value['symlinks'], (symlink) => hasTexts(symlink, 'path', 'target'));

const isListOf = (value: unknown, is: (item: unknown) => boolean): boolean => Array.isArray(value) && value.every(is);

const hasTexts = (value: unknown, ...keys: readonly string[]): boolean =>
  isRecord(value) && keys.every((key) => typeof value[key] === 'string');
