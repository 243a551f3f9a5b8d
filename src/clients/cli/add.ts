import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { sleep } from '#kernel/abort';
import { Fault, systemCode } from '#kernel/faults';
import { finished } from '../sdk.ts';
import type { Client } from '../sdk.ts';
import { fromCompose } from './add-compose.ts';
import { idOf, packaged, readSource, renderDraft, splitCommand } from './add-draft.ts';
import type { Container, Draft } from './add-draft.ts';
import { problemLine } from './catalog.ts';
import { defineCommand } from './command.ts';
import type { Values } from './command.ts';
import type { Context } from './context.ts';
import { describeError, exitCodes, usageError } from './failure.ts';
import type { ExitCode } from './failure.ts';
import { formatWake, progressLine } from './progress.ts';

const options = {
  id: { type: 'string', value: 'ID', help: 'Its id (otherwise made of the name of its source)' },
  name: { type: 'string', value: 'TEXT', help: 'Its name for people' },
  summary: { type: 'string', value: 'TEXT', help: 'What it is, in one line' },
  category: { type: 'string', value: 'NAME', help: 'Where it stands in the catalogue (tool)' },
  command: { type: 'string', value: 'TEXT', help: 'Of a package: what starts it, with {host}, {port} and {data}' },
  port: { type: 'string', value: 'N', help: 'Of an image: the port that it listens on inside' },
  health: { type: 'string', value: 'PATH', help: 'A path that answers 2xx once it is up (otherwise an open port)' },
  memory: { type: 'string', value: 'SIZE', help: 'What it weighs until it was measured (512MiB)' },
  service: { type: 'string', value: 'NAME', help: 'Of a compose file: which of its services' },
  'dry-run': { type: 'boolean', help: 'Print the definition, and write nothing' },
  'no-start': { type: 'boolean', help: 'Do not start it' },
} as const;
type Given = Values<typeof options>;

export const add = defineCommand({
  arguments: 'SOURCE',
  about:
    'Writes a definition of your own, into catalog/services of the home folder, and starts it where a platform runs. SOURCE\n' +
    'is npm:PACKAGE, pypi:PACKAGE, an image, or a compose file (its name ends with .yaml or .yml). What cannot be known is asked\n' +
    'on a terminal; elsewhere its option is needed. A definition that is wrong is not written.',
  options,
  examples: [
    "sutaz add npm:http-server@14.1.1 --command 'http-server {data} -a {host} -p {port}'",
    'sutaz add chromadb/chroma:1.5.9 --port 8000 --health /api/v2/heartbeat --category vector-db',
    'sutaz add compose.yaml --service web --dry-run',
  ],
  async run(values, [source = ''], context) {
    const { draft, notes } = await drafted(source, values, context);
    const text = renderDraft(draft, source, new Date(context.clock.wall()).toISOString().slice(0, 10));
    const file = join(context.home.catalog, 'services', `${draft.id}.yaml`);
    for (const note of notes) context.err(`${note}\n`);
    const wrong = await problemsOf(draft.id, text, context);
    if (wrong.length > 0) {
      if (context.json) context.printJson({ ok: false, problems: wrong });
      else context.out(wrong.map(problemLine).join(''));
      context.err('Nothing was written.\n');
      return exitCodes.failed;
    }
    if (values['dry-run']) {
      if (context.json) context.printJson({ ok: true, id: draft.id, file, text, written: false });
      else context.out(text);
      return exitCodes.ok;
    }
    await written(file, text);
    return values['no-start']
      ? told(context, draft.id, file, { state: 'not started' })
      : start(draft.id, file, context);
  },
});

