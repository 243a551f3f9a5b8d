import { unitStates } from './types.ts';
import type {
  Failure,
  Instance,
  Ledger,
  LogEntry,
  Platform,
  PlatformState,
  Progress,
  Tier,
  Unit,
  UnitBytes,
  UnitState,
} from './types.ts';

/**
 * Reading what came over the wire. Decoders are forgiving on purpose: a page left open across an upgrade meets fields
 * it does not know and misses ones it does, and a row with a gap serves its reader better than an empty page.
 * Only what identifies a thing is required.
 */
export type Fields = Readonly<Record<string, unknown>>;

/** The value as an object; empty when it is anything else. */
export function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

/** The value of JSON text, undefined when it is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

export const text = (value: unknown, absent = ''): string => (typeof value === 'string' ? value : absent);
export const textOrNull = (value: unknown): string | null => (typeof value === 'string' ? value : null);
export const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
export const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
const amount = (value: unknown): number => (isNumber(value) && value > 0 ? value : 0);
const amountOrNull = (value: unknown): number | null => (isNumber(value) ? Math.max(0, value) : null);

function oneOf<T extends string, U extends T>(allowed: readonly T[], value: unknown, otherwise: U): T {
  return allowed.find((candidate) => candidate === value) ?? otherwise;
}

function bytes(value: unknown): UnitBytes {
  const { declared, learned, measured, reserved } = fields(value);
  return {
    declared: amount(declared),
    learned: amountOrNull(learned),
    measured: amountOrNull(measured),
    reserved: amount(reserved),
  };
}

/** Null when there is no phase: that is also how a keep-alive comment differs from one that reports progress. */
export function decodeProgress(value: unknown): Progress | null {
  const { phase, what, percent, position, estimateMs } = fields(value);
  if (typeof phase !== 'string') return null;
  return {
    phase,
    ...(typeof what === 'string' && { what }),
    ...(isNumber(percent) && { percent: Math.min(100, Math.max(0, percent)) }),
    ...(isNumber(position) && { position }),
    ...(isNumber(estimateMs) && { estimateMs: Math.max(0, estimateMs) }),
  };
}

function failure(value: unknown): Failure | null {
  const { message, log, retryAt } = fields(value);
  if (typeof message !== 'string') return null;
  const lines = list(log).filter((line) => typeof line === 'string');
  return { message, log: lines, ...(typeof retryAt === 'string' && { retryAt }) };
}

function instance(value: unknown): Instance | null {
  const { id, pid, port, startedAt } = fields(value);
  if (typeof id !== 'string') return null;
  return { id, pid: amountOrNull(pid), port: amountOrNull(port), startedAt: text(startedAt) };
}

/** Null when it has no id: then there is nothing to show it under. */
export function decodeUnit(value: unknown): Unit | null {
  const it = fields(value);
  if (typeof it['id'] !== 'string' || it['id'] === '') return null;
  const id = it['id'];
  const name = text(it['name'], id.slice(id.indexOf('/') + 1));
  return {
    id,
    kind: oneOf(['service', 'model'], it['kind'], id.startsWith('model/') ? 'model' : 'service'),
    name,
    copyOf: textOrNull(it['copyOf']),
    title: text(it['title'], name),
    summary: text(it['summary']),
    category: textOrNull(it['category']),
    tier: oneOf<Tier, Tier>(['core', 'persistent', 'on-demand'], it['tier'], 'on-demand'),
    state: oneOf<UnitState, UnitState>(unitStates, it['state'], 'unknown'),
    why: text(it['why']),
    pinned: it['pinned'] === true,
    bytes: bytes(it['bytes']),
    leases: amount(it['leases']),
    waiters: amount(it['waiters']),
    idleMs: amountOrNull(it['idleMs']),
    progress: decodeProgress(it['progress']),
    failure: failure(it['failure']),
    url: webAddress(it['url']),
    instance: instance(it['instance']),
  };
}

/** Links are made of it, so that only a web address or a path of this origin gets through. */
function webAddress(value: unknown): string | null {
  return typeof value === 'string' && /^(https?:\/\/|\/(?!\/))/i.test(value) ? value : null;
}

export function decodeLedger(value: unknown): Ledger {
  const it = fields(value);
  return {
    limitBytes: amount(it['limitBytes']),
    limitReason: text(it['limitReason']),
    reservedBytes: amount(it['reservedBytes']),
    measuredBytes: amount(it['measuredBytes']),
    freeBytes: amount(it['freeBytes']),
  };
}

function decodePlatform(value: unknown): Platform {
  const it = fields(value);
  return {
    version: text(it['version']),
    url: text(it['url']),
    home: text(it['home']),
    startedAt: text(it['startedAt']),
    pid: amount(it['pid']),
  };
}

export function decodeState(value: unknown): PlatformState {
  const it = fields(value);
  const units = list(it['units']).map(decodeUnit);
  return {
    platform: decodePlatform(it['platform']),
    ledger: decodeLedger(it['ledger']),
    units: units.filter((unit) => unit !== null),
  };
}

export function decodeLogEntry(value: unknown): LogEntry | null {
  const { at, type, unit, message } = fields(value);
  if (typeof message !== 'string') return null;
  return { at: text(at), type: text(type, 'event'), ...(typeof unit === 'string' && { unit }), message };
}
