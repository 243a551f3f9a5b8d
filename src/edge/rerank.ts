import { isRecord } from '#kernel/json';
import { askWhole } from './engine-call.ts';
import { parseObject, readBody, sendJson } from './exchange.ts';
import type { Exchange } from './exchange.ts';
import { bad, flag, given, ignored, list, number, read, refused, required, text } from './fields.ts';
import type { Field } from './fields.ts';
import { timingHeader } from './headers.ts';
import { inManner } from './models.ts';
import type { ModelChoice } from './models.ts';
import type { OpenaiDeps } from './openai.ts';

/** A text, or an object with one, as both Cohere and Jina take them. */
const document: Field<string> = (value, param) =>
  typeof value === 'string' ? value : required(read(value, { text }, `${param}.`).text, `${param}.text`);

const fields = {
  model: text,
  query: text,
  documents: list(document, 1),
  top_n: number({ min: 1, integer: true }),
  return_documents: flag,
  max_chunks_per_doc: refused('a document is taken whole'),
  max_tokens_per_doc: refused('a document is taken whole'),
  rank_fields: refused('documents are texts'),
  truncation: refused('what is too long is refused, and never cut', false),
  priority: ignored,
  user: ignored,
} as const;

export interface RerankCall {
  readonly model: string;
  readonly query: string;
  readonly documents: readonly string[];
  readonly top: number;
  readonly withDocuments: boolean;
}

export function rerankCall(body: unknown): RerankCall {
  const params = read(body, fields);
  const documents = required(params.documents, 'documents');
  return {
    model: required(params.model, 'model'),
    query: required(params.query, 'query'),
    documents,
    top: Math.min(params.top_n ?? documents.length, documents.length),
    withDocuments: params.return_documents ?? false,
  };
}

/** The answer in the form that Cohere's and Jina's clients share. The best comes first, and no more than asked for. */
export function rankedAnswer(answer: Readonly<Record<string, unknown>>, call: RerankCall, id: string) {
  const { model, documents, top, withDocuments } = call;
  const results = Array.isArray(answer.results) ? (answer.results as unknown[]).filter(isRecord) : [];
  const ranked = results
    .map(({ index, relevance_score: score }) => ({ index: Number(index), relevance_score: Number(score) }))
    .filter(({ index }) => index in documents)
    .sort((a, b) => b.relevance_score - a.relevance_score)
    .slice(0, top);
  const told = ranked.map((one) => (withDocuments ? { ...one, document: { text: documents[one.index] } } : one));
  return given({
    id,
    model,
    object: 'list',
    results: told,
    usage: answer.usage,
    meta: { api_version: { version: '2' } },
  });
}

export async function handleRerank(exchange: Exchange, deps: OpenaiDeps): Promise<void> {
  const call = rerankCall(parseObject(await readBody(exchange, deps.limits().body)));
  if (call.query === '') throw bad('query', 'query is empty.');
  const { query, documents } = call;
  const { answer, timing } = await askWhole(
    exchange,
    {
      choices: deps.models.choose(call.model, 'jina.rerank'),
      path: '/v1/rerank',
      body: (choice: ModelChoice) => inManner({ query, documents }, choice, 'jina.rerank'),
    },
    deps,
  );
  sendJson(exchange, 200, rankedAnswer(answer, call, exchange.traceId), timingHeader(timing));
}
