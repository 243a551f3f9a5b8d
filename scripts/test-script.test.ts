/** scripts/test.sh and .ci/run in a made-up checkout whose tools do what the test says. */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

const source = join(import.meta.dirname, '..');
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sutaz-test-script-'));
  for (const folder of ['scripts', '.ci', 'node_modules/.bin', 'bin'])
    mkdirSync(join(root, folder), { recursive: true });
  for (const file of ['scripts/setup.sh', 'scripts/test.sh', 'scripts/test-summary.ts', '.ci/run']) {
    cpSync(join(source, file), join(root, file));
  }
  writeFileSync(join(root, 'package.json'), '{"type":"module"}');
  writeFileSync(join(root, 'package-lock.json'), '{}');
  writeFileSync(join(root, 'node_modules/.package-lock.json'), '{}');
  symlinkSync(process.execPath, join(root, 'node_modules/.bin/node'));
  for (const tool of ['prettier', 'eslint'])
    script(`node_modules/.bin/${tool}`, `echo ran ${tool}\n[ "$FAILS" != ${tool} ]`);
  // `npm test` is the script itself, with npm's own words after a failure; `npm run` is a check like the others.
  script(
    'bin/npm',
    '[ "$1" = test ] || { echo "ran $3"; [ "$FAILS" != "$3" ]; exit; }\nsh scripts/test.sh || { echo "npm error" >&2; exit 1; }',
  );
  const report = (failed: number) =>
    JSON.stringify({ numPassedTests: 3, numFailedTests: failed, numPendingTests: 1, numTodoTests: 0, testResults: [] });
  script(
    'node_modules/.bin/vitest',
    `echo "ran $3"\nfor file; do :; done\nfile=\${file#--outputFile.json=}\n` +
      `if [ "$FAILS" = "$3" ]; then echo '${report(2)}' > "$file"; exit 1; fi\necho '${report(0)}' > "$file"`,
  );
  // So that .ci/run finds everything and installs nothing.
  for (const tool of ['python3', 'chromium', 'ps', 'busybox', 'dockerd']) script(`bin/${tool}`, 'exit 0');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function script(path: string, body: string) {
  writeFileSync(join(root, path), `#!/bin/sh\n${body}\n`);
  chmodSync(join(root, path), 0o755);
}

function run(command: string, fails = '') {
  // With an engine named, .ci/run starts none of its own.
  const env = { PATH: `${join(root, 'bin')}:/usr/bin:/bin`, FAILS: fails, DOCKER_HOST: 'unix:///nowhere' };
  const { status, stdout, stderr } = spawnSync(join(root, command), { env, encoding: 'utf8' });
  return { status, lines: stdout.trimEnd().split('\n'), stderr };
}
const ran = (lines: readonly string[]) => lines.filter((line) => line.startsWith('ran ')).map((line) => line.slice(4));

test('runs every check in order and ends with the count', () => {
  const { status, lines, stderr } = run('scripts/test.sh');
  expect({ status, stderr: stderr.replace(/^Node .*\n/, '') }).toEqual({ status: 0, stderr: '' });
  expect(ran(lines)).toEqual(['prettier', 'eslint', 'typecheck', 'cycles', 'unit', 'integration']);
  expect(lines.at(-1)).toBe('6 passed, 0 failed, 2 skipped');
});

test.each([
  ['eslint', ['prettier', 'eslint'], '0 passed, 0 failed, 0 skipped'],
  ['cycles', ['prettier', 'eslint', 'typecheck', 'cycles'], '0 passed, 0 failed, 0 skipped'],
  ['unit', ['prettier', 'eslint', 'typecheck', 'cycles', 'unit'], '3 passed, 2 failed, 1 skipped'],
])('stops at the first that fails: %s', (fails, expected, count) => {
  const { status, lines, stderr } = run('scripts/test.sh', fails);
  expect(status).toBe(1);
  expect(ran(lines)).toEqual(expected);
  expect(lines.at(-1)).toBe(count);
  expect(stderr).toContain('failed:');
});

test('.ci/run ends with the count and the code of the tests, whatever npm adds', () => {
  expect(run('.ci/run')).toMatchObject({ status: 0 });
  const { status, lines } = run('.ci/run', 'integration');
  expect(status).toBe(1);
  expect(lines).toContain('npm error');
  expect(lines.at(-1)).toBe('6 passed, 2 failed, 2 skipped');
});
