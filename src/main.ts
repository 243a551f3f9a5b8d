import { dirname } from 'node:path';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig, watchConfig } from '#config/load';
import { formatProblem } from '#config/strict';
import type { RunPlatform } from '#contracts/platform';
import { systemClock } from '#kernel/clock';
import { Fault, systemCode } from '#kernel/faults';
import { createLogger } from '#observe/log';
import { openHome } from '#runtime/home';
import { openPlatformLog } from './platform/log-file.ts';
import { startApp } from './app.ts';
import { standardDrivers } from './standard.ts';

/** Runs the platform in this process until a signal or the control API asks it to end. */
export const runPlatform: RunPlatform = async ({ home: path, configFile, onReady, ...overrides }) => {
  const loading = {
    home: path,
    env: process.env,
    overrides,
    ...(configFile === undefined ? {} : { file: configFile }),
  };
  const home = await openHome(path);
  // The clock's timers keep no process alive, and while the platform stops there may be nothing else: without this Node
  // would end it between two steps of its own stop.
  const alive = setInterval(() => undefined, 2 ** 30);
  const ending = new AbortController();
  try {
    const loaded = await loadConfig(loading);
    if (!loaded.ok) throw new Fault('BAD_REQUEST', loaded.problems.map(formatProblem).join('\n'));
    const log = createLogger(loaded.value.logs.level, openPlatformLog(home.logs));
    const config = watchConfig({ ...loading, initial: loaded.value, clock: systemClock, log });
    const host = { log, clock: systemClock, signal: ending.signal };
    const asked = untilAsked();
    try {
      const app = await startApp({
        ...{ home, config, drivers: standardDrivers(host), clock: systemClock, log },
        // Beside the sources in a checkout, beside their compiled form in the published package.
        catalog: join(import.meta.dirname, '../catalog'),
        console: join(packageRoot(import.meta.dirname), 'console/dist'),
        openapi: join(packageRoot(import.meta.dirname), 'docs/openapi.json'),
        onShutdown: asked.ask,
      }).catch(nameThePort(loaded.value.listen.port));
      onReady({ url: app.url, pid: app.pid, keyFile: app.keyFile });
      await asked.promise;
      await app.close();
    } finally {
      asked.stop();
      config.close();
    }
  } finally {
    ending.abort();
    await home.release();
    clearInterval(alive);
  }
};

/** Resolves when a signal or the control API asks the platform to end. A second signal ends it at once. */
function untilAsked() {
  let ask = (): void => undefined;
  const promise = new Promise<void>((resolve) => (ask = resolve));
  let count = 0;
  const onSignal = () => (++count > 1 ? process.exit(1) : ask());
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const signal of signals) process.on(signal, onSignal);
  // The terminal it was started from may close: that is no reason to end.
  const ignore = () => undefined;
  process.on('SIGHUP', ignore);
  return {
    promise,
    ask: () => ask(),
    stop() {
      for (const signal of signals) process.off(signal, onSignal);
      process.off('SIGHUP', ignore);
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
