import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { commands } from './commands.ts';
import { fakeKey, fakePlatform, json } from './platform.fake.ts';
import type { FakePlatform } from './platform.fake.ts';

let platform: FakePlatform;
beforeEach(async () => {
  platform = await fakePlatform();
});
afterEach(() => platform.close());

const problem = (status: number, code: string, detail: string) => json({ status, code, detail, traceId: 't1' }, status);

describe('usage', () => {
  test.each([
    [['strat'], 'Did you mean start'],
    [['model'], 'Did you mean models'],
    [['models', 'lst'], 'Did you mean models ls'],
    [['models', 'everything'], 'Known: ls, pull, rm, show'],
    [['ps', '--al'], 'Did you mean --all'],
    [['ps', '-x'], 'no option -x'],
    [['ps', '--all=yes'], '--all takes no value'],
    [['up', '--port'], '--port needs a value: --port N'],
    [['up', '--port', '--detach'], '--port needs a value'],
    [['up', '--memory='], '--memory needs a value'],
    [['start'], 'needs NAME'],
    [['start', 'a', 'b'], 'Too many arguments: b'],
    [['--home', 'x', 'ps'], 'Options come after the command'],
    [['up', '--port', '70000'], 'is not a port'],
    [['up', '--memory', 'lots'], 'is not a size'],
    [['logs', 'chroma', '-n', 'all'], 'is not a number of lines'],
    [['down', '--timeout', 'soon'], 'is not a time'],
    [['chat'], 'The prompt is empty'],
  ])('%j is refused', async (argv, message) => {
    const { code, out, err } = await platform.run(argv);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain(message);
    expect(err).toMatch(/^sutaz: /);
    expect(platform.asked).toEqual([]);
  });

  test('an option that only the CLI itself uses is neither shown nor suggested', async () => {
    expect((await platform.run(['up', '--help'])).out).not.toContain('foreground-child');
    expect((await platform.run(['up', '--foreground'])).err).not.toContain('foreground-child');
  });

  test('a group alone shows its commands: help when asked for, otherwise wrong usage', async () => {
    expect(await platform.run(['models', '--help'])).toMatchObject({ code: 0, err: '' });
    const { code, out, err } = await platform.run(['models']);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain('models pull');
  });

  test('what stands after -- is no option', async () => {
    platform.routes['GET /sutaz/v1/units/--odd/logs'] = (res) => res.end('line\n');
    expect(await platform.run(['logs', '--', '--odd'])).toMatchObject({ code: 0, out: 'line\n' });
  });
});

describe('help', () => {
  test.each(Object.keys(commands))('`%s --help` has a usage, an example that is its own, and --json', async (name) => {
    const { code, out, err } = await platform.run([...name.split(' '), '--help']);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(new RegExp(`^Usage: sutaz ${name}`));
    expect(out.slice(out.indexOf('\nExample'))).toMatch(new RegExp(`sutaz ${name}`));
    expect(out).toContain('--json');
  });

  test('the overview names every command and every exit code', async () => {
    const { out } = await platform.run([]);
    for (const name of Object.keys(commands)) expect(out).toContain(`  ${name} `);
    for (const code of [0, 1, 2, 3, 4, 130]) expect(out).toMatch(new RegExp(`^  ${code} `, 'm'));
  });

  test('`help --json` is for programs', async () => {
    const read = async (...words: string[]) =>
      JSON.parse((await platform.run(['help', ...words, '--json'])).out) as unknown;
    const names = Object.keys(commands);
    const all = (some: string[]) => some.map((name) => ({ name, summary: commands[name]?.summary }));
    expect(await read()).toMatchObject({ commands: all(names), exitCodes: { 3: 'the platform is not running' } });
    const group = all(names.filter((name) => name.startsWith('models ')));
    expect(await read('models')).toMatchObject({ commands: group });
    expect(await read('up')).toMatchObject({ name: 'up', options: { port: { value: 'N' }, json: {} } });
    expect(await read('up')).not.toHaveProperty(['options', 'foreground-child']);
  });

  test('`help COMMAND` is the same as its --help', async () => {
    const asked = await platform.run(['models', 'pull', '--help']);
    expect(await platform.run(['help', 'models', 'pull'])).toEqual(asked);
  });
});

