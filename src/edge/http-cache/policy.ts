import CachePolicy from 'http-cache-semantics';

/** A request as the service sees it. Names in lower case. */
export interface AskedFor {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** How long an answer is good, and for whom (RFC 9111). */
export interface Freshness {
  /** Whether it may be given to this request without asking the service. */
  satisfies(asked: AskedFor): boolean;
  readonly stale: boolean;
  /** Seconds since the service made it. */
  readonly ageSeconds: number;
  /** Seconds for which it is still good. */
  readonly leftSeconds: number;
}

type Headers = Readonly<Record<string, string>>;

/** Directives by their names in lower case, which the library would not know otherwise, without those that `left` names. */
function directives(header: string, left: RegExp): string {
  const all = header.split(',').map((one) => one.trim().replace(/^[^="]+/, (name) => name.toLowerCase()));
  return all.filter((one) => !left.test(one)).join(', ');
}

/**
 * With what only loosens or repeats what is done here in any case: nothing stale is ever given, whoever would take it, so that
 * `must-revalidate` asks for nothing more; the library gives none of those even while they are fresh. Where a key of the
 * client's went along it is left in: there it is what allows the answer to be kept.
 */
const loosening = /^max-stale\b/;
const asIsDone = /^(must-revalidate|proxy-revalidate)\b/;

function policyOf(asked: AskedFor, status: number, headers: Headers): CachePolicy {
  const { 'cache-control': said, ...rest } = headers;
  const isOwn = asked.headers.authorization !== undefined;
  const control = said === undefined ? undefined : isOwn ? directives(said, /^$/) : directives(said, asIsDone);
  const given = control === undefined ? rest : { ...rest, 'cache-control': control };
  // What is declared, and nothing that is guessed from when something was last changed.
  return new CachePolicy(plain(asked), { status, headers: given }, { shared: true, cacheHeuristic: 0 });
}

function plain({ method, url, headers }: AskedFor) {
  const { pragma, ...rest } = headers;
  const said = headers['cache-control'];
  // What is older says nothing beside what took its place (RFC 9111, section 5.4).
  const older = said === undefined && pragma !== undefined ? { pragma } : {};
  const own = said === undefined ? older : { 'cache-control': directives(said, loosening) };
  return { method: method === 'HEAD' ? 'GET' : method, url, headers: { ...rest, ...own } };
}

/** Null where the answer may not be kept, or is no use when it is: it is never fresh, and cannot be asked about. */
export function freshnessOf(asked: AskedFor, status: number, headers: Headers): Freshness | null {
  const policy = policyOf(asked, status, headers);
  const isUseful = policy.maxAge() > 0 || headers.etag !== undefined || headers['last-modified'] !== undefined;
  if (!policy.storable() || !isUseful) return null;
  return {
    satisfies: (again) => policy.satisfiesWithoutRevalidation(plain(again)),
    get stale() {
      return policy.stale();
    },
    get ageSeconds() {
      return Math.max(0, Math.floor(policy.age()));
    },
    get leftSeconds() {
      return Math.max(0, Math.floor(policy.maxAge() - policy.age()));
    },
  };
}
