import { execFile } from 'node:child_process';
import { dirname } from 'node:path';
import type { Grant } from '#catalog/service';
import { throwIfAborted } from '#kernel/abort';
import { Fault } from '#kernel/faults';
import { createSingleFlight } from '#kernel/single-flight';
import { fill, fillAll } from './blueprint.ts';

/** Where the provider of a capability runs, and whose account is asked for. */
export interface GrantPlace {
  readonly provider: string;
  readonly consumer: string;
  readonly capability: string;
  readonly host: string;
  readonly port: number;
  readonly dataDir: string;
  readonly serviceDir: string;
  /** The provider's own lasting secret, and the account's. */
  readonly secret: string;
  readonly accountSecret: string;
}

/** Makes accounts of consumers at what provides for many of them. */
export interface Grants {
  /** Resolves with what the consumer is told, by `capability.name`. Throws START_FAILED with the last words of its command. */
  make(grant: Grant, place: GrantPlace, signal: AbortSignal): Promise<Record<string, string>>;
}

/** Milliseconds that making one account may take. */
const limitMs = 30_000;

export function createGrants(timeoutMs = limitMs): Grants {
  // Copies of a service start at the same time and have one account: two at once would stand in each other's way.
  const flights = createSingleFlight<string>();
  // One account after the other at each provider, so that its command need not think of another beside it.
  const last = new Map<string, Promise<unknown>>();
  const inTurn = (provider: string, work: () => Promise<string>): Promise<string> => {
    const mine = (last.get(provider) ?? Promise.resolve()).then(work, work);
    last.set(provider, mine);
    return mine;
  };
  return {
    async make(grant, place, signal) {
      const { provider, consumer, capability } = place;
      const values = valuesOf(place);
      const printed = await flights.run(`${provider} ${capability} ${consumer}`, signal, (aborted) =>
        inTurn(provider, () => run(grant, place, values, timeoutMs, aborted)),
      );
      const told = fillAll(grant.values, { ...values, ...madeIn(printed) }, `${provider}: grants.${capability}.values`);
      return Object.fromEntries(Object.entries(told).map(([name, value]) => [`${capability}.${name}`, value]));
    },
  };
}

/** An id's hyphens are no part of names in SQL. */
export const accountOf = (consumer: string): string => consumer.replaceAll('-', '_');

const valuesOf = ({ host, port, dataDir, serviceDir, consumer, secret, accountSecret }: GrantPlace) => ({
  ...{ host, port: String(port), data: dataDir, service: serviceDir },
  ...{ account: accountOf(consumer), secret, 'account.secret': accountSecret },
});

async function run(
  { command, env }: Grant,
  { provider, consumer, capability, dataDir }: GrantPlace,
  values: Readonly<Record<string, string>>,
  timeout: number,
  signal: AbortSignal,
): Promise<string> {
  throwIfAborted(signal);
  if (!command) return '';
  const about = `${provider}: grants.${capability}`;
  // Secrets are left out: the arguments of a process are seen by everyone on the machine.
  const { secret: _own, 'account.secret': _account, ...open } = values;
  const [program = '', ...args] = command.map((part, i) => fill(part, open, `${about}.command[${i}]`));
  const path = [dirname(process.execPath), process.env.PATH].filter(Boolean).join(':');
  const options = {
    ...{ cwd: dataDir, timeout, signal, killSignal: 'SIGKILL' as const },
    env: { LANG: 'C.UTF-8', HOME: dataDir, PATH: path, ...fillAll(env, values, `${about}.env`) },
  };
  const file = program === 'node' ? process.execPath : program;
  return new Promise<string>((resolve, reject) => {
    execFile(file, args, options, (error, stdout, stderr) => {
      if (!error) return resolve(stdout);
      const why = error.killed ? `it took longer than ${timeout} ms` : lastLine(stderr || stdout) || error.message;
      reject(new Fault('START_FAILED', `${provider} made no account for ${consumer}: ${why}`, { cause: error }));
    });
  });
}

/** What its command says it made: `database=3` becomes `{made.database}`. */
const madeIn = (printed: string): Record<string, string> =>
  Object.fromEntries(
    [...printed.matchAll(/^(\w+)=(.*)$/gm)].map(([, name = '', value = '']) => [`made.${name}`, value]),
  );

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? '';
