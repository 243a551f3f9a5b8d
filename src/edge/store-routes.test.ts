import { afterEach, describe, expect, it } from 'vitest';
import { openDoor } from './door.fake.ts';
import type { OpenDoor } from './door.fake.ts';
import type { Library } from './store-routes.ts';

let door: OpenDoor;
afterEach(() => door.close());
const open = async (library: Partial<Library> = {}) => {
  door = await openDoor((_, res) => res.end());
  Object.assign(door.control.library, library);
  return door;
};
const post = (path: string, body: unknown) =>
  door.ask(path, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });

describe('the store’s part of the control API', () => {
  it.each([
    [
      'an unknown key',
      '/sutaz/v1/store/collect',
      { dryrun: true },
      /dryrun is not a parameter .* Did you mean dryRun\?/,
    ],
    ['a value of another kind', '/sutaz/v1/store/collect', { dryRun: 'yes' }, /dryRun must be true or false/],
    ['an import of nothing', '/sutaz/v1/store/import', {}, /Say what to import/],
    ['an import of two places', '/sutaz/v1/store/import', { path: '/x', from: 'ollama' }, /Say what to import/],
    [
      'an import from nowhere known',
      '/sutaz/v1/store/import',
      { from: 'vllm' },
      /from must be one of ollama, huggingface/,
    ],
    ['models that are no names', '/sutaz/v1/store/verify', { models: [1] }, /models\[0\] must be a string/],
  ])('refuses %s by name', async (_, path, body, message) => {
    await open();
    const { status, text } = await post(path, body);
    expect(status).toBe(400);
    expect(text).toMatch(message);
  });

  it('knows its views by name', async () => {
    await open({
      view: async (kind, names) => ({
        kind,
        root: '/v',
        variable: null,
        models: names.map((id) => ({ id, path: '' })),
        skipped: [],
      }),
    });
    expect((await post('/sutaz/v1/store/views/folder', { models: ['m'] })).text).toContain('"kind":"folder"');
    const { status, text } = await post('/sutaz/v1/store/views/ollma', {});
    expect(status).toBe(404);
    expect(text).toContain('Did you mean ollama?');
  });

  it('tells many watchers of one pull, and that none runs', async () => {
    const end = Promise.withResolvers<void>();
    const progress = { phase: 'downloading', what: 'm.gguf', done: 1, total: 2 } as const;
    const { ask } = await open({
      pulling: (name) => (name === 'm' ? { progress: () => progress, ended: end.promise } : null),
    });
    Object.assign(door.control, { model: async () => ({ id: 'm' }) });
    const watchers = [ask('/sutaz/v1/models/m/pull', {}), ask('/sutaz/v1/models/m/pull', {})];
    while (door.clock.pending < 2) await new Promise((resolve) => setImmediate(resolve));
    end.resolve();
    for (const { text } of await Promise.all(watchers)) {
      expect(text).toMatch(/event: progress\ndata: .*"m\.gguf".*\n\nevent: done\ndata: \{"model":\{"id":"m"\}\}\n\n$/);
    }
    expect((await ask('/sutaz/v1/models/n/pull', {})).status).toBe(409);
  });

  it('lets a watcher go who leaves before the pull is over', async () => {
    const leaving = new AbortController();
    const { ask } = await open({
      pulling: () => ({ progress: () => null, ended: new Promise<void>(() => undefined) }),
    });
    const watched = expect(ask('/sutaz/v1/models/m/pull', { signal: leaving.signal })).rejects.toThrow();
    while (door.clock.pending === 0) await new Promise((resolve) => setImmediate(resolve));
    leaving.abort();
    await watched;
    while (door.clock.pending > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  it('goes back to the version that is named, or to the one before', async () => {
    const asked: unknown[] = [];
    await open({ rollback: async (...call) => (asked.push(call), { id: 'm' } as never) });
    await post('/sutaz/v1/models/m/rollback', { digest: 'sha256:abc' });
    await door.ask('/sutaz/v1/models/m/rollback', { method: 'POST' });
    expect(asked).toEqual([
      ['m', 'sha256:abc'],
      ['m', null],
    ]);
  });
});
