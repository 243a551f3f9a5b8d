/** `up --detach` and `down` against a real process that stands for the platform: it listens, then says where, as the platform does. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Io } from '#clients/cli/context';
import { runCli } from '#clients/cli/main';
import { processClock } from '#clients/cli/process';
import { isAlive } from '#clients/home';
import { Fault } from '#kernel/faults';

const standIn = `
import { createServer } from 'node:http';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
const home = process.argv[process.argv.indexOf('--home') + 1];
console.error('arguments ' + process.argv.slice(2).join(' '));
if (process.env.STAND_IN === 'dies') { console.error('the disk is on fire'); process.exit(1); }
if (process.env.STAND_IN === 'conflict') { console.error('sutaz: It runs already.'); process.exit(4); }
mkdirSync(home + '/keys', { recursive: true });
writeFileSync(home + '/keys/admin.key', 'sk-secret\\n', { mode: 0o600 });
let asked = 0;
const server = createServer((req, res) => {
  if (req.url === '/sutaz/v1/shutdown') {
    res.writeHead(202).end('{}');
    rmSync(home + '/platform.json');
    server.close(() => process.exit(0));
    return;
  }
  if (req.url === '/sutaz/v1/console-links') return res.end(JSON.stringify({ url: 'http://x/console/#once', expiresAt: '' }));
  const ready = process.env.STAND_IN !== 'hangs' && asked++ > 1;
  res.writeHead(ready ? 200 : 503).end('{"status":"starting"}');
});
server.listen(0, '127.0.0.1', () => {
  const url = 'http://127.0.0.1:' + server.address().port;
  writeFileSync(home + '/platform.json', JSON.stringify({ url, pid: process.pid, startedAt: '', version: '' }));
});
setTimeout(() => process.exit(9), 60_000);
`;

let root: string;
let home: string;
const started: number[] = [];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sutaz-detach-'));
  home = join(root, 'home');
  writeFileSync(join(root, 'stand-in.mjs'), standIn);
});
afterEach(() => {
  for (const pid of started.splice(0)) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  rmSync(root, { recursive: true, force: true });
});

async function run(argv: readonly string[], mode = '', signal = new AbortController().signal) {
  let [out, err] = ['', ''];
  const io: Io = {
    env: { SUTAZ_HOME: home, STAND_IN: mode, PATH: process.env.PATH },
    cwd: root,
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    drained: () => Promise.resolve(),
    ...{ outTty: false, errTty: false, inTty: false },
    readInput: () => Promise.resolve(''),
    columns: () => 80,
    prompt: () => () => Promise.resolve(null),
  };
  const code = await runCli(argv, {
    io,
    clock: processClock,
    interrupt: () => signal,
    composition: {
      version: '1',
      self: [process.execPath, join(root, 'stand-in.mjs')],
      runPlatform: () => Promise.reject(new Error('only the child runs a platform')),
      planOffline: () => Promise.reject(new Error('not in this test')),
      validateCatalog: () => Promise.reject(new Error('not asked for')),
      gpus: () => Promise.reject(new Error('not asked for')),
      issuers: () => Promise.reject(new Error('not asked for')),
      confinement: () => Promise.reject(new Error('not asked for')),
    },
  });
  return { code, out, err };
}

const output = () => readFileSync(join(home, 'logs/platform.out'), 'utf8');
const platformPid = () => (JSON.parse(readFileSync(join(home, 'platform.json'), 'utf8')) as { pid: number }).pid;

describe('up --detach', () => {
  test('returns when it is ready and says exactly url, home, pid and keyFile; down ends it', async () => {
    const { code, out } = await run([
      'up',
      '--detach',
      '--json',
      '--port',
      '0',
      '--memory',
      '1GiB',
      '--config',
      'my.yaml',
    ]);
    const said = JSON.parse(out) as { pid: number };
    started.push(said.pid);
    expect(code).toBe(0);
    expect(said).toEqual({
      url: expect.stringMatching(/^http/),
      home,
      pid: platformPid(),
      keyFile: join(home, 'keys/admin.key'),
    });
    expect(output()).toContain(
      `up --foreground-child --home ${home} --port=0 --memory=1073741824 --config=${join(root, 'my.yaml')}`,
    );
    expect(statSync(join(home, 'logs/platform.out')).mode & 0o077).toBe(0);

    expect(await run(['up', '--detach'])).toMatchObject({ code: 4, out: '' });
    expect(await run(['down'])).toMatchObject({ code: 0, out: 'SutazAI has stopped.\n' });
    expect(isAlive(said.pid)).toBe(false);
    expect((await run(['down'])).code).toBe(3);
  });

  test('shows the link to people, and no log has it or the key', async () => {
    const { out, err } = await run(['up', '-d']);
    started.push(platformPid());
    expect(out).toContain('http://x/console/#once');
    expect(out + err + output()).not.toContain('sk-secret');
    expect(output()).not.toContain('#once');
  });

  test('a child that dies is shown with its last words, not those of an earlier one', async () => {
    await run(['up', '-d'], 'conflict');
    const { code, err } = await run(['up', '-d'], 'dies');
    expect(code).toBe(1);
    expect(err).toContain('the disk is on fire');
    expect(err).toContain('exit code 1');
    expect(err).not.toContain('runs already');
  });

  test('the code of a conflict comes through', async () => {
    const { code, err } = await run(['up', '-d'], 'conflict');
    expect({ code, err: err.split('\n').at(-2) }).toEqual({ code: 4, err: 'sutaz: It runs already.' });
  });

  test('Ctrl-C during the wait ends the child', async () => {
    const controller = new AbortController();
    const running = run(['up', '-d'], 'hangs', controller.signal);
    // It is there a moment before it is written.
    const written = () => existsSync(join(home, 'platform.json')) && statSync(join(home, 'platform.json')).size > 0;
    while (!written()) await new Promise((resolve) => setTimeout(resolve, 20));
    const pid = platformPid();
    started.push(pid);
    controller.abort(new Fault('CANCELLED', 'Interrupted.'));
    expect((await running).code).toBe(130);
    await expect.poll(() => isAlive(pid), { timeout: 5_000 }).toBe(false);
  });
});
