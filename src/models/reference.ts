import { Fault } from '#kernel/faults';

/** A model as people write it: `smollm2:135m`, or one version of it, `smollm2:135m@sha256:b179c9523d0e`. */
export interface ModelReference {
  readonly name: string;
  /** The first hexadecimal digits of the version's digest; null when any version will do. */
  readonly digest: string | null;
}

/** Fewer digits than these are no longer one file's alone by anything but luck. */
const fewestDigits = 12;

/** Reads `name@sha256:digits`. Throws BAD_REQUEST for a digest that is none; names are not judged here. */
export function parseReference(text: string): ModelReference {
  const at = text.indexOf('@');
  if (at < 0) return { name: text, digest: null };
  return { name: text.slice(0, at), digest: parseDigest(text.slice(at + 1)) };
}

/** The digits of `sha256:digits`, or of digits alone. */
export function parseDigest(text: string): string {
  const digits = text.toLowerCase().replace(/^sha256[:-]/, '');
  if (/^[0-9a-f]+$/.test(digits) && digits.length >= fewestDigits && digits.length <= 64) return digits;
  throw new Fault(
    'BAD_REQUEST',
    `"${text.slice(0, 80)}" is not a version: write sha256: and at least ${fewestDigits} digits of its digest, ` +
      'as `sutaz models versions` shows them.',
    { param: 'model' },
  );
}

/** The one version whose digest begins so. Throws NOT_FOUND with those there are, BAD_REQUEST when several do. */
export function matchVersion<V extends { readonly sha256: string }>(
  name: string,
  digest: string,
  versions: readonly V[],
): V {
  const found = versions.filter(({ sha256 }) => sha256.startsWith(digest));
  if (found.length === 1) return found[0] as V;
  const listed = (found.length > 1 ? found : versions).map(({ sha256 }) => `sha256:${shortDigest(sha256, digest)}`);
  if (found.length > 1) {
    throw new Fault('BAD_REQUEST', `sha256:${digest} is more than one version of ${name}: ${listed.join(', ')}.`, {
      param: 'model',
      details: { candidates: found.map(({ sha256 }) => sha256) },
    });
  }
  const known = listed.length > 0 ? ` Its versions here: ${listed.join(', ')}.` : ' No version of it is here.';
  throw new Fault('NOT_FOUND', `${name} has no version sha256:${digest}.${known}`, { param: 'model' });
}

/** Enough digits to tell it from what was asked for. */
const shortDigest = (sha256: string, asked: string): string => sha256.slice(0, Math.min(64, asked.length + 4));
