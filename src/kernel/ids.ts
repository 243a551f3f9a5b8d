import { randomBytes, randomUUID } from 'node:crypto';

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** What the scheduler weighs: `service/chroma`, `model/smollm2:135m`, or one run of a tool, `job/aider.3f9c02ab`. */
export type UnitId = Branded<'UnitId'>;
/** One running copy of a unit. Unique across machines. */
export type InstanceId = Branded<'InstanceId'>;
/** One asking for a unit, from the request until its lease is given back. */
export type WaiterId = Branded<'WaiterId'>;

export type UnitKind = 'service' | 'model' | 'job';

export const unitId = (kind: UnitKind, name: string): UnitId => `${kind}/${name}` as UnitId;

export function parseUnitId(id: UnitId): { readonly kind: UnitKind; readonly name: string } {
  const slash = id.indexOf('/');
  return { kind: id.slice(0, slash) as UnitKind, name: id.slice(slash + 1) };
}

/** The n-th copy of a unit, from 2 on: `service/echo~2`. The unit itself is the first. */
export const replicaId = (unit: UnitId, n: number): UnitId => `${unit}~${n}` as UnitId;

/** The unit that a copy is of; any other unit is its own. */
export function originalOf(id: UnitId): UnitId {
  const at = id.lastIndexOf('~');
  return at < 0 ? id : (id.slice(0, at) as UnitId);
}

/** Which of a unit's instances it names: 1 for the unit itself. */
export const replicaOf = (id: UnitId): number =>
  originalOf(id) === id ? 1 : Number(id.slice(id.lastIndexOf('~') + 1));

/** Random, so that ids made on two machines never meet; the prefix is for people who read logs. */
export const newInstanceId = (): InstanceId => `i-${randomBytes(8).toString('hex')}` as InstanceId;

/** One run of a tool. No id of a definition has a dot in it. */
export const newRunId = (tool: string): string => `${tool}.${randomBytes(4).toString('hex')}`;

/** The definition that a run is of. */
export const toolOf = (runId: string): string => runId.slice(0, runId.lastIndexOf('.'));

export const newWaiterId = (): WaiterId => randomUUID() as string as WaiterId;

/** 128 bits, as W3C trace context writes them. */
export function newTraceId(): string {
  const uuid = randomUUID();
  // Put together by hand: replaceAll takes five times as long as the randomness itself, and every request has one.
  return uuid.slice(0, 8) + uuid.slice(9, 13) + uuid.slice(14, 18) + uuid.slice(19, 23) + uuid.slice(24);
}

/** 64 bits, for one step of a trace. Taken from a UUID, since Node makes those in batches. */
export function newSpanId(): string {
  const uuid = randomUUID();
  return uuid.slice(0, 8) + uuid.slice(24, 32);
}

/** A secret for a key or a one-time link: 256 bits. */
export const newSecret = (prefix: string): string => `${prefix}${randomBytes(32).toString('base64url')}`;
