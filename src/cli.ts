#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCli } from '#clients/cli/main';
import { processClock, processInterrupts } from '#clients/cli/process';
import { processIo } from '#clients/cli/io';
import { systemClock } from '#kernel/clock';
import { silentLogger } from '#kernel/logger';

const root = packageRoot(import.meta.dirname);

process.exitCode = await runCli(process.argv.slice(2), {
  io: processIo(),
  clock: processClock,
  interrupt: processInterrupts(),
  composition: {
    version: readVersion(root),
    self: [process.execPath, ...process.execArgv, fileURLToPath(import.meta.url)],
    gpus: async (env) => (await import('./gpus.ts')).listGpus(env),
    confinement: async (home) => (await import('./confinement.ts')).confinementHere(home),
    issuers: async (home, env) => (await import('./issuers.ts')).askIssuers(home, env),
    // Each is imported when it is needed: a command that only asks the platform loads none of it.
    runPlatform: async (options) => (await import('./main.ts')).runPlatform(options),
    planOffline: async (options) => {
      const [{ planOffline }, { standardDrivers }] = await Promise.all([import('./plan.ts'), import('./standard.ts')]);
      const host = { log: silentLogger, clock: systemClock, signal: new AbortController().signal };
      return planOffline({
        ...{ ...options, builtIn: join(import.meta.dirname, '../catalog'), env: process.env, clock: systemClock },
        openState: standardDrivers(host).openState,
      });
    },
    validateCatalog: async (options) =>
      (await import('./validate.ts')).validateCatalog({ ...options, builtIn: join(import.meta.dirname, '../catalog') }),
  },
});

/** The folder of package.json: one above in a checkout, two in the published package. */
function packageRoot(from: string): string {
  try {
    readFileSync(join(from, 'package.json'));
    return from;
  } catch {
    return packageRoot(dirname(from));
  }
}

function readVersion(folder: string): string {
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string };
  return version;
}
