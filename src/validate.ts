import { basename, dirname } from 'node:path';
import { readFile } from 'node:fs/promises';
import { buildCatalog } from '#catalog/snapshot';
import type { DefinitionFile } from '#catalog/snapshot';
import { readFolders } from '#catalog/source';
import { Fault, systemCode } from '#kernel/faults';

export interface ValidateRequest {
  /** The folder of the built-in definitions. */
  readonly builtIn: string;
  /** The user's own. It need not exist. */
  readonly catalog: string;
  /** Absolute paths; when there are none, everything is checked. */
  readonly files: readonly string[];
}

/**
 * Checks definitions without a platform. A file is judged as part of the whole catalogue, as a user's own: what it needs
 * and consumes must be there, and it may replace a built-in one of its id.
 */
export async function validateCatalog({ builtIn, catalog, files }: ValidateRequest) {
  const present = await readFolders([
    { path: builtIn, origin: 'built-in' },
    { path: catalog, origin: 'user' },
  ]);
  const known = new Map(present.map((file) => [file.path, file]));
  const given = await Promise.all(files.map(async (path) => known.get(path) ?? (await readDefinition(path))));
  const all = [...present.filter(({ path }) => !files.includes(path)), ...given];
  const asked = new Set(given.length > 0 ? files : all.map(({ path }) => path));
  const { disabled } = buildCatalog(all);
  return {
    checked: asked.size,
    problems: disabled.filter(({ path }) => asked.has(path)).flatMap(({ problems }) => problems),
  };
}

async function readDefinition(path: string): Promise<DefinitionFile> {
  try {
    const text = await readFile(path, 'utf8');
    return { kind: kindOf(path, text), path, origin: 'user', text };
  } catch (error) {
    if (systemCode(error) === 'EISDIR') throw new Fault('BAD_REQUEST', `${path} is a folder. Name the files in it.`);
    if (systemCode(error) !== 'ENOENT') throw error;
    throw new Fault('NOT_FOUND', `There is no file ${path}.`, { cause: error });
  }
}

/** By its folder, as in a catalogue; elsewhere by the one key that only models have. */
function kindOf(path: string, text: string): DefinitionFile['kind'] {
  const folder = basename(dirname(path));
  if (folder === 'models' || folder === 'services') return folder === 'models' ? 'model' : 'service';
  return /^sources:/m.test(text) ? 'model' : 'service';
}
