import { realpath, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { Fault, systemCode } from '#kernel/faults';
import { scanFiles, scanFolder } from './folder.ts';
import { isHubCache, scanHuggingFace } from './huggingface.ts';
import { isOllamaStore, scanOllama } from './ollama.ts';
import type { Scan } from './scan.ts';

/** What is to be imported: a path, or the usual place of another program. */
export type ImportPlace =
  { readonly kind: 'path'; readonly path: string } | { readonly kind: 'ollama' } | { readonly kind: 'huggingface' };

export interface Scanned extends Scan {
  readonly root: string;
  readonly layout: 'ollama' | 'huggingface' | 'folder' | 'file';
}

type Env = Readonly<Record<string, string | undefined>>;

/** Finds the models of a place, whose layout is told by what is in it. Throws NOT_FOUND when it is not there. */
export async function scanPlace(place: ImportPlace, env: Env): Promise<Scanned> {
  if (place.kind === 'ollama') {
    const root = await firstOf(ollamaRoots(env), 'an Ollama store', 'OLLAMA_MODELS');
    return { root, layout: 'ollama', ...(await scanOllama(root)) };
  }
  if (place.kind === 'huggingface') {
    const root = await firstOf(hubRoots(env), 'a Hugging Face cache', 'HF_HOME');
    return { root, layout: 'huggingface', ...(await scanHuggingFace(root)) };
  }
  return scanPath(place.path);
}

async function scanPath(path: string): Promise<Scanned> {
  if (!isAbsolute(path)) throw new Fault('BAD_REQUEST', `"${path}" must be an absolute path.`, { param: 'path' });
  const root = await realpath(path).catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) {
      throw new Fault('NOT_FOUND', `There is nothing at ${path}.`, { param: 'path', cause: error });
    }
    if (systemCode(error) === 'EACCES') throw new Fault('FORBIDDEN', `${path} may not be read by this user.`);
    throw error;
  });
  if ((await stat(root)).isFile()) {
    // As a folder of one, so that a file is judged as it would be there; what lies beside it is no matter.
    const name = basename(root);
    const { found, skipped } = await scanFiles(dirname(root), [{ path: root, name }]);
    const none = found.length + skipped.length === 0;
    const why = 'it is no GGUF file by its name';
    return { root, layout: 'file', found, skipped: none ? [{ title: name, why }] : skipped };
  }
  for (const candidate of [root, join(root, 'models')]) {
    if (await isOllamaStore(candidate)) return { root: candidate, layout: 'ollama', ...(await scanOllama(candidate)) };
  }
  for (const candidate of [root, join(root, 'hub')]) {
    if (await isHubCache(candidate)) {
      return { root: candidate, layout: 'huggingface', ...(await scanHuggingFace(candidate)) };
    }
  }
  return { root, layout: 'folder', ...(await scanFolder(root)) };
}

/** Where Ollama keeps its models: what its variable says, the user's folder, that of its service on Linux. */
const ollamaRoots = (env: Env): readonly string[] => [
  ...(env['OLLAMA_MODELS'] ? [env['OLLAMA_MODELS']] : []),
  join(env['HOME'] ?? homedir(), '.ollama', 'models'),
  '/usr/share/ollama/.ollama/models',
];

/** https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables */
const hubRoots = (env: Env): readonly string[] => [
  ...(env['HF_HUB_CACHE'] ? [env['HF_HUB_CACHE']] : []),
  ...(env['HF_HOME'] ? [join(env['HF_HOME'], 'hub')] : []),
  join(env['XDG_CACHE_HOME'] ?? join(env['HOME'] ?? homedir(), '.cache'), 'huggingface', 'hub'),
];

async function firstOf(roots: readonly string[], what: string, variable: string): Promise<string> {
  for (const root of roots) {
    if ((await stat(root).catch(() => null))?.isDirectory()) return realpath(root);
  }
  const places = roots.join(', ');
  throw new Fault(
    'NOT_FOUND',
    `There is no ${what.replace(/^an? /, '')} at ${places}. Set ${variable}, or give its path.`,
  );
}
