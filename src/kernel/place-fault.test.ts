import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Fault, toFault } from './faults.ts';
import { placeFault } from './place-fault.ts';

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'sutaz-place-'))));
afterEach(() => rmSync(folder, { recursive: true }));

function thrownBy(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('it did not fail');
}

it('is a file where a folder should be', () => {
  const file = join(folder, 'file');
  writeFileSync(file, '');
  for (const home of [file, join(file, 'home')]) {
    const error = thrownBy(() => mkdirSync(home, { recursive: true }));
    const message = expect.stringContaining(`${file} is a file, and no folder: move it away, or choose another home`);
    expect(placeFault(home, error)).toMatchObject({ code: 'FORBIDDEN', message });
  }
});

it.skipIf(process.getuid?.() !== 0)('is somebody else’s, who is not asked to give away what it lies in', () => {
  const home = join(folder, 'home');
  const asNobody = (code: string) => {
    const script = `import { placeFault } from ${JSON.stringify(new URL('place-fault.ts', import.meta.url).href)};
      import { mkdirSync } from 'node:fs';
      try { mkdirSync(${JSON.stringify(home)} + '/logs', { recursive: true }) }
      catch (error) { console.log(placeFault(${JSON.stringify(home)}, error).${code}) }`;
    const argv = ['--conditions=source', '--input-type=module', '-e', script];
    return execFileSync(process.execPath, argv, {
      uid: 65_534,
      gid: 65_534,
      cwd: import.meta.dirname,
      encoding: 'utf8',
    });
  };
  chmodSync(folder, 0o755);
  expect(asNobody('message')).toContain(`${folder} may not be written: it belongs to user 0, and this is user 65534`);
  expect(asNobody('message')).toContain(`: make ${home} for this user, or choose another home`);
  mkdirSync(home, { mode: 0o755 });
  expect(asNobody('message')).toMatch(/\/home may not be written: .*: give it to this user, or choose another home/);
  expect(asNobody('code').trim()).toBe('FORBIDDEN');
});

it('stays as it is where the place is not why', () => {
  const other = Object.assign(new Error('too many'), { code: 'EMFILE' });
  expect(placeFault(folder, other)).toBe(other);
  expect(placeFault(folder, 'a text')).toBe('a text');
  const ours = new Fault('CONFLICT', 'runs already');
  expect(placeFault(folder, ours)).toBe(ours);
});

it('regression: a database on a full disk is a full disk', () => {
  const db = new DatabaseSync(join(folder, 'state.db'));
  try {
    db.exec('CREATE TABLE t (v TEXT); PRAGMA max_page_count=2');
    const error = thrownBy(() => db.prepare('INSERT INTO t VALUES (?)').run('x'.repeat(100_000)));
    expect(toFault(error)).toMatchObject({ code: 'DISK_FULL', cause: error });
    const message = expect.stringContaining(`The disk of ${folder} is full`);
    expect(placeFault(folder, error)).toMatchObject({ code: 'DISK_FULL', message });
    expect(toFault(thrownBy(() => db.exec('nonsense'))).code).toBe('INTERNAL');
  } finally {
    db.close();
  }
});
