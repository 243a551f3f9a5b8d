import { appendFile, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it, onTestFinished } from 'vitest';
import { appendKnown, lastWritten, resumeAt } from './_docker-position.ts';

async function logFile(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sutaz-position-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return join(folder, 'x.log');
}

/** One line a nanosecond, each of its own length. */
const line = (n: number): Buffer => Buffer.from(`${'x'.repeat(n % 7)}${n}\n`);

/** Bytes from which the platform cuts a log; larger than any batch here, as it is there. */
const most = 100;

it('regression: has no line twice and loses none, wherever it is killed, though the file is cut meanwhile', () => {
  const batch = fc.record({
    lines: fc.integer({ min: 1, max: 6 }),
    cut: fc.constantFrom('no', 'before', 'after'),
    /** How much of the append was done when it was killed; null where it was not. */
    killedAt: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
  });
  fc.assert(
    fc.property(fc.array(batch, { maxLength: 30 }), (batches) => {
      let [file, cut, since, past] = [Buffer.alloc(0) as Buffer, null as Buffer | null, 0, Buffer.alloc(0) as Buffer];
      const cutIt = () => {
        if (file.length <= most) return;
        [past, cut, file] = [Buffer.concat([past, file]), file, Buffer.alloc(0)];
      };
      for (const { lines, cut: when, killedAt } of batches) {
        const [from, to] = [since, since + lines];
        const text = Buffer.concat(Array.from({ length: lines }, (_, i) => line(from + i + 1)));
        const position = { instance: 'i', from: BigInt(from), to: BigInt(to), size: file.length, bytes: text.length };
        if (when === 'before') cutIt();
        const written = killedAt === null ? text.length : Math.round(killedAt * text.length);
        file = Buffer.concat([file, text.subarray(0, written)]);
        // A cut in the middle of an append loses what comes between, and says so.
        if (when === 'after' && written === text.length) cutIt();
        const next = resumeAt(position, { file: file.length, cut: cut?.length ?? null });
        if (killedAt !== null) file = file.subarray(0, file.length - next.torn);
        since = killedAt === null ? to : Number(next.since);
      }
      const whole = Buffer.concat(Array.from({ length: since }, (_, i) => line(i + 1)));
      expect(Buffer.concat([past, file]).toString()).toBe(whole.toString());
    }),
    { numRuns: 2_000 },
  );
});

it('finds in the files where it is to go on, and takes half a line away', async () => {
  const file = await logFile();
  await writeFile(file, 'of another\n');
  expect(await lastWritten(file, 'one')).toBe(0n);
  await appendKnown(file, Buffer.from('a\nb\n'), { instance: 'one', from: 0n, to: 2n }, (text) =>
    appendFile(file, text),
  );
  expect([await lastWritten(file, 'one'), await lastWritten(file, 'two')]).toEqual([2n, 0n]);
  const killed = appendKnown(file, Buffer.from('c\nd\n'), { instance: 'one', from: 2n, to: 4n }, async (text) => {
    await appendFile(file, text.subarray(0, 3));
    throw new Error('killed');
  });
  await expect(killed).rejects.toThrow('killed');
  expect(await lastWritten(file, 'one')).toBe(2n);
  expect(await readFile(file, 'utf8')).toBe('of another\na\nb\n');
  await truncate(file, 0);
  await writeFile(`${file}.position`, 'no position');
  expect(await lastWritten(file, 'one')).toBe(0n);
});
