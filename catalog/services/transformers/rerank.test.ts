import { describe, expect, it } from 'vitest';
import { pooled } from './model.ts';
import { nearness, parseRerank, rerankAnswer } from './rerank.ts';

const body = { model: 'm', query: 'q', documents: ['far', { text: 'near' }, 'away'] };

describe('rerank', () => {
  it('takes documents as texts and as objects, and gives them all without top_n', () => {
    expect(parseRerank(body)).toEqual({
      ...{ query: 'q', documents: ['far', 'near', 'away'], topN: 3, returnDocuments: false },
    });
    expect(parseRerank({ ...body, top_n: 9 }).topN).toBe(3);
  });

  it.each([
    [{ ...body, query: undefined }, 'query'],
    [{ ...body, documents: [] }, 'documents'],
    [{ ...body, documents: [{ txt: 'a' }] }, "documents[0].txt. Did you mean 'documents[0].text'"],
    [{ ...body, top_n: 0 }, 'top_n'],
    [{ ...body, rank_fields: ['a'] }, 'rank_fields'],
  ])('refuses %j by name', (wrong, name) => {
    expect(() => parseRerank(wrong)).toThrow(name);
  });

  it('puts the nearest first, with their places in the request', () => {
    const request = parseRerank({ ...body, top_n: 2, return_documents: true });
    const vectors = [
      [0.6, 0.8],
      [1, 0],
      [-1, 0],
    ];
    const scores = nearness([1, 0], vectors);
    expect(rerankAnswer('m', request, scores, 7)).toEqual({
      ...{ model: 'm', object: 'list', usage: { prompt_tokens: 7, total_tokens: 7 } },
      results: [
        { index: 1, relevance_score: 1, document: { text: 'near' } },
        { index: 0, relevance_score: 0.6, document: { text: 'far' } },
      ],
    });
    expect(rerankAnswer('m', parseRerank(body), scores, 7).results.at(-1)).toEqual({
      ...{ index: 2, relevance_score: 0 },
    });
  });
});

it('the vector of a text is the mean of its tokens, or the one that the model gives', () => {
  const data = Float32Array.from([1, 2, 3, 4]);
  expect(pooled({ dims: [1, 2, 2], data })).toEqual([2, 3]);
  expect(pooled({ dims: [1, 4], data })).toEqual([1, 2, 3, 4]);
  expect(() => pooled({ dims: [1, 3, 2], data })).toThrow('1 x 3 x 2');
});
