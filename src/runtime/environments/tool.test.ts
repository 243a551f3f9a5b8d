import { tmpdir } from 'node:os';
import { expect, it } from 'vitest';
import { systemClock } from '#kernel/clock';
import { runTool } from './tool.ts';

const run = { cwd: tmpdir(), env: {}, clock: systemClock, signal: new AbortController().signal };

it('a program that is not there is the system’s error', async () => {
  await expect(runTool({ ...run, argv: ['/nowhere/tool'] })).rejects.toMatchObject({ code: 'ENOENT' });
});

it('both streams are kept apart, with the exit code', async () => {
  const argv = [process.execPath, '-e', 'console.log("out"); console.error("err"); process.exitCode = 3'] as const;
  expect(await runTool({ ...run, argv })).toEqual({ code: 3, stdout: ['out'], stderr: ['err'] });
});

/** In a process of its own: whatever else is opened here would fail as well. */
const exhausted = `
  import { openSync } from 'node:fs';
  import { runTool } from ${JSON.stringify(new URL('tool.ts', import.meta.url).href)};
  import { systemClock } from '#kernel/clock';
  try { for (;;) openSync('/dev/null'); } catch {}
  const { signal } = new AbortController();
  await runTool({ argv: ['/bin/true'], cwd: '/', env: {}, clock: systemClock, signal }).catch(({ code }) => console.log(code));
  // What nobody caught would end the process here.
  await new Promise(setImmediate);`;

it('regression: without descriptors it is the system’s error, and no end of the platform', async () => {
  const node = `exec "$0" --conditions=source --input-type=module -e "$1"`;
  const argv = ['/bin/sh', '-c', `ulimit -n 64; ${node}`, process.execPath, exhausted] as const;
  const { code, stdout, stderr } = await runTool({ ...run, cwd: import.meta.dirname, argv });
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: ['EMFILE'], stderr: [] });
});
