import { expect, it } from 'vitest';
import { operationIds, operations } from '#contracts/operations';
import { routes } from './control.ts';

it('every declared operation is routed once, and no other', () => {
  expect(routes.map(({ id }) => id).sort()).toEqual([...operationIds].sort());
});

it('no two operations share a method and a path', () => {
  const addresses = Object.values(operations).map(({ method, path }) => `${method} ${path}`);
  expect(new Set(addresses).size).toBe(addresses.length);
});
