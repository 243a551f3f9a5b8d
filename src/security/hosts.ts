/** What a Host header names. */
export type Named =
  { readonly kind: 'door' } | { readonly kind: 'service'; readonly id: string } | { readonly kind: 'unknown' };

/** The last is what containers call this machine: `.internal` is nobody's on the internet, so no page can have that name. */
const loopback = new Set(['localhost', '127.0.0.1', '[::1]', 'host.docker.internal']);

/**
 * Whom a request is for, by its Host header. A name that is not ours is `unknown` and refused: a web page whose name was
 * made to point at loopback (DNS rebinding) sends its own name here.
 */
export function nameHost(header: string | undefined, extra: readonly string[]): Named {
  if (!header) return { kind: 'unknown' };
  const host = header.toLowerCase().replace(/:\d+$/, '');
  if (loopback.has(host) || extra.some((name) => name.toLowerCase() === host)) return { kind: 'door' };
  const match = /^([a-z0-9]+(?:-[a-z0-9]+)*)\.localhost$/.exec(host);
  if (match?.[1]) return { kind: 'service', id: match[1] };
  return { kind: 'unknown' };
}

export interface FetchFacts {
  readonly method: string;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  readonly fetchSite: string | undefined;
  readonly fetchMode: string | undefined;
  readonly upgrade: boolean;
}

/**
 * Whether a request that a cookie vouches for may act: browsers send cookies with requests that other sites' pages make,
 * so that anything but a plain read must come from a page of the same origin (it carries `Origin` then). Another port of
 * this machine is the same site to a browser and shares its cookies, but it is another origin.
 */
export function isSameOrigin({ method, host, origin, fetchSite, fetchMode, upgrade }: FetchFacts): boolean {
  if (origin !== undefined) return host !== undefined && originHost(origin) === host.toLowerCase();
  const reads = !upgrade && (method === 'GET' || method === 'HEAD');
  if (!reads) return fetchSite === 'same-origin';
  return fetchMode === 'navigate' || (fetchSite !== 'cross-site' && fetchSite !== 'same-site');
}

function originHost(origin: string): string | null {
  try {
    return new URL(origin).host;
  } catch {
    return null;
  }
}
