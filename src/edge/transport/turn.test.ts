import { expect, it } from 'vitest';
import { atTurnsEnd } from './turn.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

it('does what came up in a turn at its end, in order, and what that brings up at the end of the next', async () => {
  const done: string[] = [];
  atTurnsEnd(() => {
    done.push('one');
    atTurnsEnd(() => done.push('three'));
  });
  atTurnsEnd(() => done.push('two'));
  await Promise.resolve();
  expect(done).toEqual([]);
  await turn();
  expect(done).toEqual(['one', 'two']);
  await turn();
  expect(done).toEqual(['one', 'two', 'three']);
});
