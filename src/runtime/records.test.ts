import { expect, it } from 'vitest';
import type { Json } from '#contracts/driver';
import type { StateStore } from '#contracts/state';
import type { InstanceId } from '#kernel/ids';
import { unitId } from '#kernel/ids';
import { openRecords } from './records.ts';

it('regression: rows that are no records are dropped, and the others are there', () => {
  const rows = new Map<string, Json>();
  const table = <T extends Json>() => ({
    get: (key: string) => (rows.get(key) as T | undefined) ?? null,
    put: (key: string, value: T) => void rows.set(key, value),
    delete: (key: string) => void rows.delete(key),
    list: () => [...rows].map(([key, value]) => ({ key, value: value as T })),
  });
  const store: StateStore = { table, close: async () => undefined };
  const unit = unitId('service', 'x');
  const record = { id: 'i-1' as InstanceId, unit, handle: null, host: 'h', port: 1, key: 'k', startedAt: '' };
  const records = openRecords(store);
  records.put(record);
  const { key: _, ...keyless } = record;
  rows
    .set('a', null)
    .set('b', 'text')
    .set('c', {})
    .set('d', keyless)
    .set('e', { ...record, handle: 'text' });
  expect(records.list()).toEqual([record]);
  expect([...rows.keys()]).toEqual([unit]);
});
