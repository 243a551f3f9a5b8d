import { appendFile, mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { silentLogger } from '#kernel/logger';
import { createAudit } from './audit.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sutaz-audit-'));
});
afterEach(() => rm(folder, { recursive: true }));

const done = (what: string, principal = 'ada') => ({
  ...{ what, target: 'x', status: 200, principal, keyId: 'key-1', from: '127.0.0.1', traceId: 't' },
});
function opened(maxBytes = 1_000_000, file = join(folder, 'audit.jsonl')) {
  const clock = fakeClock();
  const told: unknown[] = [];
  const log = { ...silentLogger, error: (_: string, fields: unknown) => void told.push(fields) };
  return { file, clock, told, audit: createAudit({ file, clock, log, maxBytes: () => maxBytes }) };
}

describe('the audit log', () => {
  it('has what was done, the newest first, for its owner alone and over a restart', async () => {
    const { file, clock, audit } = opened();
    audit.record(done('createKey'));
    clock.advance(1_000);
    audit.record(done('revokeKey', 'bob'));
    await audit.close();
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const again = opened().audit;
    const all = await again.read({ limit: 10 });
    expect(all.map(({ what }) => what)).toEqual(['revokeKey', 'createKey']);
    expect(await again.read({ limit: 1 })).toEqual([all[0]]);
    expect(await again.read({ limit: 10, principal: 'ada' })).toEqual([all[1]]);
    expect(await again.read({ limit: 10, what: 'revokeKey' })).toEqual([all[0]]);
    expect(await again.read({ limit: 10, before: all[0]?.at ?? '' })).toEqual([all[1]]);
  });

  it('keeps the order of many, and is bounded on disk', async () => {
    const { file, audit } = opened(20_000);
    for (let i = 0; i < 2_000; i++) {
      audit.record(done(`n${i}`));
      if (i % 50 === 0) await audit.read({ limit: 1 });
    }
    await audit.close();
    const sizes = await Promise.all([file, `${file}.1`].map(async (path) => (await stat(path)).size));
    expect(Math.max(...sizes)).toBeLessThan(40_000);
    const seen = (await audit.read({ limit: 1_000 })).map(({ what }) => Number(what.slice(1)));
    expect(seen[0]).toBe(1_999);
    expect(seen).toEqual(seen.map((_, i) => 1_999 - i));
  });

  it('passes over a line that was cut short', async () => {
    const { file, audit } = opened();
    audit.record(done('one'));
    await audit.close();
    await appendFile(file, '{"at":"2026-01-01","wh');
    expect((await audit.read({ limit: 10 })).map(({ what }) => what)).toEqual(['one']);
  });

  it('that cannot be written says so, ends nothing, and goes on when it can be', async () => {
    const file = join(folder, 'sub', 'audit.jsonl');
    const { audit, told } = opened(1_000, file);
    audit.record(done('lost'));
    await audit.close();
    expect(told).toMatchObject([{ file, lost: 1 }]);
    await mkdir(join(folder, 'sub'));
    audit.record(done('kept'));
    await audit.close();
    expect(await readFile(file, 'utf8')).toContain('"kept"');
  });
});
