import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fit, painter, printable } from './style.ts';
import { renderTable } from './table.ts';
import type { Column } from './table.ts';

const plain = painter(false, {});
const columns: readonly Column<readonly string[]>[] = [
  { title: 'A', value: (row) => row[0] ?? '' },
  { title: 'B', align: 'right', value: (row) => row[1] ?? '', colour: () => 'red' },
  { title: 'C', value: (row) => row[2] ?? '' },
];

test('columns stand under their titles', () => {
  const rows = [
    ['long name', '1', 'x'],
    ['y', '1000', ''],
  ];
  expect(renderTable(columns, rows, { width: 80, paint: plain })).toBe(
    ['A             B  C', 'long name     1  x', 'y          1000', ''].join('\n'),
  );
});

test('colours take no room', () => {
  const painted = renderTable(columns, [['a', '1', 'c']], { width: 80, paint: painter(true, {}) });
  expect(painted.replace(/\x1b\[\d+m/g, '')).toBe(renderTable(columns, [['a', '1', 'c']], { width: 80, paint: plain }));
  expect(painted).toContain('\x1b[31m1\x1b[0m');
});

test('property: every row is one line, and none is wider than asked where there is room', () => {
  const cell = fc.string({ unit: fc.constantFrom('a', ' ', '\n', '\x1b', 'é'), maxLength: 12 });
  fc.assert(
    fc.property(fc.array(fc.tuple(cell, cell, fc.string({ maxLength: 200 }))), (rows) => {
      const lines = renderTable(columns, rows, { width: 60, paint: plain }).split('\n');
      expect(lines).toHaveLength(rows.length + 2);
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(60);
    }),
  );
});

test('what others wrote cannot steer the terminal', () => {
  expect(printable('a\x1b[2Jb\x07\n\tc\x9b')).toBe('a[2Jb\n\tc');
  expect(fit('a\r\n b   c', 4)).toBe('a b…');
});

test.each([
  [true, {}, true],
  [true, { NO_COLOR: '' }, true],
  [true, { NO_COLOR: '1' }, false],
  [true, { TERM: 'dumb' }, false],
  [false, {}, false],
])('terminal %s, environment %j: colours %s', (tty, env, on) => {
  expect(painter(tty, env)('red', 'x') !== 'x').toBe(on);
});
