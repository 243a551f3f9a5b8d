import { expect, it } from 'vitest';
import { lastingSecret, newSeed } from './lasting.ts';

it('makes the same secret of the same names and seed, and another one of anything else', () => {
  const seed = newSeed();
  const one = lastingSecret(seed, 'postgres', 'n8n');
  expect(one).toMatch(/^[0-9a-f]{64}$/);
  expect(lastingSecret(seed, 'postgres', 'n8n')).toBe(one);
  const others = [
    lastingSecret(seed, 'postgres'),
    lastingSecret(seed, 'postgresn8n'),
    lastingSecret(seed, 'n8n', 'postgres'),
    lastingSecret(newSeed(), 'postgres', 'n8n'),
  ];
  expect(new Set([one, ...others]).size).toBe(5);
});
