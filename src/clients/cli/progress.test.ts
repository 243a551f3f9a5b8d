import { describe, expect, test } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { createMeter, drawBar, formatPull, formatWake, parseWake, progressLine } from './progress.ts';

const MiB = 2 ** 20;

function terminal(errTty: boolean, columns = 40) {
  const written: string[] = [];
  return { written, io: { err: (text: string) => void written.push(text), errTty, columns: () => columns } };
}

describe('the line', () => {
  test('is rewritten on a terminal, cut to its width, and taken away once', () => {
    const { io, written } = terminal(true, 10);
    const line = progressLine(io, fakeClock());
    line.clear();
    line.show('short', 'a');
    line.show('much longer than that', 'a');
    line.clear();
    line.clear();
    expect(written).toEqual(['\rshort\x1b[K', '\rmuch lon…\x1b[K', '\r\x1b[K']);
  });

  test('elsewhere is a line for each new topic, and one every few seconds', () => {
    const { io, written } = terminal(false);
    const clock = fakeClock();
    const line = progressLine(io, clock, 5_000);
    line.show('a 1', 'a');
    line.show('a 2', 'a');
    line.show('b 1', 'b');
    clock.advance(4_999);
    line.show('b 2', 'b');
    clock.advance(1);
    line.show('b 3', 'b');
    line.clear();
    expect(written).toEqual(['a 1\n', 'b 1\n', 'b 3\n']);
  });
});

test('a wake says only what is known', () => {
  expect(formatWake('x', { phase: 'starting' })).toBe('x: starting');
  expect(formatWake('x', { phase: 'queued', what: 'memory', percent: 41.7, position: 3, estimateMs: 90_000 })).toBe(
    'x: queued, memory, place 3 in the queue, 42 %, about 2 min',
  );
});

test('only a comment that tells a phase is progress', () => {
  expect(parseWake('{"phase":"starting","estimateMs":5}')).toEqual({ phase: 'starting', estimateMs: 5 });
  expect(parseWake('{"state":"queued"}')).toMatchObject({ phase: 'queued' });
  for (const other of ['keep-alive', '', '7', 'null', '{}', '{"phase":7}', '{']) expect(parseWake(other)).toBeNull();
});

describe('a pull', () => {
  const progress = { phase: 'downloading', what: 'a.gguf', done: 25 * MiB, total: 100 * MiB } as const;

  test('shows a bar, bytes, rate and the time left', () => {
    expect(formatPull(progress, 5 * MiB, 100)).toBe(
      'downloading a.gguf [########----------------------] 25 % 25 MiB of 100 MiB, 5 MiB/s, 15 s left',
    );
  });

  test('leaves the bar out where there is no room, and what needs a total where there is none', () => {
    expect(formatPull(progress, null, 40)).toBe('downloading a.gguf 25 % 25 MiB of 100 MiB');
    expect(formatPull({ phase: 'downloading', what: 'x', done: MiB }, MiB, 100)).toBe('downloading x 1 MiB, 1 MiB/s');
  });

  test('counts steps where they are no bytes', () => {
    expect(formatPull({ phase: 'installing', what: 'uv', done: 2, total: 5, unit: 'steps' }, null, 80)).toBe(
      'installing uv 2/5',
    );
  });

  test('a stalled one promises no end', () => {
    expect(formatPull(progress, 0, 100)).not.toContain('left');
  });

  test.each([
    [-1, '[----]'],
    [0.5, '[##--]'],
    [2, '[####]'],
  ])('a bar of %d', (part, bar) => expect(drawBar(part, 4)).toBe(bar));
});

describe('the meter', () => {
  test('tells the rate of the last seconds, so that a stall shows', () => {
    const clock = fakeClock();
    const meter = createMeter(clock, 5_000);
    expect(meter.rate(0)).toBeNull();
    clock.advance(1_000);
    expect(meter.rate(2_000)).toBe(2_000);
    for (let i = 0; i < 6; i++) {
      clock.advance(1_000);
      meter.rate(2_000);
    }
    expect(meter.rate(2_000)).toBe(0);
  });

  test('begins anew with the next file', () => {
    const clock = fakeClock();
    const meter = createMeter(clock);
    meter.rate(9_000);
    clock.advance(1_000);
    expect(meter.rate(10)).toBeNull();
  });
});
