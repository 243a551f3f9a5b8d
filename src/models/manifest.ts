import { isSha256 } from './names.ts';

/** One file that a name has stood for. */
export interface Version {
  readonly sha256: string;
  readonly bytes: number;
  /** Where the file came from, for people. */
  readonly source: string;
  /** Milliseconds since the epoch. */
  readonly pulledAt: number;
}

/** What one file of `manifests/` says about its name: the version it stands for, and those it has stood for. */
export interface Manifest extends Version {
  /** Newest first, each digest once, the present one among them. */
  readonly versions: readonly Version[];
  /** A person went back to this version: no definition moves the name on until it is pulled by hand. */
  readonly held: boolean;
}

/** Lines of history a name keeps; their files go long before. */
const mostVersions = 20;

/** The manifest after its name got a file: a version that comes again is the newest once more. */
export function advanced(before: Manifest | null, { sha256, bytes, source, pulledAt }: Version): Manifest {
  const version = { sha256, bytes, source, pulledAt };
  const others = (before?.versions ?? []).filter((other) => other.sha256 !== sha256);
  return { ...version, versions: [version, ...others].slice(0, mostVersions), held: false };
}

/** The manifest with another of its versions as the present one. */
export const backAt = (manifest: Manifest, version: Version): Manifest => ({
  ...version,
  versions: manifest.versions,
  held: true,
});

/** The version before the present one; null when there is none. */
export function versionBefore({ sha256, versions }: Manifest): Version | null {
  const present = versions.findIndex((version) => version.sha256 === sha256);
  return versions[present + 1] ?? null;
}

/** Digests whose files a name keeps: the present one and the newest `keep`. */
export const keptDigests = ({ sha256, versions }: Manifest, keep: number): readonly string[] => [
  ...new Set([sha256, ...versions.slice(0, keep).map((version) => version.sha256)]),
];

/** Null for whatever is not a manifest: the file may have been edited, or cut by a failing disk. */
export function parseManifest(text: string): Manifest | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const present = versionOf(value);
  if (!present) return null;
  const { versions, held } = value as Readonly<Record<string, unknown>>;
  // A manifest from before there was a history has a history of one. A damaged line of it is only a line.
  const lines = Array.isArray(versions) ? versions.map(versionOf).filter((version) => version !== null) : [];
  const known = lines.some(({ sha256 }) => sha256 === present.sha256);
  return { ...present, versions: known ? lines.slice(0, mostVersions) : [present, ...lines], held: held === true };
}

function versionOf(value: unknown): Version | null {
  if (typeof value !== 'object' || value === null) return null;
  const { sha256, bytes, source, pulledAt } = value as Readonly<Record<string, unknown>>;
  const whole = (number: unknown): number is number => Number.isSafeInteger(number) && (number as number) >= 0;
  if (typeof sha256 !== 'string' || !isSha256(sha256) || !whole(bytes)) return null;
  return {
    sha256,
    bytes,
    source: typeof source === 'string' ? source : 'unknown',
    pulledAt: whole(pulledAt) ? pulledAt : 0,
  };
}
