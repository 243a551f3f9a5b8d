import { expect, it } from 'vitest';
import type { FollowOptions } from './logs.ts';
import { followAll, tailAll } from './several-logs.ts';

const one = [{ name: 'echo', file: 'a' }];
const both = [...one, { name: 'echo~2', file: 'b' }];

it('shows one log as it is, and says of which instance each line of several is', async () => {
  const logs = { tail: async (file: string, lines: number) => [`${file}1`, `${file}2`].slice(-lines) };
  expect(await tailAll(one, 1, logs)).toEqual(['a2']);
  expect(await tailAll(both, 2, logs)).toEqual(['echo   | a1', 'echo   | a2', 'echo~2 | b1', 'echo~2 | b2']);
});

/** Logs whose lines come when the test says so. */
function written() {
  const wakes = new Map<string, (line: string | null) => void>();
  const ended: string[] = [];
  async function* follow(file: string, { signal }: FollowOptions): AsyncGenerator<string> {
    try {
      for (;;) {
        const line = await new Promise<string | null>((resolve) => {
          if (signal.aborted) return resolve(null);
          wakes.set(file, resolve);
          signal.addEventListener('abort', () => resolve(null), { once: true });
        });
        if (line === null) return;
        if (line === 'broken') throw new Error(`${file} cannot be read`);
        yield line;
      }
    } finally {
      ended.push(file);
    }
  }
  return { logs: { follow }, ended, write: (file: string, line: string) => wakes.get(file)?.(line) };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

it('follows all of them in the order of their lines, and leaves none reading when it is left', async () => {
  const { logs, ended, write } = written();
  const lines = followAll(both, { signal: new AbortController().signal }, logs);
  const next = lines.next();
  await turn();
  for (const [file, line] of [
    ['b', 'first'],
    ['a', 'second'],
    ['b', 'third'],
  ] as const) {
    write(file, line);
    await turn();
  }
  expect((await next).value).toBe('echo~2 | first');
  expect((await lines.next()).value).toBe('echo   | second');
  await lines.return();
  expect(ended.sort()).toEqual(['a', 'b']);
});

it('ends with the signal', async () => {
  const { logs, ended } = written();
  const controller = new AbortController();
  const next = followAll(both, { signal: controller.signal }, logs).next();
  await turn();
  controller.abort();
  expect(await next).toMatchObject({ done: true });
  expect(ended).toHaveLength(2);
});

it('fails with the first that fails, and ends the others', async () => {
  const { logs, ended, write } = written();
  const next = followAll(both, { signal: new AbortController().signal }, logs).next();
  await turn();
  write('b', 'broken');
  await expect(next).rejects.toThrow('b cannot be read');
  expect(ended.sort()).toEqual(['a', 'b']);
});
