import { expect, it } from 'vitest';
import { stripPrefix } from './strip-prefix.ts';

it.each([
  ['/manual', '/'],
  ['/manual/', '/'],
  ['/manual/a//b', '/a//b'],
  ['/manuals/a', '/manuals/a'],
  ['/other', '/other'],
])('%s becomes %s', (path, expected) => expect(stripPrefix('/manual').path?.(path)).toBe(expected));
