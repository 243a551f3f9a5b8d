import type { ServiceDefinition } from '#catalog/service';
import type { ApiJob, ApiJobAsk } from '#contracts/jobs-api';
import type { JobDesk } from '#edge/job-routes';
import { Fault } from '#kernel/faults';
import { parseBytes, parseDuration } from '#kernel/quantities';
import { originalOf } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import { takeFolder } from '#runtime/jobs/arguments';
import { createJobs } from '#runtime/jobs/jobs';
import type { Jobs, JobsOptions } from '#runtime/jobs/jobs';
import type { JobOrder, JobWorld } from '#runtime/jobs/run';
import type { Wired } from '#runtime/start';
import type { Effects, Scheduler } from '#scheduler/run-loop';
import { oneReplica, plainRungs } from '#scheduler/types';
import type { UnitSpec } from '#scheduler/types';
import type { Minted } from '#security/minted';
import type { Principal } from '#security/principal';
import { allows, compileRights, covers } from '#security/scopes';
import type { Directory } from '#units/directory';
import { nothingLearned } from '#units/learned';
import type { LearnedStore } from '#units/learned';
import { serviceBlueprint } from '#units/service-unit';
import type { UnitSettings } from '#units/settings';
import type { Needs } from './needs.ts';

export interface PlatformJobs {
  readonly jobs: Jobs;
  readonly desk: JobDesk;
  /** The runs that hold memory, as the scheduler takes them: a new catalogue does not lose them. */
  specs(): UnitSpec[];
  /** What the scheduler decides of runs. */
  readonly effects: Effects;
}

export interface PlatformJobsOptions extends Omit<JobsOptions, 'world'> {
  readonly scheduler: Scheduler;
  readonly directory: Directory;
  readonly settings: () => UnitSettings;
  readonly learned: LearnedStore;
  readonly minted: Minted;
  readonly needs: Needs;
  /** What an instance is told of what it consumes. */
  readonly wired: (unit: UnitId, signal: AbortSignal) => Promise<Wired>;
  /** What an instance of a definition may ask the door for. */
  readonly scopesOf: (tool: string) => readonly string[];
}

/** Milliseconds that a run may take where neither its definition nor whoever asks for it says. */
const defaultTimeMs = 3_600_000;
/** As long as a run takes at most, whoever asks. */
const longestMs = 24 * 3_600_000;

/** Tools as runs of this platform: their memory is in its account, and their keys are its own. */
export function createPlatformJobs(options: PlatformJobsOptions): PlatformJobs {
  const { scheduler } = options;
  const admitted = new Map<UnitId, UnitSpec>();
  const jobs = createJobs({ ...options, world: worldOf(admitted, options) });
  return {
    jobs,
    desk: createDesk(jobs, options),
    specs: () => [...admitted.values()],
    effects: {
      // Its memory is its own from here on: what is run in it is begun by whoever is granted it.
      start: (unit) => scheduler.dispatch({ kind: 'started', unit }),
      stop(unit) {
        // Only a run that still holds its memory has anything to end.
        const gone = admitted.has(unit) ? jobs.halt(unit) : Promise.resolve();
        void gone.then(() => scheduler.dispatch({ kind: 'stopped', unit }));
      },
      // It is leased from its first moment to its last, and what works is not frozen.
      freeze: () => undefined,
      thaw: () => undefined,
    },
  };
}

const learnedAs = (tool: string): string => `job/${tool}`;

function worldOf(admitted: Map<UnitId, UnitSpec>, options: PlatformJobsOptions): JobWorld {
  const { scheduler, learned, minted, needs, wired } = options;
  return {
    async admit(unit, order, signal) {
      const spec = specOf(unit, order, options);
      admitted.set(unit, spec);
      const forget = () => {
        admitted.delete(unit);
        const { learnedBytes = null } = scheduler.state.units.get(unit) ?? {};
        learned.put(learnedAs(order.tool), { ...nothingLearned, bytes: learnedBytes });
        scheduler.dispatch({ kind: 'forget', unit });
      };
      scheduler.dispatch({ kind: 'describe', unit: spec });
      try {
        const lease = await scheduler.acquire({ unit, class: 'default', principal: order.principal, signal });
        return () => {
          lease.release();
          forget();
        };
      } catch (error) {
        forget();
        throw error;
      }
    },
    async needs(unit, signal) {
      await needs.take(unit, signal);
      return (await wired(unit, signal)).values;
    },
    mint(unit, { tool, scopes }, key) {
      const facts = { id: learnedAs(tool), name: `run of ${tool}`, keyId: null, roles: [], expiresAt: null };
      minted.mint(unit, { ...facts, rights: compileRights(scopes) }, key);
    },
    withdraw(unit) {
      minted.withdraw(unit);
      needs.give(unit);
    },
    measured: (unit, bytes) => scheduler.dispatch({ kind: 'measured', unit, bytes }),
  };
}

