import { createHash } from 'node:crypto';
import { templateFor } from './templates.ts';
import type { View, ViewedModel } from './view.ts';

const manifestType = 'application/vnd.docker.distribution.manifest.v2+json';
const configType = 'application/vnd.docker.container.image.v1+json';
const layerType = (kind: string) => `application/vnd.ollama.image.${kind}`;

/**
 * Ollama's store: point OLLAMA_MODELS at the view. A manifest lists a configuration and layers by digest; the layer with
 * the weights is a hard link to the blob. A template is added for the chat formats that are known: Ollama does not read
 * the one in the GGUF file when it serves.
 */
export const ollamaView: View = {
  kind: 'ollama',
  layout(model) {
    const { id, sha256, bytes, header } = model;
    const [name = id, tag = 'latest'] = id.split(':');
    const template = templateFor(header.metadata.text('tokenizer.chat_template'));
    const small = [
      { type: configType, content: configOf(model) },
      ...(template === null ? [] : [{ type: layerType('template'), content: template }]),
    ].map(({ type, content }) => ({ type, content, digest: digestOf(content), size: Buffer.byteLength(content) }));
    const [config, ...others] = small.map(({ type, digest, size }) => descriptor(type, digest, size));
    const layers = [descriptor(layerType('model'), sha256, bytes), ...others];
    const manifest = { schemaVersion: 2, mediaType: manifestType, config, layers };
    const path = `manifests/registry.ollama.ai/library/${name}/${tag}`;
    return {
      main: path,
      links: [`blobs/sha256-${sha256}`],
      files: [
        ...small.map(({ digest, content }) => ({ path: `blobs/sha256-${digest}`, content })),
        { path, content: JSON.stringify(manifest) },
      ],
      symlinks: [],
    };
  },
};

const descriptor = (mediaType: string, digest: string, size: number) => ({
  mediaType,
  digest: `sha256:${digest}`,
  size,
});

const digestOf = (content: string): string => createHash('sha256').update(content).digest('hex');

function configOf({ sha256, header }: ViewedModel): string {
  return JSON.stringify({
    model_format: 'gguf',
    model_family: header.architecture,
    model_families: [header.architecture],
    model_type: sizeLabel(header.parameters),
    file_type: header.quantization ?? 'unknown',
    architecture: 'amd64',
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: [`sha256:${sha256}`] },
  });
}

/** `134.52M`, `1.2B`, as Ollama writes it. */
const sizeLabel = (parameters: number): string =>
  parameters >= 1e9 ? `${(parameters / 1e9).toFixed(1)}B` : `${(parameters / 1e6).toFixed(2)}M`;
