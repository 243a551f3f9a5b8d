import type { Json } from '../llama/json.ts';
import { flag, ignored, list, number, object, parse, required, text, type Field } from '../llama/params.ts';
import { bodyObject } from '../llama/sampling.ts';

/** Jina's and Cohere's bound on one request. */
const maxDocuments = 2048;

const document: Field<string> = (value, param) => {
  if (typeof value === 'string') return value;
  return required(parse(object(value, param), { text }, `${param}.`).text, `${param}.text`);
};

const fields = {
  model: text,
  query: text,
  documents: list(document, { min: 1, max: maxDocuments }),
  top_n: number({ min: 1, integer: true }),
  return_documents: flag,
  user: ignored,
} as const;

export interface RerankRequest {
  readonly query: string;
  readonly documents: readonly string[];
  readonly topN: number;
  readonly returnDocuments: boolean;
}

export function parseRerank(body: Json): RerankRequest {
  const params = parse(bodyObject(body), fields);
  required(params.model, 'model');
  const documents = required(params.documents, 'documents');
  return {
    query: required(params.query, 'query'),
    documents,
    topN: Math.min(params.top_n ?? documents.length, documents.length),
    returnDocuments: params.return_documents ?? false,
  };
}

/**
 * How near vectors are to the query's: cosines, and 0 where the two point away from each other, since in both forms of the
 * API scores run from 0 to 1.
 */
export const nearness = (query: readonly number[], vectors: readonly (readonly number[])[]): readonly number[] =>
  vectors.map((vector) => Math.max(0, dot(query, vector)));

/** The documents by their scores, which stand in the documents' order; the best first. */
export function rerankAnswer(
  model: string,
  { documents, topN, returnDocuments }: RerankRequest,
  scores: readonly number[],
  promptTokens: number,
) {
  const results = scores
    .map((score, index) => ({ index, relevance_score: score }))
    .sort((a, b) => b.relevance_score - a.relevance_score || a.index - b.index)
    .slice(0, topN)
    .map((result) => (returnDocuments ? { ...result, document: { text: documents[result.index] ?? '' } } : result));
  return { model, object: 'list', usage: { prompt_tokens: promptTokens, total_tokens: promptTokens }, results };
}

const dot = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);
