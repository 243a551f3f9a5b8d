import { hash } from 'node:crypto';
import type * as JoseModule from 'jose';
import type { JWTPayload } from 'jose';
import type { IssuerSettings } from '#config/security';
import type { Clock } from '#kernel/clock';
import { isRecord } from '#kernel/json';
import type { Logger } from '#kernel/logger';
import { createIssuerKeys } from './issuer-keys.ts';
import type { FetchJson, IssuerKeys } from './issuer-keys.ts';
import type { Principal } from './principal.ts';
import type { Roles } from './roles.ts';

/** Bearer tokens of outside issuers (RFC 7519, signed as RFC 7515). */
export interface Issuers {
  /** Somebody whose token was good a moment ago, without looking at it again. */
  known(token: string): Principal | null;
  /** Null for a token that is not of an issuer here, or not good. Throws UPSTREAM_FAILED while its issuer cannot be asked. */
  verify(token: string): Promise<Principal | null>;
  configure(issuers: readonly IssuerSettings[]): void;
  /** Asks each for its keys, so that `status` knows. Never rejects; nothing waits for it. */
  look(): Promise<void>;
  /** Each with why its keys could not be fetched; null when they could. */
  status(): readonly { readonly issuer: string; readonly problem: string | null }[];
}

export interface IssuersDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly roles: Roles;
  readonly fetchJson: FetchJson;
}

/** Three parts in base64url: anything else is no token, and costs nothing. */
export const isToken = (text: string): boolean => text.length < 16_384 && /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text);

/** Milliseconds that a token is taken without looking at its signature again. */
const trustedMs = 60_000;
const mostTrusted = 1_000;

interface Trusted {
  readonly principal: Principal;
  readonly until: number;
  readonly version: number;
}

interface Issuer {
  readonly settings: IssuerSettings;
  readonly keys: IssuerKeys;
}

export function createIssuers(deps: IssuersDeps): Issuers {
  const { clock, log, roles } = deps;
  let issuers = new Map<string, Issuer>();
  const trusted = new Map<string, Trusted>();

  const known = (token: string): Principal | null => {
    const found = trusted.get(hash('sha256', token));
    if (!found || clock.now() >= found.until || found.version !== roles.version()) return null;
    return (found.principal.expiresAt ?? Infinity) > clock.wall() ? found.principal : null;
  };
  const remember = (token: string, principal: Principal) => {
    for (const oldest of trusted.keys()) {
      if (trusted.size < mostTrusted) break;
      trusted.delete(oldest);
    }
    trusted.set(hash('sha256', token), { principal, until: clock.now() + trustedMs, version: roles.version() });
  };
  return {
    known,
    async verify(token) {
      if (issuers.size === 0 || !isToken(token)) return null;
      const before = known(token);
      if (before) return before;
      const jose = await import('jose');
      const issuer = issuers.get(issuerOf(token, jose) ?? '');
      if (!issuer) return null;
      const claims = await claimsOf(token, issuer, clock, jose).catch((error: unknown) => {
        if (!(error instanceof jose.errors.JOSEError)) throw error;
        log.debug('a token was refused', { issuer: issuer.settings.issuer, why: error.message });
        return null;
      });
      if (!claims) return null;
      const principal = principalOf(claims, issuer.settings, roles);
      remember(token, principal);
      return principal;
    },
    configure(next) {
      const kept = issuers;
      trusted.clear();
      issuers = new Map(
        next.map((settings) => {
          const { issuer, jwks } = settings;
          const old = kept.get(issuer);
          const same = old?.settings.jwks === jwks ? old?.keys : undefined;
          const keys = same ?? createIssuerKeys({ ...deps, issuer, ...(jwks === undefined ? {} : { jwks }) });
          return [issuer, { settings, keys }];
        }),
      );
    },
    look: async () => void (await Promise.all([...issuers.values()].map(({ keys }) => keys.look()))),
    status: () => [...issuers.values()].map(({ settings: { issuer }, keys }) => ({ issuer, problem: keys.problem() })),
  };
}

type Jose = typeof JoseModule;

/** Whom it says it is of. Nothing of it is believed before its signature is. */
function issuerOf(token: string, jose: Jose): string | undefined {
  try {
    return jose.decodeJwt(token).iss;
  } catch {
    return undefined;
  }
}

async function claimsOf(token: string, { settings, keys }: Issuer, clock: Clock, jose: Jose): Promise<JWTPayload> {
  const { issuer, audience, algorithms, leeway } = settings;
  const check = async (missing: boolean) => {
    const set = jose.createLocalJWKSet(await keys.get(missing));
    const { payload } = await jose.jwtVerify(token, set, {
      ...{ issuer, audience: [...audience], algorithms: [...algorithms], clockTolerance: leeway / 1000 },
      requiredClaims: ['exp', 'sub'],
      currentDate: new Date(clock.wall()),
    });
    return payload;
  };
  try {
    return await check(false);
  } catch (error) {
    // The issuer may have a new key.
    if (error instanceof jose.errors.JWKSNoMatchingKey) return check(true);
    throw error;
  }
}

export function principalOf(
  claims: JWTPayload,
  { issuer, roles: mapping, leeway }: IssuerSettings,
  roles: Roles,
): Principal {
  const held = rolesOf(claims, mapping);
  const name = [claims.preferred_username, claims.name, claims.email, claims.sub].find(
    (one) => typeof one === 'string',
  );
  return {
    // A subject is one person's only within its issuer.
    id: `${issuer}#${claims.sub ?? ''}`,
    name: name ?? 'somebody',
    ...{ keyId: null, roles: held, rights: roles.rights(held, []) },
    expiresAt: (claims.exp ?? 0) * 1000 + leeway,
  };
}

function rolesOf(claims: JWTPayload, { claim, map, default: usual }: IssuerSettings['roles']): readonly string[] {
  // A name with a dot in it may be one claim's own, or the way to one inside another: `realm_access.roles`.
  const at =
    claim in claims
      ? claims[claim]
      : claim.split('.').reduce<unknown>((value, part) => (isRecord(value) ? value[part] : undefined), claims);
  // `scope` is one text of several words (RFC 8693), lists are what most issuers send.
  const said =
    typeof at === 'string' ? at.split(' ') : Array.isArray(at) ? at.filter((one) => typeof one === 'string') : [];
  return [...new Set([...usual, ...said.flatMap((one) => (Object.hasOwn(map, one) ? (map[one] ?? []) : []))])];
}
