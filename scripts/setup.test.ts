/** The launcher against a made-up checkout, with an `npm` and a `node` that only write down how they were called. */
import { spawn } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

const source = join(import.meta.dirname, '..');
let root: string;
let bin: string;

beforeEach(() => {
  root = join(mkdtempSync(join(tmpdir(), 'sutaz-launcher-')), 'a checkout');
  bin = join(root, '..', 'bin');
  for (const folder of ['scripts', 'src', 'console/src', '../bin']) mkdirSync(join(root, folder), { recursive: true });
  cpSync(join(source, 'sutaz'), join(root, 'sutaz'));
  cpSync(join(source, 'scripts/setup.sh'), join(root, 'scripts/setup.sh'));
  for (const file of ['package-lock.json', 'console/src/main.tsx', 'console/index.html']) write(join(root, file), '');
  script(
    'node',
    '[ "$1" != --version ] || { echo "${FAKE_NODE:-v24.1.0}"; exit; }\nprintf "%s\\n" "$@" > "$CALLS/node"\nenv > "$CALLS/env"',
  );
  script(
    'npm',
    'echo "$*" >> "$CALLS/npm"\n[ -z "${FAKE_NPM_FAILS-}" ] || { echo "no network"; exit 1; }\n' +
      'case $1 in ci) rm -rf node_modules; mkdir node_modules; sleep "${FAKE_NPM_TAKES:-0}"; touch node_modules/.package-lock.json ;;\n' +
      'run) mkdir -p console/dist; touch console/dist/index.html ;; esac',
  );
});
afterEach(() => rmSync(join(root, '..'), { recursive: true, force: true }));

const write = (file: string, text: string) => writeFileSync(file, text);
const script = (name: string, body: string, folder = bin) => {
  mkdirSync(folder, { recursive: true });
  write(join(folder, name), `#!/bin/sh\n${body}\n`);
  chmodSync(join(folder, name), 0o755);
};
const dated = (file: string, seconds: number) => utimesSync(join(root, file), seconds, seconds);
const calls = (name: string) => {
  const file = join(root, '..', name);
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
};

interface Ended {
  readonly code: number | null;
  readonly err: string;
}

function launch(args: readonly string[] = ['ps'], env: Record<string, string> = {}, file = join(root, 'sutaz')) {
  const child = spawn(file, args, {
    env: { PATH: `${bin}:/usr/bin:/bin`, CALLS: join(root, '..'), ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let err = '';
  child.stderr.on('data', (chunk) => (err += String(chunk)));
  return new Promise<Ended>((resolve) => child.on('close', (code) => resolve({ code, err })));
}

test('installs what is missing, once, and hands every argument on', async () => {
  const first = await launch(['chat', 'two words', '--json']);
  expect(first).toEqual({ code: 0, err: 'Installing dependencies (once)...\n' });
  expect(calls('node').slice(2)).toEqual([join(root, 'src/cli.ts'), 'chat', 'two words', '--json']);
  expect(calls('env')).toContain(`NODE_COMPILE_CACHE=${join(root, 'node_modules/.cache/sutaz')}`);
  expect(await launch()).toEqual({ code: 0, err: '' });
  expect(calls('npm')).toEqual(['ci --include=dev --include=optional']);
  expect(existsSync(join(root, '.setup/lock'))).toBe(false);
});

test('installs again when the lock is newer, and says why', async () => {
  await launch();
  dated('node_modules/.package-lock.json', 1_000);
  expect((await launch()).err).toBe('Installing dependencies (the lock is newer than what is installed)...\n');
});

test('a lock dated in the future does not install at every command', async () => {
  dated('package-lock.json', 4_000_000_000);
  await launch();
  expect(await launch()).toEqual({ code: 0, err: '' });
});

test('builds the console for `up` only, and again when its sources changed', async () => {
  await launch();
  expect((await launch(['up'])).err).toBe('Building the console (once)...\n');
  expect((await launch(['up'])).err).toBe('');
  dated('console/dist/index.html', 1_000);
  expect((await launch(['up'])).err).toBe('Building the console (its sources changed)...\n');
});

test('a console that cannot be built does not end the start', async () => {
  await launch();
  const { code, err } = await launch(['up'], { FAKE_NPM_FAILS: 'yes' });
  expect(code).toBe(0);
  expect(err).toContain('Going on without the console.');
});

test('a failed installation shows what npm said and where the rest is', async () => {
  const { code, err } = await launch(['ps'], { FAKE_NPM_FAILS: 'yes' });
  expect(code).toBe(1);
  expect(err).toContain('no network');
  expect(err).toContain(join(root, '.setup/setup.log'));
  expect(existsSync(join(root, '.setup/lock'))).toBe(false);
});

test('says what to install when npm is missing', async () => {
  rmSync(join(bin, 'npm'));
  for (const tool of ['sh', 'dirname', 'find', 'head', 'mkdir', 'rm', 'cat', 'sleep'])
    symlinkSync(whereIs(tool), join(bin, tool));
  const { code, err } = await launch(['ps'], { PATH: bin });
  expect(code).toBe(1);
  expect(err).toContain('npm is needed');
});

const whereIs = (tool: string): string =>
  ['/bin', '/usr/bin'].map((folder) => join(folder, tool)).find(existsSync) ?? tool;

test('takes the node that npm brought when the machine has an older one, and says so when there is none', async () => {
  const without = await launch(['ps'], { FAKE_NODE: 'v20.20.2' });
  expect(without.code).toBe(1);
  expect(without.err).toContain('Node.js 24 or newer is needed');
  script(
    'node',
    '[ "$1" != --version ] || { echo v24.2.0; exit; }\necho "$@" > "$CALLS/brought"',
    join(root, 'node_modules/.bin'),
  );
  expect(await launch(['ps'], { FAKE_NODE: 'v20.20.2' })).toEqual({ code: 0, err: '' });
  expect(calls('brought')[0]).toContain('src/cli.ts ps');
});

test('finds its folder through symlinks, relative ones too', async () => {
  symlinkSync('a checkout/sutaz', join(root, '../relative'));
  symlinkSync(join(root, '../relative'), join(bin, 'sutaz'));
  expect((await launch(['ps'], {}, join(bin, 'sutaz'))).code).toBe(0);
  expect(calls('node')).toContain(join(root, 'src/cli.ts'));
});

test('two launches at once install once', async () => {
  const both = await Promise.all([launch(['ps'], { FAKE_NPM_TAKES: '1' }), launch(['ps'], { FAKE_NPM_TAKES: '1' })]);
  expect(both.map(({ code }) => code)).toEqual([0, 0]);
  expect(calls('npm')).toHaveLength(1);
});

test('the lock of a setup that died is taken over', async () => {
  mkdirSync(join(root, '.setup/lock'), { recursive: true });
  write(join(root, '.setup/lock/pid'), '2147483646\n');
  expect((await launch()).code).toBe(0);
  expect(existsSync(join(root, '.setup/lock'))).toBe(false);
});

test('a setup that never ends is named, not waited for without end', async () => {
  mkdirSync(join(root, '.setup/lock'), { recursive: true });
  write(join(root, '.setup/lock/pid'), `${process.pid}\n`);
  const { code, err } = await launch(['ps'], { SUTAZ_SETUP_WAIT: '0' });
  expect(code).toBe(1);
  expect(err).toContain(`process ${process.pid}`);
  expect(err).toContain(join(root, '.setup/lock'));
});
