import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { createLogs, plain } from './logs.ts';

function setup(maxBytes?: number) {
  const dir = mkdtempSync(join(tmpdir(), 'sutaz-logs-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const file = join(dir, 'x.log');
  const clock = fakeClock();
  const logs = createLogs({ clock, ...(maxBytes !== undefined && { maxBytes }) });
  const follow = (lines?: number) => {
    const controller = new AbortController();
    onTestFinished(() => controller.abort());
    const iterator = logs
      .follow(file, { signal: controller.signal, ...(lines !== undefined && { lines }) })
      [Symbol.asyncIterator]();
    const take = async (count: number) => {
      const taken: string[] = [];
      while (taken.length < count) {
        const next = iterator.next();
        // The watch of the system may be late or absent: the clock's look comes to its aid until the line is there.
        const nudge = setInterval(() => clock.advance(500), 5);
        const { value, done } = await next.finally(() => clearInterval(nudge));
        if (done) break;
        taken.push(value);
      }
      return taken;
    };
    return { take, iterator, controller };
  };
  return { file, clock, logs, follow, write: (text: string) => appendFileSync(file, text) };
}

describe('tail', () => {
  it('is empty for a file that is not there, or for no lines', async () => {
    const { logs, file, write } = setup();
    expect(await logs.tail(file, 5)).toEqual([]);
    write('a\n');
    expect(await logs.tail(file, 0)).toEqual([]);
  });

  it('gives the last lines of any text, whatever their length, and goes on in the part that was cut off', async () => {
    const { logs, file } = setup();
    const line = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 20 }),
      fc.nat(90_000).map((n) => 'é'.repeat(n / 2)),
    );
    const text = fc.array(
      line.map((one) => one.replaceAll('\n', '')),
      { minLength: 1, maxLength: 8 },
    );
    await fc.assert(
      fc.asyncProperty(
        text,
        text,
        fc.integer({ min: 1, max: 20 }),
        fc.boolean(),
        async (older, newer, count, ended) => {
          writeFileSync(`${file}.1`, `${older.join('\n')}\n`);
          writeFileSync(file, newer.join('\n') + (ended || newer.at(-1) === '' ? '\n' : ''));
          expect(await logs.tail(file, count)).toEqual([...older, ...newer].slice(-count));
        },
      ),
      { numRuns: 40 },
    );
  });

  it('reads no more of a large log than it needs', async () => {
    const { logs, file } = setup();
    writeFileSync(file, `${'x'.repeat(3 * 2 ** 20)}\nlast\n`);
    expect(await logs.tail(file, 1)).toEqual(['last']);
    const [long] = await logs.tail(file, 2);
    expect(long?.length).toBeLessThanOrEqual(2 * 2 ** 20);
  });
});

describe('bound', () => {
  it('cuts what has grown too large, once, and keeps it beside', async () => {
    const { logs, file, write } = setup(100);
    expect(await logs.bound(file)).toBe(false);
    write('a'.repeat(100));
    expect(await logs.bound(file)).toBe(false);
    write('b\n');
    expect(await logs.bound(file)).toBe(true);
    expect(await logs.bound(file)).toBe(false);
    expect(statSync(file).size).toBe(0);
    expect(readFileSync(`${file}.1`, 'utf8')).toBe(`${'a'.repeat(100)}b\n`);
    expect(existsSync(`${file}.2`)).toBe(false);
  });
});

describe('follow', () => {
  it('gives what is there and then what comes, whole lines only', async () => {
    const { write, follow } = setup();
    write('1\n2\n3\nunfin');
    const { take } = follow(2);
    expect(await take(2)).toEqual(['2', '3']);
    write('ished\nfive\n');
    expect(await take(2)).toEqual(['unfinished', 'five']);
  });

  it('waits for a file that is not there yet', async () => {
    const { write, follow } = setup();
    const { take } = follow(10);
    const taking = take(1);
    write('first\n');
    expect(await taking).toEqual(['first']);
  });

  it('loses and repeats nothing over a cut, even of a line that was being written', async () => {
    const { logs, file, write, follow } = setup(10);
    write('before\n');
    const { take } = follow(1);
    expect(await take(1)).toEqual(['before']);
    write('read late\nhal');
    await logs.bound(file);
    write('f\nafter\n');
    expect(await take(3)).toEqual(['read late', 'half', 'after']);
  });

  it('goes on with the last part when two cuts came before it read', async () => {
    const { logs, file, write, follow } = setup(3);
    write('zero\n');
    const { take } = follow(1);
    expect(await take(1)).toEqual(['zero']);
    await logs.bound(file);
    write('first\n');
    await logs.bound(file);
    write('second\n');
    expect(await take(2)).toEqual(['first', 'second']);
  });

  it('survives a file that someone else cut', async () => {
    const { file, write, follow } = setup();
    write('a long first line\n');
    const { take } = follow(1);
    await take(1);
    truncateSync(file);
    write('new\n');
    expect(await take(1)).toEqual(['new']);
  });

  it('ends on abort, while it waits and before it starts', async () => {
    const { write, follow, clock } = setup();
    write('one\n');
    const { iterator, controller, take } = follow(1);
    await take(1);
    const next = iterator.next();
    controller.abort();
    expect((await next).done).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it('gives an endless line in pieces', async () => {
    const { write, follow } = setup();
    write('begin\n');
    const { take } = follow(1);
    await take(1);
    write('x'.repeat(200_000));
    const [piece] = await take(1);
    expect(piece?.length).toBeGreaterThan(60_000);
    expect(piece?.length).toBeLessThan(140_000);
  });
});

describe('an excerpt for an error message', () => {
  it('is the end, without colours and empty lines, within its bytes', async () => {
    const { logs, file, write } = setup();
    write('early\n\n\u001b[31mError:\u001b[0m it broke\r\n   \nlast ✓\n');
    expect(await logs.excerpt(file)).toBe('early\nError: it broke\nlast ✓');
    expect(await logs.excerpt(file, { lines: 1 })).toBe('last ✓');
    expect(await logs.excerpt(file, { bytes: 12 })).toBe('last ✓');
    expect(await logs.excerpt(file, { bytes: 2 })).toBe('');
    expect(await logs.excerpt(`${file}.none`)).toBe('');
  });

  it('keeps of a progress line its last state, and nothing that a terminal would obey', () => {
    expect(plain('10%\r50%\r100%')).toBe('100%');
    expect(plain('a\u0007b\tc\u001b[2K')).toBe('ab\tc');
  });
});
