import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { CatalogSource } from '#catalog/source';
import type { ModelSource, OnProgress } from '#contracts/models';
import type { ApiImport, ApiImportAsk } from '#contracts/store-api';
import { modelSchema } from '#catalog/model';
import { Fault } from '#kernel/faults';
import { freeBytes, sizeOf, writeAtomic } from '#models/files';
import { definitionText } from '#models/import/definition';
import { importModels } from '#models/import/import';
import type { ImportOptions, Imported } from '#models/import/import';
import { scanPlace } from '#models/import/place';
import type { ImportPlace, Scanned } from '#models/import/place';
import { fileNameOf } from '#models/names';
import type { FormatCheck } from '#models/pull';
import { writeChunk } from '#models/sources/context';
import type { ModelStore } from '#models/store';
import { readUsable } from '#models/usable';

export interface ImportingDeps {
  readonly models: ModelStore;
  readonly catalog: Pick<CatalogSource, 'current'>;
  /** The user's own definitions: `models/` in it gets one for each model that has none. */
  readonly definitions: string;
  readonly checkFormat: FormatCheck;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Reads the definitions anew and looks at the models that were named, also when the import ended early. */
  readonly refresh: (ids: readonly string[]) => Promise<unknown>;
}

/** Takes the models of a place into the store, and gives each a definition, so that it can be used at once. */
export async function importInto(
  ask: ApiImportAsk,
  signal: AbortSignal,
  onProgress: OnProgress,
  deps: ImportingDeps,
): Promise<ApiImport> {
  const place: ImportPlace = ask.from ? { kind: ask.from } : { kind: 'path', path: ask.path ?? '' };
  const scanned = await scanPlace(place, deps.env);
  const { root, layout, skipped } = scanned;
  const title = titleOf(scanned);
  const ids: string[] = [];
  const options: ImportOptions = {
    ...{ store: deps.models, signal, onProgress, free: freeBytes, write: writeChunk, place: title },
    copy: ask.copy === true,
    nameable: (name, sha256) => isNameable(name, sha256, deps),
    async check(path, name) {
      await deps.checkFormat(path, name);
      await readUsable(path, name);
    },
    // At once: what is named and not defined could not be used, were the import to end with the next file.
    async onImported(one) {
      ids.push(one.model.name);
      await define(one, title, deps);
    },
  };
  const { imported, skipped: refused } = await importModels(named(scanned, ask.name), options).finally(() =>
    deps.refresh(ids),
  );
  return {
    ...{ root, layout },
    imported: imported.map(({ model, found, how }) => ({
      ...{ id: model.name, title: found.title, path: found.path, bytes: model.bytes, sha256: model.sha256, how },
    })),
    skipped: [...skipped, ...refused],
  };
}

const titleOf = ({ layout, root }: Scanned): string =>
  ({ ollama: 'an Ollama store', huggingface: 'a Hugging Face cache', folder: root, file: 'a file' })[layout];

function named({ found, root }: Scanned, name: string | undefined): Scanned['found'] {
  if (name === undefined) return found;
  if (!modelSchema.in.shape.id.safeParse(name).success) {
    throw new Fault('BAD_REQUEST', `"${name}" is no name for a model: write name:tag in lower case.`, {
      param: 'name',
    });
  }
  const [only, ...others] = found;
  if (!only || others.length > 0) {
    const what = only
      ? `${found.length} models (${found
          .map(({ title }) => title)
          .slice(0, 5)
          .join(', ')} ...)`
      : 'no model';
    throw new Fault('BAD_REQUEST', `A name is for one model, and ${what} was found at ${root}: name its file.`, {
      param: 'name',
    });
  }
  return [{ ...only, id: name }];
}

/** A name can be had when nothing has it, or when its definition would take that very file, or any. */
function isNameable(name: string, sha256: string, { catalog }: ImportingDeps): boolean {
  const { models, modelNames, disabled } = catalog.current();
  if (disabled.some(({ kind, id }) => kind === 'model' && id === name)) return false;
  const id = modelNames.get(name);
  if (id !== undefined && id !== name) return false;
  const sources = models.get(name)?.definition.sources;
  // A name whose files are signed is only for a file that its definition knows.
  const takes = ({ sha256: known, signature }: ModelSource) => known === sha256 || (known === undefined && !signature);
  return !sources || sources.some(takes);
}

async function define(imported: Imported, place: string, { catalog, definitions }: ImportingDeps): Promise<void> {
  const { name, path } = imported.model;
  const { models, disabled } = catalog.current();
  if (models.has(name) || disabled.some(({ kind, id }) => kind === 'model' && id === name)) return;
  const folder = join(definitions, 'models');
  const file = join(folder, `${fileNameOf(name)}.yaml`);
  // The user's, whatever it says by now: another id, or nothing that can be read.
  if ((await sizeOf(file)) !== null) return;
  await mkdir(folder, { recursive: true });
  await writeAtomic(file, definitionText(imported, await readUsable(path, imported.found.title), place));
}
