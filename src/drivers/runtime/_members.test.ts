import { describe, expect, it } from 'vitest';
import { marker, membersOf, type Seen } from './_members.ts';
import { parseStat, type ProcessEntry } from './_procfs.ts';

const process = (pid: number, over: Partial<ProcessEntry> = {}): ProcessEntry => ({
  ...{ pid, state: 'S', parent: 1, group: pid, session: pid, startTicks: 1_000 + pid },
  ...over,
});
const root = { id: 'i-1', pid: 100, startTicks: 1_100 };

function scan(
  entries: readonly ProcessEntry[],
  marked: Readonly<Record<number, string>> = {},
  seen: Seen = new Map(),
  grouped: number[] = [],
) {
  const table = new Map(entries.map((entry) => [entry.pid, entry]));
  const variable = (entry: ProcessEntry, name: string) => (name === marker ? marked[entry.pid] : undefined);
  return membersOf(root, table, { variable }, seen, grouped).map(({ pid }) => pid);
}

describe('what belongs to an instance', () => {
  it('is its root, its session and its descendants, the root first', () => {
    const entries = [
      process(7),
      process(102, { parent: 101, session: 102 }),
      process(101, { parent: 100, session: 100 }),
      process(103, { session: 100 }),
      process(100),
    ];
    expect(scan(entries)).toEqual([100, 101, 102, 103]);
  });

  it('is a daemon with a session of its own, by its marker, but not one of another instance', () => {
    expect(scan([process(100), process(200), process(201)], { 200: 'i-1', 201: 'i-2' })).toEqual([100, 200]);
  });

  it('is a daemon that lost every tie and hides its environment, once it was seen', () => {
    const seen: Seen = new Map();
    scan([process(100), process(300, { parent: 100 })], {}, seen);
    expect(scan([process(300)], {}, seen)).toEqual([300]);
    expect(scan([process(300, { startTicks: 9_999 })], {}, seen)).toEqual([]);
  });

  it('is nothing that a stranger with its pid started', () => {
    const later = { startTicks: 5_000 };
    const entries = [process(100, later), process(101, { parent: 100, session: 100, ...later })];
    expect(scan(entries)).toEqual([]);
    expect(scan([...entries, process(400)], { 400: 'i-1' })).toEqual([400]);
  });

  it('is what is in its control group, with its children, though nothing else ties it to the instance', () => {
    const entries = [process(500), process(501, { parent: 500 }), process(502)];
    expect(scan(entries, {}, new Map(), [500, 999])).toEqual([500, 501]);
  });

  it('is nothing that has ended, though its children are', () => {
    expect(scan([process(100, { state: 'Z' }), process(101, { parent: 100 })])).toEqual([101]);
  });
});

describe('a line of the process table', () => {
  const fields = (state: string, flags: number) => `${state} 5 6 7 0 -1 ${flags} ${'0 '.repeat(12)}4242 8192 33`;

  it('is read behind the last bracket of the name', () => {
    expect(parseStat(`12 (a) R (b c) ${fields('S', 0)}`)).toEqual({
      ...{ pid: 12, state: 'S', parent: 5, group: 6, session: 7, startTicks: 4242 },
    });
  });

  it('is nothing for a thread of the kernel, or when it is no such line', () => {
    expect(parseStat(`2 (kthreadd) ${fields('S', 0x0020_8040)}`)).toBeNull();
    expect(parseStat('')).toBeNull();
  });
});
