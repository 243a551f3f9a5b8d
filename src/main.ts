import { dirname } from 'node:path';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileOf, loadConfig, watchConfig } from '#config/load';
import type { LoadOptions } from '#config/load';
import type { Config } from '#config/static';
import { formatProblem } from '#config/strict';
import type { RunPlatform } from '#contracts/platform';
import { deadline } from '#kernel/abort';
import { systemClock } from '#kernel/clock';
import { Fault, systemCode } from '#kernel/faults';
import { createLogger } from '#observe/log';
import { openHome } from '#runtime/home';
import type { Home } from '#runtime/home';
import { openPlatformLog } from './platform/log-file.ts';
import { startApp } from './app.ts';
import type { App } from './app.ts';
import { readPair } from './platform/certificates.ts';
import { mustMake } from './platform/routes.ts';
import { inherit } from './platform/succession/heir.ts';
import { version } from './platform/version.ts';
import { standardDrivers } from './standard.ts';

/** Runs the platform in this process until a signal or the control API asks it to end. */
export const runPlatform: RunPlatform = async (options) => {
  const { home: path, configFile, onReady, predecessor, launchSuccessor, ...overrides } = options;
  const loading = {
    home: path,
    env: process.env,
    overrides,
    ...(configFile === undefined ? {} : { file: configFile }),
  };
  // The clock's timers keep no process alive, and while the platform stops there may be nothing else: without this Node
  // would end it between two steps of its own stop.
  const alive = setInterval(() => undefined, 2 ** 30);
  const ending = new AbortController();
  let home: Home | undefined;
  try {
    if (predecessor) await mustBeAble(loading);
    const heritage = predecessor && (await inherit(predecessor, version));
    home = await openHome(path);
    const loaded = await mustLoad(loading);
    const log = createLogger(loaded.logs.level, openPlatformLog(home.logs));
    const config = watchConfig({ ...loading, initial: loaded, clock: systemClock, log });
    const host = { log, clock: systemClock, signal: ending.signal };
    // What daemons do for it, too: whoever sends it by hand wants the files read again.
    const asked = untilAsked(() => void config.refresh());
    try {
      const app = await startApp({
        ...{ home, config, drivers: standardDrivers(host), clock: systemClock, log },
        // Beside the sources in a checkout, beside their compiled form in the published package.
        catalog: join(import.meta.dirname, '../catalog'),
        console: join(packageRoot(import.meta.dirname), 'console/dist'),
        openapi: join(packageRoot(import.meta.dirname), 'docs/openapi.json'),
        onShutdown: asked.ask,
        ...(heritage && { heritage }),
        ...(launchSuccessor && { launchSuccessor }),
      }).catch(nameThePort(loaded.listen.port));
      onReady({ url: app.url, pid: app.pid, keyFile: app.keyFile });
      const isReplaced = await Promise.race([asked.promise.then(() => false), replaced(app)]);
      if (isReplaced) await leave(app, asked.promise);
      else await app.close();
    } finally {
      asked.stop();
      config.close();
    }
  } finally {
    ending.abort();
    // Open, it would keep this process, and the other one waiting for it.
    predecessor?.close();
    try {
      await home?.release();
    } finally {
      clearInterval(alive);
    }
  }
};

/** Throws what would keep this process from going on, as long as nobody has given anything up for it. */
async function mustBeAble(loading: LoadOptions): Promise<void> {
  const config = await mustLoad(loading);
  await mustMake(config, loading.home, { file: fileOf(loading) });
  const { tls } = config.listen;
  if (tls !== undefined && tls !== 'auto') await readPair(tls, systemClock.wall());
}

async function mustLoad(loading: LoadOptions): Promise<Config> {
  const loaded = await loadConfig(loading);
  if (loaded.ok) return loaded.value;
  throw new Fault('BAD_REQUEST', loaded.problems.map(formatProblem).join('\n'));
}

/** Throws where no other process goes on: then nothing more can be answered here, and the next start takes over what runs. */
async function replaced(app: App): Promise<true> {
  try {
    await app.replaced;
    return true;
  } catch (error) {
    await leave(app, Promise.resolve());
    throw error;
  }
}

/** Milliseconds that what is under way in a replaced platform may go on: WebSockets know no end. */
const leaveMs = 3_600_000;

async function leave(app: App, asked: Promise<void>): Promise<void> {
  const limit = deadline(systemClock, leaveMs, 'what was under way');
  const ends = new AbortController();
  limit.signal.addEventListener('abort', () => ends.abort(), { once: true });
  void asked.then(() => ends.abort());
  try {
    await app.leave(ends.signal);
  } finally {
    limit.clear();
  }
}

/** Resolves when a signal or the control API asks the platform to end. A second signal ends it at once. */
function untilAsked(onHangUp: () => void) {
  let ask = (): void => undefined;
  const promise = new Promise<void>((resolve) => (ask = resolve));
  let count = 0;
  const onSignal = () => (++count > 1 ? process.exit(1) : ask());
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const signal of signals) process.on(signal, onSignal);
  // The terminal it was started from may close: that is no reason to end.
  process.on('SIGHUP', onHangUp);
  return {
    promise,
    ask: () => ask(),
    stop() {
      for (const signal of signals) process.off(signal, onSignal);
      process.off('SIGHUP', onHangUp);
    },
  };
}

const nameThePort = (port: number) => (error: unknown) => {
  if (systemCode(error) !== 'EADDRINUSE') throw error;
  throw new Fault(
    'CONFLICT',
    `Port ${port} is taken by another program. Choose another with --port, or 0 for any free one.`,
    {
      cause: error,
    },
  );
};

/** The folder of package.json: one above in a checkout, two in the published package. */
const packageRoot = (from: string): string =>
  existsSync(join(from, 'package.json')) ? from : packageRoot(dirname(from));
