import { describe, expect, it } from 'vitest';
import { decodeUnit } from '../api/decode.ts';
import type { Unit } from '../api/types.ts';
import { groupOf, inOrder, matches } from './filter.ts';

const unit = (id: string, extra = {}) => decodeUnit({ id, ...extra }) as Unit;

describe('matches', () => {
  const chroma = unit('service/chroma', {
    title: 'Chroma',
    category: 'vector-db',
    state: 'ready',
    leases: 1,
    pinned: true,
  });

  it('needs every word, in any field and any case', () => {
    expect(matches(chroma, 'CHROMA vector')).toBe(true);
    expect(matches(chroma, 'chroma workflow')).toBe(false);
    expect(matches(chroma, 'pinned busy')).toBe(true);
  });

  it('takes everything when nothing is asked', () => {
    expect(matches(chroma, '  ')).toBe(true);
  });
});

it('counts each unit under one of awake, failed, asleep', () => {
  const groups = ['ready', 'frozen', 'starting', 'stopping', 'backoff', 'quarantined', 'cold', 'disabled', 'odd'].map(
    (state) => groupOf(unit('service/a', { state })),
  );
  expect(groups).toEqual(['awake', 'awake', 'awake', 'awake', 'failed', 'failed', 'asleep', 'asleep', 'asleep']);
});

it('orders by title with numbers as numbers, whatever the state', () => {
  const titles = [
    unit('model/c', { title: 'Qwen 10B', state: 'ready' }),
    unit('model/b', { title: 'qwen 7B' }),
    unit('model/a', { title: 'Aya', state: 'cold' }),
  ];
  expect(inOrder(titles).map((it) => it.title)).toEqual(['Aya', 'qwen 7B', 'Qwen 10B']);
});
