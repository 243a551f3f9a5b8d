// Verifies the catalogue by running it: `npm run test:fleet -- --help`.
import { mkdtemp, rm } from 'node:fs/promises';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { ServiceDefinition } from '#catalog/service';
import type { RuntimeDriver } from '#contracts/runtime';
import { Fault } from '#kernel/faults';
import { didYouMean } from '#kernel/nearest';
import { formatBytes, parseBytes, parseDuration } from '#kernel/quantities';
import { endLeftovers } from '../test/_leftovers.ts';
import { builtInCatalog } from '../test/_prepared.ts';
import { openEngine, whyNotFetched } from './fleet/containers.ts';
import { withOwnModels } from './fleet/engines.ts';
import { absentProgram, planTrial, versionOf } from './fleet/plan.ts';
import type { Machine } from './fleet/plan.ts';
import { noteVerified, readVerified } from './fleet/record.ts';
import type { Verification } from './fleet/record.ts';
import { inShelter, shelter } from './fleet/shelter.ts';
import { isProven, noteTogether, renderTogether } from './fleet/together-record.ts';
import { visitTogether } from './fleet/together.ts';
import { tryService } from './fleet/trial.ts';

const help = `Starts each service of the catalogue that this machine can run, uses it once through the door, puts it to sleep, wakes it, stops it,
looks whether anything is left, and writes what it found to catalog/verified.json: also which models it asked with its own key, by the
map (n8n, Flowise and Langflow are given a flow that asks one). Ends with 1 when one failed.

npm run test:fleet -- [ID...]
  --limit TIME  for each service, its packages included (15m)
  --together    all that were verified on one platform, visited one after the other while its memory is looked at twice a second;
                --limit is then its memory (4GiB). What is found is written to catalog/together.json; ends with 1 when a visit
                failed, or more than the limit was reserved or in use
  --home DIR    where the platforms live; kept, so that packages are fetched once. Without it a temporary one
  --json        what was found as JSON, and nothing else

Example:
  npm run test:fleet -- chroma node-red --limit 10m
  npm run test:fleet -- --together --limit 4GiB`;

const wrong = (message: string) => new Fault('BAD_REQUEST', `${message} See npm run test:fleet -- --help.`);

