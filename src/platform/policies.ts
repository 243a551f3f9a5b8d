import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { http2Origin } from '#edge/transport/http2';
import type { UpstreamPlace, UpstreamSettings } from '#config/upstreams';
import { Fault } from '#kernel/faults';
import { defaultBreaker } from '#resilience/breaker';
import type { BreakerSettings } from '#resilience/breaker';
import { defaultCanary } from '#resilience/canary';
import { defaultHedge } from '#resilience/hedge';
import { defaultOutlier } from '#resilience/outlier';
import { defaultRetry } from '#resilience/retry';
import type { RetrySettings } from '#resilience/retry';
import { localPolicy } from '#routing/policy';
import type { HashBy, HealthPolicy, Place, Policy, Timeouts } from '#routing/policy';

/** What is said of a unit's upstreams, by its definition and over that by the configuration. */
export interface Said {
  /** Null for what is started here. */
  readonly elsewhere: { readonly url?: string; readonly protocol?: 'http1' | 'h2c' } | null;
  readonly settings: UpstreamSettings;
}

/** Statuses that say of an upstream elsewhere that it does not do its work. */
const failing: ReadonlySet<number> = new Set([502, 503, 504]);

/** Milliseconds: an answer elsewhere may take long, and a place that swallows requests must be found out all the same. */
const elsewhereTimeouts: Timeouts = { tryMs: 300_000, totalMs: Infinity, idleMs: 300_000 };

/** Reads the files that it names. Throws START_FAILED when one of them, or a variable, is not there. */
export function policyOf({ elsewhere, settings }: Said): Policy {
  const { balance = 'least-requests', hashBy = 'conversation', health, canary, mirror, outliers } = settings;
  const base = elsewhere ? { ...localPolicy, failing, retry: defaultRetry, timeouts: elsewhereTimeouts } : localPolicy;
  const { rest, ...judged } = outliers ?? {};
  return {
    ...{ balance, hashBy: hashBy as HashBy, failing: base.failing },
    places: elsewhere ? placesOf(elsewhere.url, settings).map((one) => speaking(one, elsewhere.protocol)) : [],
    breaker: breakerOf(settings.breaker),
    retry: retryOf(settings.retry ?? {}, base.retry),
    timeouts: timeoutsOf(settings.timeouts ?? {}, base.timeouts),
    outliers: over(defaultOutlier, { ...judged, restMs: rest }),
    health: health ? healthOf(health) : null,
    canary: canary && elsewhere ? { ...defaultCanary, ...pickOf(canary), place: placeOf(canary, 1) } : null,
    hedge: settings.hedge === true ? defaultHedge : null,
    mirror: mirror ? { place: placeOf(mirror, 1), share: mirror.share } : null,
  };
}

/** The same places, spoken to in HTTP/2. */
export const overHttp2 = (policy: Policy): Policy => ({
  ...policy,
  places: policy.places.map((place) => ({
    ...place,
    target: { ...place.target, origin: http2Origin(place.target.origin) },
  })),
});

const healthOf = ({ interval, timeout, ...rest }: NonNullable<UpstreamSettings['health']>): HealthPolicy => ({
  ...{ ...rest, intervalMs: interval, timeoutMs: timeout },
});

const pickOf = ({ share, worse }: NonNullable<UpstreamSettings['canary']>) => ({ share, worse });

function placesOf(url: string | undefined, { upstreams }: UpstreamSettings): readonly Place[] {
  if (upstreams) return upstreams.map((one) => placeOf(one, one.weight));
  return url === undefined ? [] : [placeOf({ url }, 1)];
}

/** The same place, asked by HTTP/2 without TLS where that is what it speaks. */
const speaking = (place: Place, protocol: 'http1' | 'h2c' = 'http1'): Place =>
  protocol === 'h2c'
    ? { ...place, target: { ...place.target, origin: place.target.origin.replace(/^http:/, 'h2c:') } }
    : place;

function placeOf(said: UpstreamPlace, weight: number): Place {
  const { origin, pathname } = new URL(said.url);
  const tls = {
    ...(said.ca === undefined ? {} : { ca: fileOf(said.ca, said.url, 'ca') }),
    ...(said.serverName === undefined ? {} : { serverName: said.serverName }),
  };
  const target = { origin, basePath: pathname.replace(/\/$/, ''), key: keyOf(said) };
  if (Object.keys(tls).length === 0) return { url: said.url, weight, target };
  const id = hash('sha256', JSON.stringify(tls));
  return { url: said.url, weight, target: { ...target, tls: { id, ...tls } } };
}

function keyOf({ url, keyFile, keyEnv }: UpstreamPlace): string | null {
  if (keyFile !== undefined) return fileOf(keyFile, url, 'keyFile').trim();
  if (keyEnv === undefined) return null;
  const key = process.env[keyEnv];
  if (key) return key;
  throw new Fault('START_FAILED', `The variable ${keyEnv}, which is to hold the key for ${url}, is not set.`);
}

function fileOf(path: string, url: string, key: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new Fault('START_FAILED', `${path}, which is the ${key} for ${url}, cannot be read.`, { cause: error });
  }
}

/** The base with what is said in its place. */
function over<T extends object>(base: T, said: { readonly [K in keyof T]?: T[K] | undefined }): T {
  return { ...base, ...Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined)) };
}

function breakerOf(said: UpstreamSettings['breaker']): BreakerSettings | null {
  if (said?.enabled === false) return null;
  const { failures, rate, open, mostOpen } = said ?? {};
  const mostOpenMs = Math.max(mostOpen ?? defaultBreaker.mostOpenMs, open ?? 0);
  return over(defaultBreaker, { failures, rate, openMs: open, mostOpenMs });
}

const retryOf = ({ tries, budget, patience }: Partial<NonNullable<UpstreamSettings['retry']>>, base: RetrySettings) =>
  over(base, { tries, budget, patienceMs: patience });

const timeoutsOf = (said: Partial<NonNullable<UpstreamSettings['timeouts']>>, base: Timeouts): Timeouts =>
  over(base, { tryMs: said.try, totalMs: said.total, idleMs: said.idle });
