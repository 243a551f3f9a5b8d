import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLogger } from './log.ts';

let folder: string;
let fd: number;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sutaz-log-'));
  fd = openSync(join(folder, 'log'), 'a');
});
afterEach(() => {
  closeSync(fd);
  rmSync(folder, { recursive: true });
});

const at = () => new Date(0);
const text = () => readFileSync(join(folder, 'log'), 'utf8');
const lines = () =>
  text()
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('the log', () => {
  it('has one object a line, with the level, the time, what the logger carries, and the message', () => {
    const log = createLogger('info', fd, at).child({ unit: 'a' });
    log.debug('not this');
    log.info('two\nlines', { pid: 3 });
    log.child({ pid: 4 }).error('bad');
    expect(lines()).toEqual([
      { level: 'info', time: '1970-01-01T00:00:00.000Z', unit: 'a', pid: 3, msg: 'two\nlines' },
      { level: 'error', time: '1970-01-01T00:00:00.000Z', unit: 'a', pid: 4, msg: 'bad' },
    ]);
  });

  it('holds no secrets, however deep they lie and however their field is written', () => {
    const headers = { authorization: 'Bearer hush', 'X-Sutaz-Key': 'hush', cookie: 'hush', 'set-cookie': ['hush'] };
    createLogger('debug', fd, at).info('a request', { key: 'hush', request: { headers, tokens: ['hush'] } });
    expect(text()).not.toContain('hush');
    expect(lines()[0]).toMatchObject({ key: '[cut]', request: { headers: { authorization: '[cut]' } } });
  });

  it('writes errors with their causes, and what JSON cannot say', () => {
    const endless: Record<string, unknown> = { n: 1n };
    endless.self = endless;
    const cause = new Error('the cause');
    createLogger('debug', fd, at).warn('odd', { error: new Error('the error', { cause }), endless });
    expect(lines()[0]).toMatchObject({
      error: { message: 'the error', cause: { message: 'the cause' } },
      endless: { n: '1' },
    });
  });

  it('regression: a line that cannot be written does not end the platform', () => {
    // /dev/full refuses every byte, as a full disk does.
    const full = openSync(process.platform === 'linux' ? '/dev/full' : join(folder, 'log'), 'r+');
    expect(() => createLogger('debug', full).error('lost')).not.toThrow();
    closeSync(full);
    expect(() => createLogger('debug', full).error('lost')).not.toThrow();
  });
});
