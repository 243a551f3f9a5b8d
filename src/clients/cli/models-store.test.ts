import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fakePlatform, json, stream } from './platform.fake.ts';
import type { FakePlatform } from './platform.fake.ts';

let platform: FakePlatform;
beforeEach(async () => {
  platform = await fakePlatform();
});
afterEach(() => platform.close());

const sse = (event: string, data: unknown) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
const version = (digit: string, more: object = {}) => ({
  ...{ sha256: digit.repeat(64), bytes: 2 ** 20, source: 'url x', pulledAt: '2026-01-02T03:04:05.000Z' },
  ...{ present: false, here: true, damage: null, ...more },
});
const asked = () => platform.asked.at(-1);

describe('versions of a model', () => {
  test('are listed with what is left of each', async () => {
    platform.routes['GET /sutaz/v1/models/a%3Ab/versions'] = json({
      id: 'a:b',
      held: true,
      versions: [version('c'), version('d', { present: true, damage: 'x' }), version('e', { here: false })],
    });
    const { code, out } = await platform.run(['models', 'versions', 'a:b']);
    expect(code).toBe(0);
    expect(out).toMatch(/^sha256:cccccccccccc +kept +1 MiB +2026-01-02 03:04 +url x$/m);
    expect(out).toMatch(/^sha256:dddddddddddd +damaged/m);
    expect(out).toMatch(/^sha256:eeeeeeeeeeee +gone/m);
    expect(out).toContain('It is held there. `sutaz models pull a:b` goes on');
  });

  test('can be gone back to, by digest or by one', async () => {
    const model = { id: 'a:b', state: 'ready', pulled: { sha256: 'd'.repeat(64) } };
    platform.routes['POST /sutaz/v1/models/a%3Ab/rollback'] = json(model);
    const { out } = await platform.run(['models', 'rollback', 'a:b', 'sha256:dddddddddddd']);
    expect(out).toBe('a:b is at sha256:dddddddddddd now. It is ready: stop it to have it loaded anew.\n');
    expect(asked()?.body).toEqual({ digest: 'sha256:dddddddddddd' });
    await platform.run(['models', 'rollback', 'a:b', '--json']);
    expect(asked()?.body).toEqual({});
  });
});

describe('verify', () => {
  const file = { sha256: 'f'.repeat(64), bytes: 1, models: ['a:b'], repaired: false, repairFailed: null };
  const answer = (...files: object[]) =>
    stream(
      sse('progress', { phase: 'verifying', what: 'a:b', done: 1, total: 2, unit: 'bytes' }),
      sse('done', { files }),
    );

  test('says what is whole and what is not, and fails for what stays broken', async () => {
    platform.routes['POST /sutaz/v1/store/verify'] = answer(
      { ...file, problem: null },
      { ...file, problem: 'its file is missing', repairFailed: 'no network' },
    );
    const { code, out, err } = await platform.run(['models', 'verify', '--repair']);
    expect(code).toBe(1);
    expect(out).toBe(
      'a:b sha256:ffffffffffff is whole\n' +
        'a:b sha256:ffffffffffff is damaged: its file is missing. It could not be repaired: no network\n',
    );
    expect(err).toMatch(/^verifying a:b/);
    expect(asked()?.body).toEqual({ models: [], repair: true });
  });

  test('is well when everything was repaired', async () => {
    platform.routes['POST /sutaz/v1/store/verify'] = answer({ ...file, problem: 'x', repaired: true });
    expect(await platform.run(['models', 'verify', 'a:b'])).toMatchObject({
      code: 0,
      out: 'a:b sha256:ffffffffffff was damaged (x) and was fetched again\n',
    });
    expect(asked()?.body).toEqual({ models: ['a:b'], repair: false });
  });
});

