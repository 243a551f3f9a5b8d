import { expect, it } from 'vitest';
import { requestJson } from './request-json.ts';

const changed = (options: Parameters<typeof requestJson>[0], body: Record<string, unknown>) => {
  requestJson(options).requestJson?.(body);
  return body;
};

it('fills in what is left out, and leaves what is said, null excepted', () => {
  const options = { defaults: { temperature: 0.2, 'a.b': 1 } };
  expect(changed(options, {})).toEqual({ temperature: 0.2, a: { b: 1 } });
  expect(changed(options, { temperature: 0, a: { b: 2 } })).toEqual({ temperature: 0, a: { b: 2 } });
  expect(changed(options, { temperature: null })).toMatchObject({ temperature: 0.2 });
});

it('brings numbers within bounds, after everything else', () => {
  const options = { rename: { max: 'max_tokens' }, max: { max_tokens: 200 }, min: { n: 1 } };
  expect(changed(options, { max: 5_000, n: 0 })).toEqual({ max_tokens: 200, n: 1 });
  expect(changed(options, { max: 10 })).toEqual({ max_tokens: 10 });
  expect(changed({ defaults: { a: 9 }, max: { a: 5 } }, {})).toEqual({ a: 5 });
});

it('refuses what is bounded and is no number', () => {
  expect(() => changed({ max: { max_tokens: 200 } }, { max_tokens: '5000' })).toThrow('max_tokens must be a number');
});
