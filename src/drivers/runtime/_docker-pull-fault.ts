import { Fault, type FaultCode } from '#kernel/faults';

/**
 * What engines say of a pull that failed, which is all there is: the same status comes with most of them. The first that fits
 * counts. A public registry answers alike for what it does not have and what it does not show.
 */
const reasons: readonly (readonly [words: RegExp, code: FaultCode, remedy: string])[] = [
  [
    /no space left on device/i,
    'DISK_FULL',
    'there is no room where its engine keeps images: `docker system df` shows what does, `docker image prune` frees some',
  ],
  [
    /may require .docker login|access denied/i,
    'NOT_FOUND',
    'check its name and tag; if it is private, fetch it by hand once: `docker login`, then `docker pull`',
  ],
  [
    /no basic auth|unauthorized|authentication required|denied/i,
    'UPSTREAM_FAILED',
    'its registry wants to know who asks. Fetch it by hand once: `docker login`, then `docker pull`',
  ],
  [/manifest unknown|not found|no matching manifest/i, 'NOT_FOUND', 'check its name, its tag and its digest'],
  [/invalid reference format/i, 'BAD_REQUEST', 'that is no name of an image: correct "image" in the definition'],
  [
    /HTTP response to HTTPS client|certificate|tls:/i,
    'UPSTREAM_FAILED',
    'its registry has no certificate that the engine trusts: `insecure-registries` or `/etc/docker/certs.d` of the engine',
  ],
];

/** Anything else is a network that failed, or a registry that did. */
const unreached =
  'its registry may be out of reach, and is asked again with the next start; an image that is here already is never fetched';

export function pullFault(image: string, words: string, cause?: unknown): Fault {
  const [, code, remedy] = reasons.find(([fits]) => fits.test(words)) ?? [null, 'UPSTREAM_FAILED' as const, unreached];
  return new Fault(code, `The image ${image} could not be fetched (${words}): ${remedy}.`, { cause });
}