/** No more is reserved than its limit lets it use. */
function specOf(
  unit: UnitId,
  { tool, limits }: JobOrder,
  { directory, settings, learned }: PlatformJobsOptions,
): UnitSpec {
  const { priority, resources } = directory.job(tool).definition;
  const own = settings().service(tool);
  const within = (bytes: number) => Math.min(bytes, limits.memoryBytes);
  const { bytes } = learned.of(learnedAs(tool));
  return {
    ...{ id: originalOf(unit), tier: 'on-demand', priority: own.priority ?? priority },
    declaredBytes: within(own.memory ?? resources.memory),
    ...{ learnedAs: learnedAs(tool), learnedBytes: bytes === null || own.memory !== undefined ? null : within(bytes) },
    ...{ slots: 1, idleAfterMs: 60_000, idleRung: 'cold', startMs: null, rungs: plainRungs },
    ...{ prewarm: false, replicas: oneReplica },
  };
}

/** Runs belong to whoever asked for them: others are told of them only where they may manage all. */
function createDesk(jobs: Jobs, options: PlatformJobsOptions): JobDesk {
  const isTheirs = ({ id, rights }: Principal, job: ApiJob) => job.principal === id || allows(rights, 'jobs:manage');
  const read = (caller: Principal, id: string): ApiJob => {
    const found = jobs.get(id);
    if (found && isTheirs(caller, found)) return found;
    throw new Fault('NOT_FOUND', `There is no run ${id}. \`sutaz jobs ls\` lists them.`);
  };
  return {
    async start(caller, ask) {
      const { definition } = options.directory.job(ask.tool);
      const order = orderOf(caller, ask, definition, options);
      const { folder, args } = takeFolder(order.args, definition.job?.folder);
      const named = { named: ask.folder ?? folder, cwd: ask.cwd ?? null, copy: ask.copy ?? false };
      return jobs.start({ order: { ...order, args }, folder: named, stdin: ask.stdin ?? null });
    },
    list: (caller) => jobs.list().filter((job) => isTheirs(caller, job)),
    read,
    cancel(caller, id) {
      read(caller, id);
      jobs.cancel(id);
      return read(caller, id);
    },
    output(caller, id, signal) {
      read(caller, id);
      return jobs.output(id, signal);
    },
  };
}

/** What a run is made of. Throws what is wrong with the ask, before anything is made for it. */
function orderOf(
  { id: principal, rights }: Principal,
  { tool, args = [], model: named, timeLimit, memoryLimit }: ApiJobAsk,
  definition: ServiceDefinition,
  options: PlatformJobsOptions,
): JobOrder {
  if (!allows(rights, 'jobs:run', tool)) throw new Fault('FORBIDDEN', `This key may not run ${tool}.`);
  const { directory, settings, home } = options;
  const own = settings().service(tool);
  mustRunHere(definition, own.enabled);
  if (args.some((one) => one.includes('\0'))) throw bad('args', 'An argument has a zero byte in it.');
  const model = modelFor(definition, named, directory);
  const scopes = scopesFor(options.scopesOf(tool), model);
  const missing = scopes.find((scope) => !covers(rights, scope));
  // A tool asks on behalf of whoever runs it.
  if (missing !== undefined) throw new Fault('FORBIDDEN', `${tool} needs ${missing}, which this key is not good for.`);
  const weight = own.memory ?? definition.resources.memory;
  return {
    ...{ tool, args, principal, model, scopes },
    limits: {
      timeMs: readLimit('timeLimit', timeLimit, parseDuration, longestMs) ?? definition.job?.time ?? defaultTimeMs,
      memoryBytes: readLimit('memoryLimit', memoryLimit, parseBytes) ?? definition.job?.memory ?? 2 * weight,
    },
    concurrency: definition.resources.concurrency,
    blueprint: (unit) => serviceBlueprint(directory.job(tool), settings().service(tool), { home, unit }),
  };
}

function mustRunHere({ id, run, resources }: ServiceDefinition, enabled = true): void {
  if (!enabled) throw new Fault('CONFLICT', `${id} cannot run here: it is switched off in sutaz.yaml.`);
  if (resources.gpu === 'required') throw new Fault('CONFLICT', `${id} cannot run here: it needs a GPU.`);
  if (!run.process) {
    throw new Fault(
      'NOT_SUPPORTED',
      `${id} can run by ${Object.keys(run).join(', ')} only, and tools run as processes.`,
    );
  }
}

/** Null for a tool that names none: which it asks is its own matter. */
function modelFor(definition: ServiceDefinition, named: string | undefined, directory: Directory): string | null {
  const { run, consumes } = definition;
  if (JSON.stringify([run, consumes]).includes('{model}')) return directory.model(named ?? 'default').definition.id;
  if (named === undefined) return null;
  throw bad('model', `${definition.id} is told of no model by the platform: name it in its own arguments.`);
}

/** The least it needs: of the models the one that it is to ask. */
const scopesFor = (scopes: readonly string[], model: string | null): string[] =>
  scopes.map((scope) => (scope === 'models:use' && model !== null ? `models:use:${model}` : scope));

function readLimit(
  param: 'timeLimit' | 'memoryLimit',
  text: string | undefined,
  parse: (text: string) => number | null,
  most = Infinity,
): number | null {
  if (text === undefined) return null;
  const value = parse(text);
  if (value !== null && value > 0 && value <= most) return value;
  const how = param === 'timeLimit' ? 'a time such as 10m, 24h at most' : 'a size such as 512MiB';
  throw bad(param, `${param} must be ${how}, not ${text}.`);
}

const bad = (param: string, message: string): Fault => new Fault('BAD_REQUEST', message, { param });
