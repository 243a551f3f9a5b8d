import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Client } from '#clients/sdk';
import { pssBytes } from '../../test/_processes.ts';
import { pssOfPlatform } from './processes.ts';
import { isProven, noteTogether, readTogether, renderTogether } from './together-record.ts';
import type { Together, Visit } from './together-record.ts';
import { watchMemory } from './watch.ts';

const quiet = { seconds: 1, stopped: [], frozen: [] };
const answered: Visit = { outcome: 'answered', id: 'a', ...quiet, stopped: ['service/b'], call: 'GET /', status: 200 };
const found: Together = {
  ...{ date: '2026-11-01', limitBytes: 2 ** 30, wantedBytes: 2 ** 31, samples: 9 },
  ...{ peak: { reservedBytes: 2 ** 29, pssBytes: 2 ** 28 }, over: [], visits: [answered] },
};

describe('all services on one platform', () => {
  it('are proven by an answer of each that can be had, within the limit at each look', () => {
    const other = (outcome: 'too-large' | 'not-here'): Visit => ({ outcome, id: 'b', ...quiet, why: 'no' });
    const failed: Visit = { outcome: 'failed', id: 'c', ...quiet, error: 'fetch failed' };
    expect(isProven(found)).toBe(true);
    expect(isProven({ ...found, visits: [answered, other('too-large'), other('not-here')] })).toBe(true);
    expect(isProven({ ...found, visits: [answered, failed] })).toBe(false);
    expect(isProven({ ...found, over: ['2 GiB in use of 1 GiB at a'] })).toBe(false);
  });

  it('are told of in the README with what did not hold', () => {
    const said = renderTogether({
      ...found,
      over: ['once'],
      visits: [
        answered,
        { outcome: 'too-large', id: 'b', ...quiet, why: 'no' },
        { outcome: 'failed', id: 'c', ...quiet, error: 'fetch failed' },
      ],
    }).replaceAll('\n', ' ');
    expect(said).toContain('with 1 GiB, where awake they would take 2 GiB, 1 of 3 answered');
    expect(said).toContain('At most 512 MiB were reserved, and 256 MiB in use by all processes');
    expect(said).toContain('1 times one was stopped');
    expect(said).toContain('Larger than that alone: b. Failed: c. The limit was passed at 1 of 9 looks.');
    expect(renderTogether(null)).toBe('');
  });

  it('are kept in a file that is read strictly', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sutaz-fleet-test-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const file = join(folder, 'together.json');
    expect(await readTogether(file)).toBeNull();
    await noteTogether(found, file);
    expect(await readTogether(file)).toEqual(found);
    await writeFile(file, '{}');
    await expect(readTogether(file)).rejects.toThrow('visits');
  });
});

describe('the memory of a platform', () => {
  const watch = (reservedBytes: () => number, pss: () => Promise<number>) =>
    watchMemory({
      client: { readLedger: async () => ({ reservedBytes: reservedBytes() }) } as unknown as Pick<Client, 'readLedger'>,
      ...{ home: '/nowhere', pid: process.pid, limitBytes: 100, doing: () => 'the test', pss },
    });

  it('is told by its peaks, and each look that finds too much by what was done', async () => {
    expect(
      await watch(
        () => 100,
        async () => 101,
      ).stop(),
    ).toEqual({
      samples: 1,
      peak: { reservedBytes: 100, pssBytes: 101 },
      over: ['101 B in use of 100 B at the test'],
    });
  });

  it('is not said to have held when it could not be looked at', async () => {
    await expect(
      watch(
        () => 1,
        () => Promise.reject(new Error('no /proc')),
      ).stop(),
    ).rejects.toThrow('no /proc');
  });

  it.runIf(process.platform === 'linux')('is that of its process and of all below it', async () => {
    const own = await pssBytes(process.pid);
    expect(await pssOfPlatform('/nowhere', process.pid)).toBeGreaterThan(own / 2);
    expect(await pssOfPlatform('/nowhere', 2 ** 30)).toBe(0);
  });
});
