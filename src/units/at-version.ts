import { Fault } from '#kernel/faults';
import { matchVersion, parseReference } from '#models/reference';
import type { Directory } from './directory.ts';

/** What a model's name stands for now, and has stood for; null while its file is not here. */
export type VersionsOf = (model: string) => {
  readonly sha256: string;
  readonly versions: readonly { readonly sha256: string }[];
} | null;

/**
 * The same directory; a model may also be named with the version it is to be: `smollm2:135m@sha256:b179c9523d0e`. That is a
 * condition: it is that model if that is the version it stands for. Otherwise CONFLICT says which it is, and NOT_FOUND that
 * no such version is known.
 */
export function atVersion(directory: Directory, versionsOf: VersionsOf): Directory {
  const checked = (name: string): string => {
    const { name: bare, digest } = parseReference(name);
    if (digest === null) return name;
    const { id } = directory.model(bare.replace(/^model\//, '')).definition;
    const stored = versionsOf(id);
    const { sha256 } = matchVersion(id, digest, stored?.versions ?? []);
    if (stored?.sha256 === sha256) return bare;
    const how = `\`sutaz models rollback ${id} sha256:${sha256.slice(0, 12)}\` goes to the one that was asked for.`;
    throw new Fault('CONFLICT', `${id} stands for sha256:${stored?.sha256.slice(0, 12)} now. ${how}`, {
      param: 'model',
      details: { asked: sha256, present: stored?.sha256 },
    });
  };
  return {
    ...directory,
    model: (name) => directory.model(checked(name)),
    modelUnit: (name) => directory.modelUnit(checked(name)),
    unit: (name) => directory.unit(checked(name)),
  };
}
