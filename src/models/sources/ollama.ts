import type { ModelSource } from '#contracts/models';
import { Fault } from '#kernel/faults';
import { download } from '../download.ts';
import { shown, transportFault } from '../http.ts';
import type { HttpReply } from '../http.ts';
import { isSha256 } from '../names.ts';
import type { FetchSource, SourceContext } from './context.ts';
import { deadlined } from './deadline.ts';

const registry = 'https://registry.ollama.ai';
const manifestType = 'application/vnd.docker.distribution.manifest.v2+json';
const modelType = 'application/vnd.ollama.image.model';
/** A manifest has a handful of layers: a longer answer is something else. */
const longestManifest = 2 ** 20;

/**
 * The weights of a model of the Ollama registry, or of the one that `OLLAMA_REGISTRY` names. It speaks the protocol of
 * container registries (https://distribution.github.io/distribution/spec/api/): a manifest by name and tag lists layers
 * by digest, and the one of Ollama's model type is the GGUF file.
 */
export const fetchOllama: FetchSource<Extract<ModelSource, { kind: 'ollama' }>> = async (source, context) => {
  const { repository, tag } = parseModel(source.model);
  const base = baseUrl(context.env['OLLAMA_REGISTRY'] || registry);
  const manifest = new URL(`/v2/${repository}/manifests/${tag}`, base);
  context.onProgress({ phase: 'resolving', what: source.model, done: 0, unit: 'bytes' });
  const layer = modelLayer(await readManifest(manifest, context), manifest);
  if (source.sha256 && layer.sha256 !== source.sha256) {
    throw new Fault(
      'UPSTREAM_FAILED',
      `${shown(manifest)} lists another file now: its SHA-256 is ${layer.sha256} and the definition says ${source.sha256}.`,
      { source: 'upstream', details: { expected: source.sha256, actual: layer.sha256 } },
    );
  }
  const url = new URL(`/v2/${repository}/blobs/sha256:${layer.sha256}`, base);
  return download({ url, what: source.model, ...layer }, context);
};

/** `smollm2:135m` is `library/smollm2` with the tag `135m`; without a tag it is `latest`. */
export function parseModel(model: string): { readonly repository: string; readonly tag: string } {
  const match = /^(?:([\w.-]+)\/)?([\w.-]+)(?::([\w.-]+))?$/.exec(model);
  if (!match)
    throw new Fault(
      'BAD_REQUEST',
      `"${model}" is not a model of the Ollama registry: write name:tag or owner/name:tag.`,
    );
  return { repository: `${match[1] ?? 'library'}/${match[2]}`, tag: match[3] ?? 'latest' };
}

function baseUrl(endpoint: string): URL {
  const url = URL.parse(endpoint.includes('://') ? endpoint : `https://${endpoint}`);
  if (url && ['http:', 'https:'].includes(url.protocol)) return url;
  throw new Fault('BAD_REQUEST', 'OLLAMA_REGISTRY must be a host or an address that begins with http:// or https://.');
}

async function readManifest(url: URL, context: SourceContext): Promise<unknown> {
  return deadlined(context, `${url.host} did not answer`, async (signal) => {
    const reply = await context.http.ask(url, { headers: { accept: manifestType }, signal });
    try {
      if (reply.status === 404)
        throw new Fault('NOT_FOUND', `${shown(url)} does not exist (404).`, { source: 'upstream' });
      if (reply.status !== 200) throw failed(url, `answers ${reply.status}`);
      return parseJson(await readText(reply, url), url);
    } catch (error) {
      throw transportFault(error, url, signal);
    } finally {
      reply.discard();
    }
  });
}

async function readText(reply: HttpReply, url: URL): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of reply.body) {
    chunks.push(chunk as Uint8Array);
    bytes += (chunk as Uint8Array).length;
    if (bytes > longestManifest) throw failed(url, 'answers with more than a manifest can hold');
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseJson(text: string, url: URL): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Fault('UPSTREAM_FAILED', `${shown(url)} answers with something that is not JSON.`, {
      cause: error,
      source: 'upstream',
    });
  }
}

function modelLayer(manifest: unknown, url: URL): { readonly sha256: string; readonly bytes: number } {
  const layers = property(manifest, 'layers');
  for (const layer of Array.isArray(layers) ? (layers as readonly unknown[]) : []) {
    if (property(layer, 'mediaType') !== modelType) continue;
    const sha256 = String(property(layer, 'digest')).replace(/^sha256:/, '');
    const bytes = Number(property(layer, 'size'));
    if (isSha256(sha256) && Number.isSafeInteger(bytes) && bytes > 0) return { sha256, bytes };
  }
  throw failed(url, 'lists no layer with weights');
}

const property = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>)[key] : undefined;

const failed = (url: URL, reason: string): Fault =>
  new Fault('UPSTREAM_FAILED', `${shown(url)} ${reason}.`, { source: 'upstream' });
