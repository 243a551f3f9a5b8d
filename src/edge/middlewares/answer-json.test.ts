import { expect, it } from 'vitest';
import { answerJson } from './answer-json.ts';

const changed = (options: Parameters<typeof answerJson>[0], body: Record<string, unknown>) => {
  answerJson(options).answerJson?.(body);
  return body;
};

it('renames, removes and sets fields, also those of each entry of a list', () => {
  const body = { id: 1, choices: [{ text: 'a', logprobs: 1 }, { text: 'b' }, 7], usage: { total: 3 } };
  const options = {
    rename: { 'choices.*.text': 'content' },
    remove: ['choices.*.logprobs', 'usage'],
    set: { 'by.whom': 'us' },
  };
  expect(changed(options, body)).toEqual({
    id: 1,
    choices: [{ content: 'a' }, { content: 'b' }, 7],
    by: { whom: 'us' },
  });
});

it('passes over what is not there, or is another thing', () => {
  expect(changed({ remove: ['a.b.c'], rename: { x: 'y' } }, { a: 1 })).toEqual({ a: 1 });
  expect(changed({ set: { 'a.b': 1 } }, { a: 'text' })).toEqual({ a: 'text' });
  expect(changed({ set: { 'a.*.b': 1 } }, {})).toEqual({});
});

it('hands each request a value of its own', () => {
  const { answerJson: change } = answerJson({ set: { tags: ['a'] } });
  const [one, other]: Record<string, unknown>[] = [{}, {}];
  change?.(one as object as Record<string, unknown>);
  (one?.tags as string[]).push('b');
  change?.(other as object as Record<string, unknown>);
  expect(other).toEqual({ tags: ['a'] });
});
