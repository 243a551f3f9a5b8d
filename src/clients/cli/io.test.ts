import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';

/** A process that reads its standard input as commands do, and says what it was. */
function reading(hintAfterMs: number) {
  const script = `
    import { processIo } from ${JSON.stringify(new URL('io.ts', import.meta.url).href)};
    console.log(JSON.stringify(await processIo(${hintAfterMs}).readInput()));`;
  const argv = ['--conditions=source', '--input-type=module', '-e', script];
  const child = spawn(process.execPath, argv, { cwd: import.meta.dirname });
  const said = { out: '', err: '' };
  child.stdout.on('data', (chunk: Buffer) => (said.out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (said.err += chunk.toString()));
  return { child, said, ended: once(child, 'close') };
}

test('an input that does not come is said to be waited for, and read all the same', async () => {
  const { child, said, ended } = reading(1);
  await once(child.stderr, 'data');
  child.stdin.end('late');
  await ended;
  expect(said).toEqual({ out: '"late"\n', err: 'Reading the standard input to its end; < /dev/null gives none.\n' });
});

test('one that comes is read without a word', async () => {
  const { child, said, ended } = reading(60_000);
  child.stdin.write('first, ');
  child.stdin.end('last');
  await ended;
  expect(said).toEqual({ out: '"first, last"\n', err: '' });
});