function chosen(ids: readonly string[], services: ReadonlyMap<string, ServiceDefinition>): ServiceDefinition[] {
  if (ids.length === 0) return [...services.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  return ids.map((id) => {
    const found = services.get(id);
    if (!found) throw wrong(`No service is called ${id}.${didYouMean(id, services.keys())}`);
    return found;
  });
}

function lineOf(one: Verification): string {
  if (one.outcome === 'not-here') return `${one.id}: not here, ${one.why}`;
  const { id, outcome, startSeconds, pssBytes, call, sleep, models = [] } = one;
  const parts = [
    startSeconds === null ? '' : `start ${startSeconds} s`,
    pssBytes === null ? '' : formatBytes(pssBytes),
    call ? `${call.what} ${call.status}` : '',
    ...models.map(({ model, requests }) => `asked ${model} ${requests} times`),
    sleep ? `${sleep.rung}, awake in ${sleep.wakeSeconds} s` : '',
    outcome === 'failed' ? one.error : '',
  ];
  return `${id}: ${outcome}${parts.map((part) => (part ? `, ${part}` : '')).join('')}`;
}

interface Run {
  readonly machine: Machine;
  /** The engine of containers; null where none answers. */
  readonly engine: RuntimeDriver | null;
  readonly home: string;
  readonly limitMs: number;
  readonly signal: AbortSignal;
  say(text: string): void;
}

async function verified(definition: ServiceDefinition, run: Run): Promise<Verification> {
  const notHere = (why: string): Verification => {
    const date = new Date().toISOString().slice(0, 10);
    return { outcome: 'not-here', id: definition.id, date, version: versionOf(definition, null), why };
  };
  const plan = planTrial(definition, run.machine);
  if (plan.way === null) return notHere(plan.why);
  run.say(definition.id);
  const limit = AbortSignal.timeout(run.limitMs);
  const signal = AbortSignal.any([run.signal, limit]);
  const { docker } = definition.run;
  if (plan.way === 'docker' && docker && run.engine) {
    const why = await whyNotFetched(run.engine, docker, { ...run, signal });
    if (why !== null) return notHere(why);
  }
  const found = await tryService(definition, plan.way, { ...run, shelter: shelter(), signal });
  await endLeftovers(run.home);
  if (found.outcome === 'verified') return found;
  if (limit.aborted) return { ...found, error: `took too long: ${found.error}` };
  const absent = absentProgram(definition, found.error);
  return absent === null ? found : notHere(`needs ${absent}, which this machine does not have`);
}

async function verifyAll(definitions: readonly ServiceDefinition[], known: ReadonlySet<string>, run: Run) {
  const all: Verification[] = [];
  for (const definition of definitions) {
    const found = await verified(definition, run);
    // What was interrupted is no failure of the service's.
    if (run.signal.aborted) break;
    run.say(lineOf(found));
    await noteVerified([found], known);
    all.push(found);
  }
  return all;
}

/** How long one service may take where nothing else is said. */
const eachTakes = '15m';

async function together(
  ids: readonly string[],
  { limit = '4GiB', home, json }: { limit?: string; home?: string; json?: boolean },
): Promise<number> {
  const limitBytes = parseBytes(limit);
  if (limitBytes === null) throw wrong(`--limit is an amount of memory such as 4GiB with --together, not "${limit}".`);
  const catalog = await builtInCatalog();
  const services = new Map([...catalog.services].map(([id, { definition }]) => [id, definition]));
  const verified = (await readVerified()).filter(({ outcome }) => outcome === 'verified').map(({ id }) => id);
  const definitions = chosen(ids.length > 0 ? ids : verified, services);
  const visited = new Set(definitions.map(({ id }) => id));
  const others = [...services.keys()].filter((id) => !visited.has(id));
  const interrupt = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupt.abort());
  const folder = home ?? (await mkdtemp('/var/tmp/sutaz-fleet-'));
  try {
    const apart = withOwnModels(definitions, (model) => readFileSync(catalog.models.get(model)?.path ?? '', 'utf8'));
    const found = await visitTogether(apart, others, {
      ...{ home: folder, limitBytes, limitMs: parseDuration(eachTakes) ?? 0, signal: interrupt.signal },
      say: (text) => void (json || console.log(text)),
    });
    if (json) console.log(JSON.stringify(found, null, 2));
    if (interrupt.signal.aborted) return 130;
    // A part of them proves nothing of all.
    if (ids.length === 0) await noteTogether(found);
    if (!json) console.log(renderTogether(found), ...found.over);
    return isProven(found) ? 0 : 1;
  } finally {
    if (home === undefined) await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      ...{ limit: { type: 'string' }, home: { type: 'string' }, together: { type: 'boolean' } },
      ...{ json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    },
  });
  if (values.help) return (console.log(help), 0);
  if (values.together) return together(positionals, values);
  const limitMs = parseDuration(values.limit ?? eachTakes);
  if (limitMs === null) throw wrong(`--limit is a duration such as 10m, not "${values.limit}".`);
  const catalog = await builtInCatalog();
  const services = new Map([...catalog.services].map(([id, { definition }]) => [id, definition]));
  const definitions = chosen(positionals, services);
  // Not /tmp, which is another one in the shelter; and short, since sockets below it have names of at most 107 bytes.
  const folder = shelter() ?? (await mkdtemp('/var/tmp/sutaz-fleet-'));
  if (shelter() === null) {
    try {
      const code = await inShelter(folder);
      if (code !== null) return code;
      return await runHere(folder);
    } finally {
      await rm(folder, { recursive: true, force: true, maxRetries: 3 });
    }
  }
  return runHere(folder);

  async function runHere(base: string): Promise<number> {
    const interrupt = new AbortController();
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupt.abort());
    const home = values.home ?? join(base, 'platform');
    const engine = await openEngine();
    const machine = { hasGpu: existsSync('/dev/nvidia0'), hasDocker: engine !== null };
    const say = (text: string) => void (values.json || console.log(text));
    const run = { machine, engine, home, limitMs: limitMs ?? 0, signal: interrupt.signal, say };
    const all = await verifyAll(definitions, new Set(services.keys()), run).finally(() => engine?.close());
    if (values.json) console.log(JSON.stringify({ services: all }, null, 2));
    if (interrupt.signal.aborted) return 130;
    return all.some(({ outcome }) => outcome === 'failed') ? 1 : 0;
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  const isUsage = (error instanceof Fault && error.code === 'BAD_REQUEST') || error instanceof TypeError;
  console.error(isUsage ? error.message : error);
  process.exitCode = isUsage ? 2 : 1;
}
