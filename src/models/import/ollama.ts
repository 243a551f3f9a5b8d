import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ModelSource } from '#contracts/models';
import { isRecord } from '#kernel/json';
import { isSha256 } from '../names.ts';
import { word } from './scan.ts';
import type { FoundModel, Scan, Scanner, Skipped } from './scan.ts';
import { inside, walk } from './walk.ts';
import type { Walked } from './walk.ts';

const typeOf = (kind: string) => `application/vnd.ollama.image.${kind}`;
const publicRegistry = 'registry.ollama.ai';
/** A manifest has a handful of layers. */
const longestManifest = 2 ** 20;

/**
 * An Ollama store: `manifests/<registry>/<owner>/<name>/<tag>` lists layers by digest, `blobs/sha256-<hex>` has them
 * (https://github.com/ollama/ollama/blob/main/docs/faq.md#where-are-models-stored). Taken is the layer with the weights;
 * template and parameters are Ollama's own, the GGUF file has a chat template of itself.
 */
export const scanOllama: Scanner = async (root) => {
  const found: FoundModel[] = [];
  const skipped: Skipped[] = [];
  for (const manifest of await walk(join(root, 'manifests'))) {
    const model = await readModel(root, manifest);
    if ('why' in model) skipped.push(model);
    else found.push(model);
  }
  return { found, skipped } satisfies Scan;
};

async function readModel(root: string, { path, name }: Walked): Promise<FoundModel | Skipped> {
  const parts = name.split('/');
  const [registry = '', owner = '', model = '', tag = ''] = parts;
  if (parts.length !== 4 || [registry, owner, model, tag].includes('')) {
    return { title: name, why: 'it is not where a manifest would be (registry/owner/name/tag)' };
  }
  const title = `${registry === publicRegistry ? '' : `${registry}/`}${owner === 'library' ? '' : `${owner}/`}${model}:${tag}`;
  const layer = await weightsOf(root, path);
  if ('why' in layer) return { title, why: layer.why };
  const file = await inside(root, join(root, 'blobs', `sha256-${layer.sha256}`));
  if ('why' in file) return { title, why: file.why };
  const id = `${word(owner === 'library' ? model : `${owner}-${model}`)}:${word(tag)}`;
  const known: readonly ModelSource[] =
    registry === publicRegistry ? [{ kind: 'ollama', model: title, sha256: layer.sha256 }] : [];
  return { id, title, ...file, claimed: layer.sha256, origins: known };
}

async function weightsOf(root: string, path: string): Promise<{ readonly sha256: string } | { readonly why: string }> {
  const file = await inside(root, path);
  if ('why' in file) return file;
  if (file.bytes > longestManifest) return { why: 'its manifest is longer than a manifest can be' };
  const layers = layersOf(await readFile(file.path, 'utf8'));
  if (layers === null) return { why: 'its manifest is not one' };
  if (layers.some(({ type }) => type === typeOf('adapter'))) return { why: 'it needs an adapter beside its weights' };
  const weights = layers.filter(({ type }) => type === typeOf('model'));
  if (weights.length > 1) return { why: 'its weights are in several files, which is not supported' };
  const sha256 = weights[0]?.digest.replace(/^sha256:/, '') ?? '';
  return isSha256(sha256) ? { sha256 } : { why: 'its manifest lists no GGUF file with weights' };
}

function layersOf(text: string): readonly { readonly type: unknown; readonly digest: string }[] | null {
  try {
    const manifest: unknown = JSON.parse(text);
    if (!isRecord(manifest) || !Array.isArray(manifest['layers'])) return null;
    return manifest['layers'].filter(isRecord).map((layer) => ({
      type: layer['mediaType'],
      digest: String(layer['digest']),
    }));
  } catch {
    return null;
  }
}

/** Whether a folder is such a store. */
export const isOllamaStore = async (root: string): Promise<boolean> =>
  (await isFolder(join(root, 'manifests'))) && (await isFolder(join(root, 'blobs')));

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (facts) => facts.isDirectory(),
    () => false,
  );
