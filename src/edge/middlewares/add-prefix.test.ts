import { expect, it } from 'vitest';
import { addPrefix } from './add-prefix.ts';

it.each([
  ['/', '/api/'],
  ['/users/1', '/api/users/1'],
])('%s becomes %s', (path, expected) => expect(addPrefix('/api').path?.(path)).toBe(expected));
