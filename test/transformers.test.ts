import { join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startEngine } from './_engine.ts';
import type { StartedEngine } from './_engine.ts';
import { startPlatform, testHome } from './_platform.ts';
import { prepared } from './_prepared.ts';

/**
 * The first numbers of the vector of "This is an example sentence", computed from the original 32-bit weights by a few lines of
 * NumPy that share nothing with what is tested. The model here has weights of 8 bits.
 */
const reference = [
  ...[0.0676569, 0.0634959, 0.0487131, 0.079305, 0.0374481, 0.0026528, 0.039375, -0.0070985],
  ...[0.0593614, 0.031537, 0.0600981, -0.0529052, 0.0406068, -0.0259308, 0.0298428, 0.0011269],
];

const dot = (a: readonly number[] = [], b: readonly number[] = []) =>
  a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);

let engine: StartedEngine | undefined;
const post = async (path: string, body: object, key = engine?.endpoint.key, url = engine?.endpoint.url) => {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${key ?? ''}` };
  const response = await fetch(`${url ?? ''}${path}`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ model: 'all-minilm', ...body }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
};
const vectors = async (...input: string[]) => {
  const { body } = await post('/v1/embeddings', { input });
  return (body['data'] as { embedding: number[] }[]).map(({ embedding }) => embedding);
};

beforeAll(async () => {
  const all = await prepared(testHome(), 'all-minilm');
  engine = await startEngine('transformers', { ...all, modelId: 'all-minilm', slots: 1, threads: 1 });
});
afterAll(() => engine?.stop());

describe('all-minilm', () => {
  it('makes the vector that the original makes, within what 8 bits leave', async () => {
    const [vector = []] = await vectors('This is an example sentence');
    expect(vector).toHaveLength(384);
    expect(dot(vector, vector)).toBeCloseTo(1, 5);
    for (const [i, value] of reference.entries()) expect(Math.abs((vector[i] ?? NaN) - value)).toBeLessThan(0.01);
  });

  it('puts like near to like', async () => {
    const [cat, alike, other] = await vectors(
      'The cat sleeps on the sofa.',
      'A cat is sleeping on a couch.',
      'Interest rates rose in March.',
    );
    expect(dot(cat, alike)).toBeGreaterThan(0.8);
    expect(Math.abs(dot(cat, other))).toBeLessThan(0.2);
  });

  it('ranks documents', async () => {
    const documents = ['Bread is baked from flour.', 'Cats are small animals that purr.', 'Rates rose in March.'];
    const { status, body } = await post('/v1/rerank', { query: 'Which pet purrs?', documents, top_n: 2 });
    expect(status).toBe(200);
    const results = body['results'] as { index: number; relevance_score: number }[];
    expect(results).toHaveLength(2);
    expect(results[0]?.index).toBe(1);
    expect(results[0]?.relevance_score).toBeGreaterThan(0.4);
    expect(results[1]?.relevance_score).toBeLessThan(results[0]?.relevance_score ?? 0);
  });

  it('refuses what is too long, what it does not know, and a wrong key', async () => {
    const long = await post('/v1/embeddings', { input: 'word '.repeat(300) });
    expect(long).toMatchObject({ status: 400, body: { error: { code: 'context_length_exceeded' } } });
    expect(await post('/v1/rerank', { query: 'a' })).toMatchObject({
      status: 400,
      body: { error: { param: 'documents' } },
    });
    expect(await post('/v1/chat/completions', {})).toMatchObject({ status: 404 });
    expect(await post('/v1/embeddings', { input: 'a' }, 'sk-wrong')).toMatchObject({ status: 401 });
  });
});

/**
 * What Python's onnxruntime and tokenizers make of the same file (fixtures/cross-encoder.py). Its weights are drawn: the documents
 * are in no order that makes sense, and in the same one.
 */
const crossEncoder = join(import.meta.dirname, 'fixtures/cross-encoder.onnx');
const query = 'Which pet purrs?';
const scored = [
  ['Bread is baked from flour.', 0.8954499099511201, 13],
  ['Cats are small animals that purr.', 0.8712893397171667, 14],
  ['Rates rose in March.', 0.8667730594468368, 12],
] as const;
const documents = scored.map(([text]) => text);

describe('a cross-encoder', () => {
  let ranker: StartedEngine | undefined;
  beforeAll(async () => {
    const { environment } = await prepared(testHome(), 'all-minilm');
    const shape = { modelId: 'tiny-ranker', slots: 1, threads: 1, context: 64 };
    ranker = await startEngine('transformers', { environment, modelPath: crossEncoder, ...shape });
  });
  afterAll(() => ranker?.stop());
  const ask = (path: string, body: object) => post(path, body, ranker?.endpoint.key, ranker?.endpoint.url);

  it('gives each document the score that it has in Python', async () => {
    // Their order must not matter.
    const { status, body } = await ask('/v1/rerank', { query, documents: [...documents].reverse() });
    expect(status).toBe(200);
    const results = body['results'] as { index: number; relevance_score: number }[];
    expect(results.map(({ index }) => index)).toEqual([2, 1, 0]);
    for (const [i, [, score]] of scored.entries()) expect(results[i]?.relevance_score).toBeCloseTo(score, 5);
    const tokens = scored.reduce((sum, [, , count]) => sum + count, 0);
    expect(body['usage']).toEqual({ prompt_tokens: tokens, total_tokens: tokens });
  });

  it('reads the question with each document: together they must fit, and it makes no vectors', async () => {
    expect(await ask('/v1/rerank', { query, documents: ['cat', 'cat '.repeat(80)] })).toMatchObject({
      ...{ status: 400, body: { error: { code: 'context_length_exceeded', param: 'documents[1]' } } },
    });
    expect(await ask('/v1/embeddings', { input: 'cat' })).toMatchObject({
      ...{ status: 400, body: { error: { code: 'model_not_supported', param: 'model' } } },
    });
  });
});

it('a cross-encoder of the catalogue ranks through the door, and is not woken for vectors', async () => {
  const definition = `id: tiny-ranker
name: Tiny ranker
summary: Ranks
engine: transformers
kinds: [rerank]
context: 256
slots: 1
size: 14KiB
sources: [{ file: { path: '${crossEncoder}' } }]
`;
  const platform = await startPlatform({ catalog: { 'models/tiny-ranker.yaml': definition } });
  const ask = (path: string, body: object) =>
    platform.fetch(path, { method: 'POST', body: JSON.stringify({ model: 'tiny-ranker', ...body }) });
  try {
    const refused = await ask('/v1/embeddings', { input: 'cat' });
    expect([refused.status, await refused.text()]).toEqual([
      ...[501, expect.stringContaining('tiny-ranker cannot do that: it provides jina.rerank')],
    ]);
    expect((await platform.unit('tiny-ranker')).state).toBe('cold');
    const ranked = await ask('/v2/rerank', { query, documents, top_n: 2 });
    const { results } = (await ranked.json()) as { results: { index: number; relevance_score: number }[] };
    expect(results.map(({ index }) => index)).toEqual([0, 1]);
    expect(results[0]?.relevance_score).toBeCloseTo(scored[0][1], 5);
    const told = (await (await platform.fetch('/v1/models/tiny-ranker')).json()) as { capabilities: string[] };
    expect(told.capabilities).toEqual(['rerank']);
  } finally {
    await platform.stop();
  }
});

it('is woken through the door, and weighed', async () => {
  const platform = await startPlatform();
  try {
    const client = new OpenAI({ apiKey: platform.key, baseURL: `${platform.url}/v1`, maxRetries: 0 });
    const { data } = await client.embeddings.create({ model: 'all-minilm', input: ['one', 'two'] });
    expect(data.map(({ embedding }) => embedding.length)).toEqual([384, 384]);
    await platform.untilState('all-minilm', 'ready');
    const ranked = await platform.fetch('/v1/rerank', {
      method: 'POST',
      body: JSON.stringify({
        ...{ model: 'all-minilm', query: 'What do cats eat?', top_n: 2, return_documents: true },
        documents: ['The stock market fell.', 'Cats like fish and mice.', 'Cats sleep all day.'],
      }),
    });
    const { results } = (await ranked.json()) as { results: { index: number; document: { text: string } }[] };
    expect(results.map(({ index }) => index)).toEqual([1, 2]);
    expect(results[0]?.document.text).toBe('Cats like fish and mice.');
  } finally {
    await platform.stop();
  }
});
