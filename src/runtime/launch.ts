import { access, mkdir } from 'node:fs/promises';
import { dirname, extname, join } from 'node:path';
import type { InstanceSpec } from '#contracts/runtime';
import type { OnProgress } from '#contracts/models';
import type { DockerRun, ProcessRun } from '#catalog/service';
import { Fault } from '#kernel/faults';
import { replicaOf } from '#kernel/ids';
import type { InstanceRecord } from './records.ts';
import { fill, fillAll } from './blueprint.ts';
import type { Blueprint } from './blueprint.ts';
import { containerSpec, valuesInside } from './container.ts';
import type { Lent } from './lent.ts';
import type { Sandbox } from './sandbox/sandbox.ts';
import { makeTemporary, temporaryOf } from './temporary.ts';

/** Where a unit's packages were installed, and what its process needs to find them. */
export interface Environment {
  /** By which it is kept while something runs from it. */
  readonly id: string;
  readonly path: string;
  readonly bin: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Makes or finds the environment that a definition asks for; null when it asks for none. */
export interface Environments {
  ensure(run: ProcessRun, options: { signal: AbortSignal; onProgress: OnProgress }): Promise<Environment | null>;
}

export interface LaunchPlace {
  readonly home: string;
  readonly logFile: string;
  /** Addresses of capabilities, `openai` -> the door's. */
  readonly capabilities: Readonly<Record<string, string>>;
  /** Without it everything runs as the platform does. */
  readonly sandbox?: Sandbox;
  /** Notes whose data containers have. */
  readonly lent?: Lent;
}

/** The command of an instance with every placeholder filled in, and its folders made. */
export async function instanceSpec(
  blueprint: Blueprint,
  record: InstanceRecord,
  environment: Environment | null,
  place: LaunchPlace,
  memoryBytes: number,
): Promise<InstanceSpec> {
  await mkdir(blueprint.dataDir, { recursive: true, mode: 0o700 });
  await mkdir(dirname(place.logFile), { recursive: true });
  const values = placeholders(blueprint, record, environment, place);
  if (blueprint.docker)
    return containerInstance({ ...blueprint, docker: blueprint.docker }, record, values, place, memoryBytes);
  const { run, unit } = blueprint;
  const [program = '', ...args] = (await Promise.all(run.command.map(part))).flat();
  const temporary = blueprint.work?.temporary ?? temporaryOf(place.home, record.id);
  await makeTemporary(temporary);
  const env = {
    ...baseEnvironment(blueprint, environment, place.home, temporary),
    ...fillAll(run.env, values, `${unit}: env`),
    ...fillAll(blueprint.env, values, `${unit}: env`),
  };
  const argv0 = program === 'node' ? process.execPath : program;
  const spec: InstanceSpec = {
    id: record.id,
    unit,
    argv: [argv0, ...args],
    env,
    cwd: blueprint.work?.path ?? blueprint.dataDir,
    logFile: place.logFile,
    memoryBytes,
    oomScoreAdj: blueprint.oomScoreAdj,
  };
  return place.sandbox ? place.sandbox(spec, { blueprint, environment, temporary }) : spec;

  /** What somebody handed over stays as it is, braces and all. */
  async function part(template: string, i: number): Promise<readonly string[]> {
    if (blueprint.args && template === '{args}') return blueprint.args;
    const filled = fill(template, values, `${unit}: command[${i}]`);
    return [i === 0 ? filled : await compiledTwin(filled)];
  }
}

/** The same for one that is a container: nothing of this machine's environment is its own. */
async function containerInstance(
  blueprint: Blueprint & { readonly docker: DockerRun },
  record: InstanceRecord,
  outside: Readonly<Record<string, string>>,
  { logFile, lent }: LaunchPlace,
  memoryBytes: number,
): Promise<InstanceSpec> {
  const { unit, run, docker, oomScoreAdj, dataDir } = blueprint;
  const inside = valuesInside(docker, outside);
  const argv = run.command.map((part, i) => fill(part, inside, `${unit}: command[${i}]`));
  const own = fillAll(run.env, inside, `${unit}: env`);
  const env = { ...untold, ...own, ...fillAll(blueprint.env, inside, `${unit}: env`) };
  const container = await containerSpec(docker, record, outside, [...argv, ...Object.values(env)], unit);
  lent?.note(dataDir);
  return { id: record.id, unit, argv, env, cwd: dataDir, logFile, memoryBytes, oomScoreAdj, container };
}

function placeholders(
  { dataDir, serviceDir, values }: Blueprint,
  { unit, host, port, key }: InstanceRecord,
  environment: Environment | null,
  { home, capabilities }: LaunchPlace,
): Record<string, string> {
  const urls = Object.entries(capabilities).map(([name, url]) => [`${name}.url`, url]);
  return {
    ...Object.fromEntries(urls),
    host,
    port: String(port),
    key,
    replica: String(replicaOf(unit)),
    home,
    data: dataDir,
    service: serviceDir,
    ...(environment ? { env: environment.path } : {}),
    ...values,
  };
}

/** Libraries that tell others of how they are used unless they are told not to: ONNX Runtime does so within many a service. */
const untold = { DO_NOT_TRACK: '1', ORT_DISABLE_TELEMETRY: '1' };

/** Nothing of the platform's own environment but what every program needs: secrets in it stay here. */
function baseEnvironment(
  blueprint: Blueprint,
  environment: Environment | null,
  home: string,
  temporary: string,
): Record<string, string> {
  const path = [environment?.bin, dirname(process.execPath), process.env.PATH].filter(Boolean).join(':');
  const inherited: Record<string, string> = {};
  for (const name of [
    'LANG',
    'LC_ALL',
    'TZ',
    'SSL_CERT_FILE',
    'SSL_CERT_DIR',
    'NODE_EXTRA_CA_CERTS',
    'REQUESTS_CA_BUNDLE',
  ]) {
    const value = process.env[name];
    if (value !== undefined) inherited[name] = value;
  }
  // Node programs start faster from compiled code; others never look at it.
  const cache = { NODE_COMPILE_CACHE: join(home, 'cache', 'node') };
  return {
    LANG: 'C.UTF-8',
    ...untold,
    ...inherited,
    ...cache,
    HOME: blueprint.dataDir,
    TMPDIR: temporary,
    ...environment?.env,
    PATH: path,
  };
}

/** A published package carries its hosts compiled: `server.ts` of a definition is then `server.js` beside it. */
async function compiledTwin(argument: string): Promise<string> {
  if (extname(argument) !== '.ts' || (await exists(argument))) return argument;
  const twin = argument.replace(/\.ts$/, '.js');
  if (await exists(twin)) return twin;
  throw new Fault('START_FAILED', `${argument} is not there.`);
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