test('gc says what goes, what stays and why', async () => {
  platform.routes['POST /sutaz/v1/store/collect'] = json({
    dryRun: true,
    removed: [{ path: '/m/x', bytes: 2 ** 20, frees: 2 ** 20, why: 'no name has it' }],
    kept: [{ path: '/m/y', bytes: 2 ** 20, frees: 0, why: 'an engine has it open' }],
    freed: 2 ** 20,
  });
  expect((await platform.run(['models', 'gc', '--dry-run'])).out).toBe(
    'would remove /m/x (1 MiB): no name has it\nkept /m/y (1 MiB): an engine has it open\n1 MiB would be free.\n',
  );
  expect(asked()?.body).toEqual({ dryRun: true, downloads: false });
});

describe('import', () => {
  const found = { id: 'a:b', title: 'x/a.gguf', path: '/x/a.gguf', bytes: 2 ** 20, sha256: 'f'.repeat(64) };

  test('says what it found, what it took and what not', async () => {
    const skipped = [{ title: 'old.pth', why: 'it is a pickle' }];
    const result = { root: '/x', layout: 'folder', imported: [{ ...found, how: 'linked' }], skipped };
    platform.routes['POST /sutaz/v1/store/import'] = stream(sse('done', result));
    const { code, out } = await platform.run(['models', 'import', 'x', '--name', 'a:b', '--copy']);
    expect(code).toBe(0);
    expect(out).toBe('/x is a folder; 2 found.\na:b: linked, 1 MiB (x/a.gguf)\nnot taken: old.pth: it is a pickle\n');
    expect(asked()?.body).toEqual({ path: `${platform.home}/x`, copy: true, name: 'a:b' });
  });

  test('fails when nothing was taken', async () => {
    const result = { root: '/x', layout: 'ollama', imported: [], skipped: [] };
    platform.routes['POST /sutaz/v1/store/import'] = stream(sse('done', result));
    expect(await platform.run(['models', 'import', '--ollama'])).toMatchObject({
      code: 1,
      out: '/x is an Ollama store; no model was found there.\n',
    });
    expect(asked()?.body).toEqual({ from: 'ollama', copy: false });
  });

  test.each([[[]], [['x', '--ollama']], [['--ollama', '--huggingface']]])('of %j is wrong usage', async (words) => {
    expect((await platform.run(['models', 'import', ...words])).code).toBe(2);
  });
});

test('view prints the folder alone to be handed on', async () => {
  platform.routes['POST /sutaz/v1/store/views/folder'] = json({
    ...{ kind: 'folder', root: '/v', variable: null },
    ...{ models: [{ id: 'a:b', path: '/v/a/b.gguf' }], skipped: [] },
  });
  const { out, err } = await platform.run(['models', 'view', 'folder', 'a:b']);
  expect({ out, err }).toEqual({ out: '/v\n', err: 'a:b: /v/a/b.gguf\n' });
  expect(asked()?.body).toEqual({ models: ['a:b'] });
});

test('view tells what it passed over beside the folder', async () => {
  platform.routes['POST /sutaz/v1/store/views/ollama'] = json({
    ...{ kind: 'ollama', root: '/v', variable: 'OLLAMA_MODELS', models: [] },
    skipped: [{ id: 'c', why: 'c has no GGUF file that a view could show.' }],
  });
  const { code, out, err } = await platform.run(['models', 'view', 'ollama']);
  expect({ code, out }).toEqual({ code: 0, out: '/v\n' });
  expect(err).toBe('passed over: c: c has no GGUF file that a view could show.\n');
});

test('pull follows one that runs, or asks for a newer file', async () => {
  const done = stream(sse('done', { model: { id: 'a:b', pulled: null } }));
  platform.routes['GET /sutaz/v1/models/a%3Ab/pull'] = done;
  platform.routes['POST /sutaz/v1/models/a%3Ab/pull'] = done;
  expect((await platform.run(['models', 'pull', 'a:b', '--watch'])).code).toBe(0);
  await platform.run(['models', 'pull', 'a:b', '--update']);
  expect(asked()?.path).toBe('/sutaz/v1/models/a%3Ab/pull?update=true');
});