async function drafted(
  source: string,
  given: Given,
  context: Context,
): Promise<{ readonly draft: Draft; readonly notes: readonly string[] }> {
  const from = readSource(source);
  const ask = (what: string, flag: 'command' | 'port') => given[flag] ?? asked(what, `--${flag}`, context);
  const draft = (name: string, run: Draft['run']): Draft => {
    const id = given.id ?? idOf(name);
    const { summary = `Added from ${source}`, category = 'tool', health = null, memory = '512MiB' } = given;
    return { id, name: given.name ?? id, summary, category, run, health, memory };
  };
  if (from.kind === 'node' || from.kind === 'python') {
    const command = splitCommand(await ask('The command that starts it, with {host} and {port}', 'command'));
    return { draft: draft(from.package, packaged(from.kind, from.package, command)), notes: [] };
  }
  const composed = from.kind === 'compose' ? await composedOf(from.file, given.service, context) : null;
  const container: Container = composed?.container ?? { image: from.kind === 'image' ? from.image : '' };
  const port = portOf(
    given.port ?? container.port ?? (await ask('The port that it listens on in the container', 'port')),
  );
  const docker = { ...container, port };
  return { draft: draft(composed?.name ?? container.image, { docker }), notes: composed?.notes ?? [] };
}

async function composedOf(file: string, service: string | undefined, { cwd, env }: Context) {
  const path = resolve(cwd, file);
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw usageError(`${path} cannot be read: ${systemCode(error) ?? String(error)}.`);
  });
  return fromCompose(text, service, env);
}

function portOf(given: string | number): number {
  const port = Number(given);
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port;
  throw usageError(`A port is a number from 1 to 65535, not "${given}".`);
}

/** What only the user knows. */
async function asked(what: string, flag: string, context: Context): Promise<string> {
  if (!context.inTty || context.json) throw usageError(`${what} is not known. Give it as ${flag}.`);
  const answer = await context.prompt(`${what}: `)();
  if (answer === null) throw new Fault('CANCELLED', 'Nothing was written.');
  if (answer.trim() === '') throw usageError(`${what} is needed. Nothing was written.`);
  return answer.trim();
}

/** Judged beside the rest of the catalogue, from a place where no platform looks. */
async function problemsOf(id: string, text: string, context: Context) {
  const folder = await mkdtemp(join(tmpdir(), 'sutaz-add-'));
  const file = join(folder, `${/^[\w-]+$/.test(id) ? id : 'definition'}.yaml`);
  try {
    await writeFile(file, text, { mode: 0o600 });
    const { catalog } = context.home;
    return (await context.composition.validateCatalog({ catalog, files: [file] })).problems;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Its environment may hold secrets: only its user reads it. */
async function written(file: string, text: string): Promise<void> {
  await mkdir(join(file, '..'), { recursive: true });
  await writeFile(file, text, { flag: 'wx', mode: 0o600 }).catch((error: unknown) => {
    if (systemCode(error) !== 'EEXIST') throw error;
    throw new Fault('CONFLICT', `${file} is there already. Choose another --id, or remove it.`);
  });
}

async function start(id: string, file: string, context: Context): Promise<ExitCode> {
  let client: Client;
  try {
    client = await context.connect();
  } catch (error) {
    const why = describeError(error) ?? 'no platform was reached';
    return told(context, id, file, { state: 'not started', why: `${why} Then: sutaz start ${id}` });
  }
  const signal = context.interrupt();
  const line = progressLine(context, context.clock);
  try {
    await listed(client, id, context, signal);
    const events = client.startUnit(id, { wait: true }, { signal });
    const unit = await finished(events, (progress) => line.show(formatWake(id, progress), progress.phase));
    return told(context, id, file, { state: unit.state });
  } catch (error) {
    const cannot = error instanceof Fault && error.code === 'NOT_SUPPORTED';
    const why = describeError(error) ?? 'interrupted';
    return told(context, id, file, { state: cannot ? 'not started' : 'failed', why });
  } finally {
    line.clear();
  }
}

/** The platform sees the file by itself, a moment after it was written. */
async function listed(client: Client, id: string, { clock }: Context, signal: AbortSignal): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const { services } = await client.readCatalog();
    if (services.some((one) => one.id === id && one.origin === 'user')) return;
    await sleep(clock, 100, signal);
  }
  throw new Fault('TIMEOUT', 'the platform did not take it up within 10 s: see `sutaz catalog ls`');
}

function told(
  context: Context,
  id: string,
  file: string,
  { state, why }: { readonly state: string; readonly why?: string },
): ExitCode {
  if (context.json) context.printJson({ ok: state !== 'failed', id, file, written: true, state, ...(why && { why }) });
  else context.out(`${file}\n${id}: ${state}${why ? `, ${why}` : ''}\n`);
  return state === 'failed' ? exitCodes.failed : exitCodes.ok;
}
