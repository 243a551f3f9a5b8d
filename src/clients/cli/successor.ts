import { spawn } from 'node:child_process';
import { closeSync, readFileSync } from 'node:fs';
import type { Successor } from '#contracts/platform';
import { ipcLink } from '#kernel/link';
import { lastLines, openOutput, startArguments } from './detach.ts';
import type { Context } from './context.ts';
import type { StartOptions } from './up.ts';

/**
 * Starts the program as it is installed now, with the choices of the one that runs. It is a process of its own, whose output
 * goes where that of `up --detach` does, and which outlives this one.
 */
export function launchNext(start: StartOptions, { composition, env, home }: Context): Successor {
  const output = openOutput(home.logs, home.output);
  const [program, ...args] = composition.self;
  const child = spawn(program, [...args, 'up', '--successor', ...startArguments(start)], {
    ...{ cwd: start.home, env: { ...env }, detached: true },
    stdio: ['ignore', output.fd, output.fd, 'ipc'],
  });
  closeSync(output.fd);
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, by) => {
      const said = lastLines(readFileSync(home.output).subarray(output.before)).join('\n');
      resolve(said.replace(/^sutaz: /, '') || (by ? `ended by ${by}` : `exit code ${String(code)}`));
    });
  });
  // The line keeps this process for as long as it has something to say, and no longer.
  child.unref();
  return { link: ipcLink(child), pid: child.pid ?? 0, ended, kill: () => void child.kill('SIGTERM') };
}
