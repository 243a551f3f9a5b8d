import { dirname, join } from 'node:path';
import type { Defined } from '#catalog/snapshot';
import type { DockerRun, ServiceDefinition } from '#catalog/service';
import { doorCapabilities } from '#catalog/bindings';
import { whyNotCopied } from '#catalog/checks';
import { Fault } from '#kernel/faults';
import { replicaOf, unitId } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import type { Blueprint } from '#runtime/blueprint';
import { oomScoreAdj } from '#runtime/oom';
import { oneReplica } from '#scheduler/types';
import type { Rungs, UnitSpec } from '#scheduler/types';
import type { Learned } from './learned.ts';
import { cardVariables } from './placement.ts';
import type { Card, Placement } from './placement.ts';
import type { ServiceSettings } from './settings.ts';

/** Milliseconds without use after which a unit goes down a rung, by tier, when its definition does not say. */
const idleAfter = { core: Infinity, persistent: 30 * 60_000, 'on-demand': 10 * 60_000 } as const;

/**
 * Which way of running it this machine takes; a reason when none. `noEngine` says why there are no containers here: one
 * that the configuration asks for is tried all the same, since an engine may be started meanwhile.
 */
export function chosenRun(
  definition: ServiceDefinition,
  settings: ServiceSettings,
  noEngine: string | null = null,
): { readonly way: 'process' | 'docker' | 'external' } | { readonly way: null; readonly why: string } {
  const ways = settings.run ? [settings.run] : (['process', 'docker', 'external'] as const);
  for (const way of ways) {
    if (way === 'docker' && !settings.run && noEngine !== null) continue;
    if (definition.run[way]) return { way };
  }
  const offered = Object.keys(definition.run).join(', ');
  if (settings.run && !definition.run[settings.run]) {
    return { way: null, why: `sutaz.yaml asks for ${settings.run}, its definition offers ${offered}` };
  }
  return { way: null, why: `it can run by ${offered} only, and ${noEngine ?? 'this machine has none of it'}` };
}

/** How many of it run; `problem` says why the configuration does not get more. */
export function replicasOf(
  definition: ServiceDefinition,
  settings: ServiceSettings,
): { readonly replicas: UnitSpec['replicas']; readonly problem: string | null } {
  const replicas = settings.replicas ?? definition.replicas;
  const problem = replicas.max > 1 ? whyNotCopied(definition) : null;
  return { replicas: problem === null ? replicas : oneReplica, problem };
}

/** What the scheduler must know of a service. */
export function serviceSpec(
  definition: ServiceDefinition,
  settings: ServiceSettings,
  learned: Learned,
  canFreeze: boolean,
  placement: Placement | null = null,
): UnitSpec {
  return {
    id: unitId('service', definition.id),
    tier: definition.tier,
    priority: settings.priority ?? definition.priority,
    declaredBytes: settings.memory ?? definition.resources.memory,
    learnedAs: unitId('service', definition.id),
    // A size set by hand is a word to keep: what was learned does not overrule it.
    learnedBytes: settings.memory === undefined ? learned.bytes : null,
    slots: definition.resources.concurrency,
    idleAfterMs: settings.idle?.after ?? definition.idle.after ?? idleAfter[definition.tier],
    idleRung: settings.idle?.rung ?? definition.idle.rung ?? 'auto',
    startMs: learned.startMs,
    rungs: rungsOf(learned, canFreeze),
    // A guess must not wake what others have too.
    prewarm:
      definition.needs.length === 0 &&
      Object.keys(definition.consumes).every((name) => doorCapabilities.includes(name)),
    replicas: replicasOf(definition, settings).replicas,
    vram: placement ? { device: placement.card.id, bytes: placement.vramBytes } : undefined,
    learnedVram: settings.vram === undefined ? (learned.vramBytes ?? null) : null,
  };
}

const isHere = (definition: ServiceDefinition, settings: ServiceSettings): boolean =>
  ['process', 'docker'].includes(chosenRun(definition, settings).way ?? '');

/** Milliseconds without a byte after which an open connection is no work, where the service allows that. */
const defaultSilenceMs = 30_000;

/** Null where an open connection is work for as long as it is open. What cannot be frozen could only be kept or cut. */
export function silenceOf(definition: ServiceDefinition, settings: ServiceSettings, canFreeze: boolean): number | null {
  const connections = settings.idle?.connections ?? definition.idle.connections ?? 'keep';
  if (connections === 'keep' || !canFreeze || !isHere(definition, settings)) return null;
  return settings.idle?.silence ?? definition.idle.silence ?? defaultSilenceMs;
}

/** It is frozen to make room once a freeze for being idle has shown that this gives something back. */
export const rungsOf = ({ frozenBytes, thawMs }: Learned, canFreeze: boolean): Rungs => ({
  ...{ freezable: canFreeze, frozenBytes, thawMs },
  ...{ freezeMs: null, stopMs: null },
});

/** What a service holds on a graphics card, where it may use one: bytes; 0 for nothing. */
export const cardBytesOf = ({ resources }: ServiceDefinition, { gpu, vram }: ServiceSettings): number =>
  resources.gpu === 'none' || gpu === 'off' ? 0 : (vram ?? resources.vram ?? 0);

export interface Places {
  /** The folder of a definition's own files: hosts, templates. */
  readonly home: string;
  /** The graphics card that it was put on, and those there are. */
  readonly card?: Card | null;
  readonly cards?: readonly Card[];
  /** The copy that it is for; without it the unit itself. */
  readonly unit?: UnitId;
}

/** The container that it is, where that was chosen or it can be nothing else. */
export const containerOf = ({ run }: ServiceDefinition, settings: ServiceSettings): DockerRun | undefined =>
  settings.run === 'docker' || !run.process ? run.docker : undefined;

/** How a service is run here, as a process or a container. */
export function serviceBlueprint(
  { definition, path }: Defined<ServiceDefinition>,
  settings: ServiceSettings,
  { home, unit = unitId('service', definition.id), card = null, cards = [] }: Places,
): Blueprint {
  const { id, run } = definition;
  // As in the account: of what is always on, only the first one is.
  const tier = definition.tier === 'core' && replicaOf(unit) > 1 ? 'persistent' : definition.tier;
  const docker = containerOf(definition, settings);
  const way = docker ? { command: docker.command ?? [], env: docker.env } : run.process;
  if (!way) throw new Fault('NOT_SUPPORTED', `${id} can run neither as a process nor as a container.`);
  return {
    unit,
    run: way,
    ...(docker && { docker }),
    health: definition.health,
    startupTimeoutMs: definition.health.startupTimeout ?? 60_000,
    stopGraceMs: definition.stop.grace ?? 10_000,
    oomScoreAdj: oomScoreAdj(tier, settings.priority ?? definition.priority),
    ...{ cpu: definition.resources.cpu, sandbox: settings.sandbox },
    writes: [...(run.process?.writes ?? []), ...(settings.writes ?? [])],
    serviceDir: join(dirname(path), id),
    dataDir: join(home, 'services', id),
    env: { ...cardVariables(card, cards), ...consumed(definition), ...settings.env },
    values: {},
  };
}

/** The variables through which it reaches what it consumes. */
export const consumed = (definition: ServiceDefinition): Record<string, string> =>
  Object.assign({}, ...Object.values(definition.consumes)) as Record<string, string>;
