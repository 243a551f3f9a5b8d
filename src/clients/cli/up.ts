import { resolve } from 'node:path';
import type { PlatformOptions } from '#contracts/platform';
import { ipcLink } from '#kernel/link';
import { parseBytes } from '#kernel/quantities';
import { isRunning, readKey, readPlatformFile } from '../home.ts';
import { createClient } from '../http.ts';
import { clientOver } from '../sdk.ts';
import { defineCommand } from './command.ts';
import type { Values } from './command.ts';
import type { Context } from './context.ts';
import { CliFailure, describeError, exitCodes, systemCodeInside, usageError } from './failure.ts';
import { launchNext } from './successor.ts';

const options = {
  detach: { type: 'boolean', short: 'd', help: 'Return when it is ready, and let it run on' },
  port: { type: 'string', value: 'N', help: "The door's port; 0 takes any free one (otherwise sutaz.yaml, or 8080)" },
  memory: { type: 'string', value: 'SIZE', help: 'What services and models may use together, as in 8GiB' },
  config: {
    type: 'string',
    value: 'FILE',
    help: 'The configuration (otherwise sutaz.yaml in the home folder, if any)',
  },
  // How `--detach` starts itself: it prints nothing, since its output goes to a file and a console link is a secret.
  'foreground-child': { type: 'boolean' },
  // How a running platform starts the one that goes on in its place.
  successor: { type: 'boolean' },
} as const;

export const up = defineCommand({
  arguments: '',
  about:
    'Starts the platform and stays until it ends; Ctrl-C lets what works finish, then stops everything.\n' +
    'It prints its address, a link that opens the console once, and where the key is.',
  options,
  examples: ['sutaz up', 'sutaz up --detach --memory 8GiB', 'sutaz up --port 0 --json'],
  async run(values, _words, context) {
    const start = { home: context.home.root, ...startOptions(values, context.cwd) };
    const predecessor = values.successor ? ipcLink(process) : undefined;
    if (!predecessor) await refuseSecond(context);
    if (values.detach && !values['foreground-child']) {
      const { detach } = await import('./detach.ts');
      return announce(context, await detach(start, context));
    }
    let said = Promise.resolve();
    const onReady = (info: Started) => {
      if (values['foreground-child'] || predecessor) return;
      said = announce(context, info).catch((error: unknown) => context.err(`sutaz: ${describeError(error)}\n`));
    };
    try {
      const launchSuccessor = () => launchNext(start, context);
      await context.composition.runPlatform({
        ...start,
        onReady,
        launchSuccessor,
        ...(predecessor && { predecessor }),
      });
    } catch (error) {
      throw explain(error, start.port);
    } finally {
      await said;
    }
  },
});

export type StartOptions = Omit<PlatformOptions, 'onReady'>;

/** The options as the platform takes them, checked. Relative paths are the caller's folder's. */
export function startOptions(values: Values<typeof options>, cwd: string): Omit<StartOptions, 'home'> {
  const { port, memory, config } = values;
  const memoryBytes = memory === undefined ? undefined : parseBytes(memory);
  if (memoryBytes === null || memoryBytes === 0)
    throw usageError(`--memory ${memory} is not a size. Write it as 8GiB or 512MiB.`);
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) <= 65_535)) {
    throw usageError(`--port ${port} is not a port. It is a number up to 65535, or 0 for any free one.`);
  }
  return {
    ...(port === undefined ? {} : { port: Number(port) }),
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
    ...(config === undefined ? {} : { configFile: resolve(cwd, config) }),
  };
}

/** Only for a clear message: what truly keeps two platforms apart is the lock the platform itself takes. */
async function refuseSecond({ home }: Context): Promise<void> {
  const file = await readPlatformFile(home);
  if (!file || !isRunning(file)) return;
  const answers = await createClient({ url: file.url, timeoutMs: 2_000 })
    .json('GET', '/readyz')
    .then(
      () => true,
      (error: unknown) => systemCodeInside(error) !== 'ECONNREFUSED',
    );
  if (!answers) return;
  const { url, pid } = file;
  const message = `SutazAI is running already at ${url} (process ${pid}, home ${home.root}). \`sutaz down\` stops it.`;
  throw new CliFailure(exitCodes.conflict, message, { url, pid, home: home.root });
}

export interface Started {
  readonly url: string;
  readonly pid: number;
}

async function announce(context: Context, { url, pid }: Started): Promise<void> {
  const { home, json, printJson, out } = context;
  if (json) return printJson({ url, home: home.root, pid, keyFile: home.keyFile });
  out(`SutazAI is ready at ${url}\n`);
  const link = await clientOver(createClient({ url, key: await readKey(home) })).createConsoleLink();
  out(`  console  ${link.url}  (opens once; \`sutaz console\` makes another)\n`);
  out(`  key      ${home.keyFile}  (\`sutaz key\` prints it)\n`);
}

function explain(error: unknown, askedPort: number | undefined): unknown {
  if (systemCodeInside(error) !== 'EADDRINUSE') return error;
  const port = portInside(error) ?? askedPort ?? 8080;
  const message = `Port ${port} is used by another program. Choose another with --port N, or any free one with --port 0.`;
  return new CliFailure(exitCodes.failed, message, { port });
}

function portInside(error: unknown): number | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ('port' in at && typeof at.port === 'number') return at.port;
  }
  return undefined;
}
