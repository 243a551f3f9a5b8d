import { isIP } from 'node:net';
import type { TargetTls } from '#routing/policy';

export interface Place {
  readonly host: string;
  readonly port: number;
  readonly secure: boolean;
  /** As a Host header has it: `127.0.0.1:41234`. */
  readonly authority: string;
  /** How its certificate is judged, where that is not as usual. */
  readonly tls?: TargetTls;
}

/** Where an origin is: `http://[::1]:41234`. */
export function placeOf(origin: string): Place {
  const { hostname, port, protocol, host } = new URL(origin);
  const secure = protocol === 'https:' || protocol === 'h2:';
  const own = Number(port) || (secure ? 443 : 80);
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: own, secure, authority: host };
}

/** How TLS is to judge what a host shows. */
export function certificateAt(host: string, tls?: TargetTls): { readonly servername?: string; readonly ca?: string } {
  const servername = tls?.serverName ?? (isIP(host) ? undefined : host);
  return { ...(servername !== undefined && { servername }), ...(tls?.ca !== undefined && { ca: tls.ca }) };
}
