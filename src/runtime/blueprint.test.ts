import { expect, it } from 'vitest';
import { fill, fillAll } from './blueprint.ts';

const values = { port: '1', 'openai.url': 'http://x/v1' };

it('fills in what is known, and leaves other braces alone', () => {
  expect(fill('--port={port} {openai.url} {"a":{1}} ${x} {}', { ...values, x: 'y' }, 'here')).toBe(
    '--port=1 http://x/v1 {"a":{1}} $y {}',
  );
  expect(fillAll({ A: '{port}' }, values, 'env')).toEqual({ A: '1' });
});

it.each(['{prot}', '{constructor}', '{toString}'])('regression: %s is not known, and the place is named', (text) => {
  expect(() => fill(text, values, 'service/x: command[1]')).toThrow(/^service\/x: command\[1\]: nothing is known as/);
});
