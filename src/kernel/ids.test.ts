import { expect, it } from 'vitest';
import {
  newInstanceId,
  newSecret,
  newTraceId,
  newWaiterId,
  originalOf,
  parseUnitId,
  replicaId,
  replicaOf,
  unitId,
} from './ids.ts';

it('reads back the units it names, slashes and colons in them included', () => {
  expect(unitId('model', 'smollm2:135m')).toBe('model/smollm2:135m');
  expect(parseUnitId(unitId('service', 'a/b'))).toEqual({ kind: 'service', name: 'a/b' });
});

it('names the copies of a unit, and finds the unit again', () => {
  const unit = unitId('model', 'smollm2:135m');
  expect(replicaId(unit, 2)).toBe('model/smollm2:135m~2');
  expect([unit, replicaId(unit, 12)].map(originalOf)).toEqual([unit, unit]);
  expect([unit, replicaId(unit, 12)].map(replicaOf)).toEqual([1, 12]);
});

it('makes ids in their forms, no two alike', () => {
  expect(newInstanceId()).toMatch(/^i-[0-9a-f]{16}$/);
  expect(newTraceId()).toMatch(/^[0-9a-f]{32}$/);
  expect(newSecret('sk-')).toMatch(/^sk-[\w-]{43}$/);
  for (const make of [newInstanceId, newWaiterId, newTraceId]) expect(make()).not.toBe(make());
});
