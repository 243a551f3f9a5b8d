import { mkdir, realpath, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { basename, delimiter, dirname, isAbsolute, join, resolve } from 'node:path';
import type { InstanceLimits, InstanceSpec } from '#contracts/runtime';
import { Fault } from '#kernel/faults';
import { foreignIn, giveTo } from '#kernel/ownership';
import type { Logger } from '#kernel/logger';
import type { Blueprint } from '../blueprint.ts';
import type { Lent } from '../lent.ts';
import { limitsFor, limitsOfRun } from './limits.ts';
import { filesOf, modelPaths } from './files.ts';
import { makeFor, openWay } from './ownership.ts';
import { whyNotReached, whyNoWay, type Someone } from './reach.ts';
import { giveRun, openWayTo } from './runs.ts';
import { cardGroups, isOurs, ownerOf, userOf, whyNoUsers as askMachine } from './users.ts';

/** `auto`: as much as this machine can. `strict`: with a user of its own, or it does not start. */
export type SandboxMode = 'auto' | 'off' | 'strict';

export interface SandboxRules {
  readonly mode: SandboxMode;
  /** The first of the numbers that are kept for users of services; also the group in which they all are. */
  readonly firstUser: number;
  /** Processes and threads of an instance at most. */
  readonly processes?: number | undefined;
}

/** Confines what is about to start, and gives it its data. */
export type Sandbox = (spec: InstanceSpec, of: Confined) => Promise<InstanceSpec>;

export interface Confined {
  readonly blueprint: Blueprint;
  /** The folder of its packages. */
  readonly environment: { readonly path: string; readonly bin: string } | null;
  /** The folder for its temporary files, which is there. */
  readonly temporary: string;
}

export interface SandboxOptions {
  readonly home: string;
  readonly rules: () => SandboxRules;
  readonly lent: Lent;
  readonly log: Logger;
  /** For tests; otherwise this machine is asked. */
  readonly whyNoUsers?: (first: number) => Promise<string | null>;
}

export function createSandbox({ home, rules, lent, log, whyNoUsers = askMachine }: SandboxOptions): Sandbox {
  const possible = new Set<number>();
  // Asked again until it is: a machine that was out of processes for a moment must not leave everything with one user.
  const whyNone = async (first: number) => {
    const why = possible.has(first) ? null : await whyNoUsers(first);
    if (why === null) possible.add(first);
    return why;
  };
  const taken = new Map<string, number>();
  const told = new Map<string, string>();

  const chooseUser = async (first: number, spec: InstanceSpec, of: Confined): Promise<Someone | string> => {
    const { dataDir, work } = of.blueprint;
    const none = (await whyNone(first)) ?? (lent.has(dataDir) ? null : whyNotOurs(dataDir, first));
    if (none !== null) return none;
    // At once, so that two that start together never get the same.
    const uid = userOf(dataDir, first, taken);
    taken.set(dataDir, uid);
    const user = { uid, gid: uid, groups: [first, ...cardGroups()] };
    const closed = await whyNoWay(await realpath(home), user);
    if (closed !== null) return closed;
    await openWay(home, first);
    if (work) await openWayTo(work, first);
    else await openWay(dirname(of.temporary), first);
    const noWay = await whyNoWay(dataDir, user);
    if (noWay !== null) return noWay;
    for (const path of whatItReads(spec, of)) {
      const why = await whyNotReached(path, user);
      if (why !== null) return why;
    }
    return user;
  };

  const confined = async (spec: InstanceSpec, of: Confined): Promise<InstanceSpec> => {
    const { firstUser, processes, ...general } = rules();
    const { dataDir, unit, cpu = 1, sandbox: mode = general.mode, work } = of.blueprint;
    if (mode === 'off') {
      await giveBack(dataDir, firstUser, lent);
      return spec;
    }
    const expected = { memoryBytes: spec.memoryBytes, cpu, cores: availableParallelism() };
    const limits = (work ? limitsOfRun : limitsFor)(expected, processes);
    // The folder stays whose it is, where a user of its own could not write.
    if (work?.isOwn === false) return { ...spec, confine: { limits } };
    const user = await chooseUser(firstUser, spec, of);
    if (typeof user !== 'string') return asUser(spec, limits, user, { home, of, lent });
    if (mode === 'strict') {
      const how = 'Mend that, or say `sandbox: auto` for it in sutaz.yaml.';
      throw new Fault('NOT_SUPPORTED', `${unit} is to run as a user of its own, and cannot: ${user}. ${how}`);
    }
    if (told.get(dataDir) !== user) log.info('a service runs as the user of the platform', { unit, why: user });
    told.set(dataDir, user);
    await giveBack(dataDir, firstUser, lent);
    return withOwnCache({ ...spec, confine: { limits } }, basename(dataDir), home);
  };

  return async (spec, of) => {
    const { sandbox: mode = rules().mode, work } = of.blueprint;
    const result = await confined(spec, of);
    if (!result.confine) return result;
    const files = await filesOf(result, of, { home, required: mode === 'strict' && work?.isOwn === false });
    return { ...result, confine: { ...result.confine, files } };
  };
}

/** A folder that somebody made for a user by hand is left to them. */
function whyNotOurs(dataDir: string, first: number): string | null {
  const owner = ownerOf(dataDir);
  if (owner === null || owner === process.getuid?.() || isOurs(owner, first)) return null;
  return `its data in ${dataDir} belongs to user ${owner}`;
}

/** It ran as a user of its own before, or as a container. Only root can take back what is another user's. */
async function giveBack(dataDir: string, first: number, lent: Lent): Promise<void> {
  const self = process.getuid?.();
  if (self === 0 && (lent.has(dataDir) || isOurs((await stat(dataDir)).uid, first))) await giveTo(dataDir, self);
  const foreign = self !== undefined && lent.has(dataDir) ? await foreignIn(dataDir, self) : null;
  if (foreign) {
    const how = `sudo chown -R ${self} '${dataDir}'`;
    const why = `${foreign.path} belongs to user ${foreign.uid}: a container left it so, and this platform is not root. Run: ${how}`;
    throw new Fault('START_FAILED', why);
  }
  lent.clear(dataDir);
}

async function asUser(
  spec: InstanceSpec,
  limits: InstanceLimits,
  user: Someone,
  { home, of, lent }: Pick<SandboxOptions, 'home' | 'lent'> & { readonly of: Confined },
): Promise<InstanceSpec> {
  const { uid, groups } = user;
  const { dataDir, work } = of.blueprint;
  const confine = { user, limits };
  if (work) await giveRun(work, dataDir, uid);
  else if (lent.has(dataDir) || ownerOf(dataDir) !== uid) await giveTo(dataDir, uid);
  if (!work) await giveTo(of.temporary, uid);
  lent.clear(dataDir);
  // No account has this number: many programs ask for its name, and take these first.
  const named = { USER: 'sutaz', LOGNAME: 'sutaz', ...spec.env };
  return withOwnCache({ ...spec, confine, env: named }, String(uid), home, { uid, group: groups[0] ?? uid });
}

/** Code that one service compiled is never run by another. One that its definition names is left as it is. */
async function withOwnCache(
  spec: InstanceSpec,
  whose: string,
  home: string,
  owner?: { readonly uid: number; readonly group: number },
): Promise<InstanceSpec> {
  const folder = join(home, 'cache');
  const cache = join(folder, `node-${whose}`);
  if (spec.env['NODE_COMPILE_CACHE'] !== join(folder, 'node')) return spec;
  if (!owner) await mkdir(cache, { recursive: true, mode: 0o700 });
  else {
    await makeFor(cache, owner.uid);
    await openWay(folder, owner.group);
  }
  return { ...spec, env: { ...spec.env, NODE_COMPILE_CACHE: cache } };
}

/** What must be readable for whoever it runs as: its program, its packages, its files, its model. */
function whatItReads({ argv, env }: InstanceSpec, { blueprint, environment }: Confined): string[] {
  const { dataDir, work, args = [] } = blueprint;
  const [program = ''] = argv;
  const folders = (env['PATH'] ?? '').split(delimiter);
  const programs = program.includes('/')
    ? [program]
    : folders.map((folder) => resolve(folder, program)).filter(isThere);
  return [
    ...programs.slice(0, 1),
    ...(environment ? [environment.path, join(environment.bin, 'python')] : []),
    // What somebody asks of a tool decides nothing of whom it runs as.
    ...argv
      .slice(1)
      .filter((part) => isAbsolute(part) && !part.startsWith(dataDir) && part !== work?.path && !args.includes(part)),
    ...[blueprint.serviceDir, ...modelPaths(blueprint)],
  ];
}

const isThere = (path: string): boolean => ownerOf(path) !== null;
