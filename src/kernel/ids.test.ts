import { expect, it } from 'vitest';
import { newInstanceId, newSecret, newTraceId, newWaiterId, parseUnitId, unitId } from './ids.ts';

it('reads back the units it names, slashes and colons in them included', () => {
  expect(unitId('model', 'smollm2:135m')).toBe('model/smollm2:135m');
  expect(parseUnitId(unitId('service', 'a/b'))).toEqual({ kind: 'service', name: 'a/b' });
});

it('makes ids in their forms, no two alike', () => {
  expect(newInstanceId()).toMatch(/^i-[0-9a-f]{16}$/);
  expect(newTraceId()).toMatch(/^[0-9a-f]{32}$/);
  expect(newSecret('sk-')).toMatch(/^sk-[\w-]{43}$/);
  for (const make of [newInstanceId, newWaiterId, newTraceId]) expect(make()).not.toBe(make());
});
