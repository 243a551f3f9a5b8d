import { homedir } from 'node:os';
import type { Clock } from '#kernel/clock';
import { homePaths, isRunning, readKey, readPlatformFile, resolveHome } from '../home.ts';
import type { HomePaths } from '../home.ts';

import { commands } from './commands.ts';
import type { Connection, Composition, Context, Io } from './context.ts';
import { CliFailure, describeError, errorJson, exitCodeOf, exitCodes } from './failure.ts';
import { parseCommand, resolveCommand } from './parse.ts';

export interface CliOptions {
  readonly io: Io;
  readonly composition: Composition;
  /** Its timers keep the process alive: a command that only waits must not end by itself. */
  readonly clock: Clock;
  interrupt(): AbortSignal;
}

/** Runs one command line. Never throws: what goes wrong is said on stderr and becomes the exit code. */
export async function runCli(argv: readonly string[], options: CliOptions): Promise<number> {
  const { io } = options;
  try {
    return await dispatch(argv, options);
  } catch (error) {
    const json = argv.includes('--json');
    const message = describeError(error);
    if (json) io.err(`${JSON.stringify(errorJson(error))}\n`);
    else if (message !== null) io.err(`sutaz: ${message}\n`);
    if (!json && io.env.SUTAZ_DEBUG && error instanceof Error) io.err(`${error.stack}\n`);
    return exitCodeOf(error);
  }
}

async function dispatch(argv: readonly string[], options: CliOptions): Promise<number> {
  const { io } = options;
  const resolved = resolveCommand(argv, commands);
  if (resolved.kind === 'group') {
    const { renderGroup } = await import('./help.ts');
    (resolved.asked ? io.out : io.err)(renderGroup(resolved.name, commands));
    return resolved.asked ? exitCodes.ok : exitCodes.usage;
  }
  const entry = commands[resolved.name];
  if (!entry) throw new Error(`the command ${resolved.name} is not in the table`);
  const command = await entry.load();
  const { values, positionals } = parseCommand(resolved.name, command, resolved.rest);
  if (values.help === true) {
    const { renderHelp } = await import('./help.ts');
    io.out(renderHelp(resolved.name, command));
    return exitCodes.ok;
  }
  const asked = typeof values.home === 'string' ? values.home : undefined;
  const code = await command.run(values, positionals, contextFor(options, values.json === true, asked));
  return code ?? exitCodes.ok;
}

function contextFor({ io, composition, clock, interrupt }: CliOptions, json: boolean, askedHome?: string): Context {
  const machine = { env: io.env, platform: process.platform, homedir: homedir(), cwd: io.cwd };
  const home = homePaths(resolveHome(machine, askedHome));
  return {
    ...io,
    clock,
    json,
    home,
    composition,
    commands,
    interrupt,
    connect: () => connect(home),
    printJson: (value) => io.out(`${JSON.stringify(value)}\n`),
  };
}

async function connect(home: HomePaths): Promise<Connection> {
  const file = await readPlatformFile(home);
  // A file left by a platform that was killed may name a port that is someone else's now, who must not get the key.
  if (!file || !isRunning(file)) {
    const message = `SutazAI is not running (home ${home.root}). Start it with \`sutaz up\`.`;
    throw new CliFailure(exitCodes.notRunning, message, { home: home.root });
  }
  const { createClient } = await import('../http.ts');
  const { clientOver } = await import('../sdk.ts');
  const http = createClient({ url: file.url, key: await readKey(home) });
  return { ...clientOver(http), ...http };
}
