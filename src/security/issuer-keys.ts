import type { JSONWebKeySet } from 'jose';
import type { Clock } from '#kernel/clock';
import { Fault } from '#kernel/faults';
import { isRecord } from '#kernel/json';
import type { Logger } from '#kernel/logger';

/** Fetches JSON; throws when it cannot be had whole within `timeoutMs`. */
export type FetchJson = (url: string, timeoutMs: number) => Promise<unknown>;

/** The public keys of one issuer, fetched when they are needed and kept. */
export interface IssuerKeys {
  /** With `missing` the kept ones lack a key that somebody was shown: they are fetched again, unless that was just done. */
  get(missing?: boolean): Promise<JSONWebKeySet>;
  /** Fetches them, so that what is wrong is known before the first token comes. Never rejects, and keeps nobody from trying again. */
  look(): Promise<void>;
  /** Why they could not be fetched the last time; null when they could, or nobody tried. */
  problem(): string | null;
}

export interface IssuerKeysDeps {
  readonly issuer: string;
  /** Where the keys are; left out, the issuer's own description says so (OpenID Connect Discovery 1.0). */
  readonly jwks?: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly fetchJson: FetchJson;
}

/** Milliseconds after which kept keys are looked at again, beside being used. */
const freshMs = 10 * 60_000;
/** Milliseconds that they are used at most when the issuer does not answer: keys that were withdrawn must end some time. */
const keptMs = 24 * 3_600_000;
/** Milliseconds between two fetches, whatever tokens are shown: anybody can make up the name of a key. */
const coolMs = 30_000;
const timeoutMs = 5_000;

export function createIssuerKeys({ issuer, jwks, clock, log, fetchJson }: IssuerKeysDeps): IssuerKeys {
  let kept: { readonly set: JSONWebKeySet; readonly at: number } | null = null;
  let triedAt = -Infinity;
  let problem: string | null = null;
  let fetching: Promise<void> | null = null;

  const fetchSet = async (): Promise<JSONWebKeySet> => {
    const address = jwks ?? (await discover(issuer, fetchJson));
    const set = await fetchJson(address, timeoutMs);
    return demandKeys(address, set);
  };
  const refresh = (): Promise<void> => {
    triedAt = clock.now();
    fetching ??= fetchSet()
      .then(
        (set) => {
          kept = { set, at: clock.now() };
          if (problem !== null) log.info('the issuer of tokens answers again', { issuer });
          problem = null;
        },
        (error: unknown) => {
          const why = error instanceof Error ? error.message : String(error);
          if (problem !== why) log.warn('the keys of the issuer of tokens cannot be fetched', { issuer, error: why });
          problem = why;
        },
      )
      .finally(() => (fetching = null));
    return fetching;
  };
  return {
    problem: () => problem,
    async look() {
      await refresh();
      if (problem !== null) triedAt = -Infinity;
    },
    async get(missing = false) {
      const age = kept ? clock.now() - kept.at : Infinity;
      const mayTry = fetching !== null || clock.now() - triedAt >= coolMs;
      if (mayTry && (missing || age >= keptMs)) await refresh();
      // Nobody waits for a look that is only due.
      else if (mayTry && age >= freshMs) void refresh();
      if (kept && clock.now() - kept.at < keptMs) return kept.set;
      const after = Math.max(1, Math.ceil((triedAt + coolMs - clock.now()) / 1000));
      throw new Fault('UPSTREAM_FAILED', `The issuer ${issuer} of this token cannot be asked for its keys just now.`, {
        retryAfter: after,
      });
    },
  };
}

/** RFC 7517, section 5. Keys of a kind that nobody here knows are passed over when a token is looked at. */
function demandKeys(address: string, set: unknown): JSONWebKeySet {
  if (!isRecord(set) || !Array.isArray(set.keys)) throw new Error(`${address} has no set of keys`);
  const odd = set.keys.findIndex((key) => !isRecord(key) || typeof key.kty !== 'string');
  if (odd >= 0) throw new Error(`${address}: number ${odd + 1} of its keys is none (it has no kty)`);
  return set as unknown as JSONWebKeySet;
}

async function discover(issuer: string, fetchJson: FetchJson): Promise<string> {
  const address = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const found = await fetchJson(address, timeoutMs);
  if (!isRecord(found) || typeof found.jwks_uri !== 'string') throw new Error(`${address} names no jwks_uri`);
  // Else one issuer could speak for another.
  if (found.issuer !== issuer) throw new Error(`${address} is the description of ${String(found.issuer)}`);
  demandSafe(found.jwks_uri);
  return found.jwks_uri;
}

const loopback: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

/** Keys that come over a line which others can write on are nobody's. */
export const isSafe = (address: string): boolean => {
  const { protocol, hostname } = new URL(address);
  return protocol === 'https:' || (protocol === 'http:' && loopback.has(hostname));
};

function demandSafe(address: string): void {
  if (!URL.canParse(address) || !isSafe(address)) throw new Error(`${address} is not an https address`);
}