describe('the platform', () => {
  test('is asked with the key, which appears nowhere in the output', async () => {
    platform.routes['GET /sutaz/v1/catalog'] = json({ services: [], models: [], disabled: [] });
    const { code, out, err } = await platform.run(['catalog', 'ls']);
    expect(code).toBe(0);
    expect(platform.asked[0]?.key).toBe(`Bearer ${fakeKey}`);
    expect(out + err).not.toContain(fakeKey);
  });

  test('not running: 3, and how to start it', async () => {
    const { code, err } = await platform.run(['ps', '--home', join(platform.home, 'other')]);
    expect(code).toBe(3);
    expect(err).toContain(`not running (home ${join(platform.home, 'other')})`);
    expect(err).toContain('sutaz up');
  });

  test('killed, its file left behind: 3, and its old address, perhaps another program now, gets no key', async () => {
    const file = { url: platform.url, pid: 2 ** 30, startedAt: '', version: '' };
    writeFileSync(join(platform.home, 'platform.json'), JSON.stringify(file));
    expect((await platform.run(['ps'])).code).toBe(3);
    expect(platform.asked).toEqual([]);
  });

  test('killed, and its number another process’s by now: the same', async () => {
    const file = { url: platform.url, pid: process.pid, startedAt: '', version: '', mark: 'of another boot 1' };
    writeFileSync(join(platform.home, 'platform.json'), JSON.stringify(file));
    expect((await platform.run(['ps'])).code).toBe(3);
    expect(platform.asked).toEqual([]);
  });

  test('its process is there, nothing answers: 3', async () => {
    const file = { url: 'http://127.0.0.1:1', pid: process.pid, startedAt: '', version: '' };
    writeFileSync(join(platform.home, 'platform.json'), JSON.stringify(file));
    const { code, err } = await platform.run(['ps']);
    expect(code).toBe(3);
    expect(err).toContain('nothing answers');
  });

  test('half a platform.json is as good as none', async () => {
    writeFileSync(join(platform.home, 'platform.json'), '{"url":"http');
    expect((await platform.run(['ps'])).code).toBe(3);
  });
});

describe('errors', () => {
  test('a problem is said with its trace, and fails', async () => {
    platform.routes['POST /sutaz/v1/units/chorma/stop'] = problem(404, 'NOT_FOUND', 'No unit is called chorma.');
    const { code, err } = await platform.run(['stop', 'chorma']);
    expect({ code, err }).toEqual({ code: 1, err: 'sutaz: No unit is called chorma. (trace t1)\n' });
  });

  test('a conflict is 4', async () => {
    platform.routes['DELETE /sutaz/v1/models/gemma3%3A270m'] = problem(409, 'CONFLICT', 'It is loaded.');
    expect((await platform.run(['models', 'rm', 'gemma3:270m'])).code).toBe(4);
  });

  test('with --json the error is JSON too', async () => {
    platform.routes['POST /sutaz/v1/units/x/stop'] = problem(503, 'NO_MEMORY', 'It needs 9 GiB.');
    const { out, err } = await platform.run(['stop', 'x', '--json']);
    expect(out).toBe('');
    expect(JSON.parse(err)).toMatchObject({ error: { code: 'NO_MEMORY', traceId: 't1' } });
  });

  test('an answer that is no JSON is no crash', async () => {
    platform.routes['GET /sutaz/v1/state'] = (res) => res.end('<html>');
    const { code, err } = await platform.run(['ps']);
    expect(code).toBe(1);
    expect(err).toContain('not JSON');
  });
});

test('key prints the key on one line and nothing else, with no platform', async () => {
  expect(await platform.run(['key'])).toEqual({ code: 0, out: `${fakeKey}\n`, err: '' });
  expect(platform.asked).toEqual([]);
});

test('key says how to get one where there is none', async () => {
  const { code, err } = await platform.run(['key', '--home', join(platform.home, 'other')]);
  expect(code).toBe(1);
  expect(err).toContain('There is no key');
});

test('version', async () => {
  expect((await platform.run(['--version'])).out).toContain('sutaz 1.2.3');
  expect(JSON.parse((await platform.run(['version', '--json'])).out)).toEqual({
    version: '1.2.3',
    node: process.version,
  });
});

test('validate shows each problem where editors find it, and fails', async () => {
  const problems = [{ file: '/a/b.yaml', line: 3, column: 5, key: 'run', message: 'unknown key.' }];
  const given: unknown[] = [];
  const validateCatalog = (options: unknown) => {
    given.push(options);
    return Promise.resolve({ checked: 1, problems });
  };
  const ran = await platform.run(['catalog', 'validate', 'b.yaml'], { composition: { validateCatalog } });
  expect(ran).toEqual({
    code: 1,
    out: '/a/b.yaml:3:5: run: unknown key.\n',
    err: '1 definition checked, 1 problem.\n',
  });
  expect(given).toEqual([{ catalog: join(platform.home, 'catalog'), files: [join(platform.home, 'b.yaml')] }]);
});
