import { howToJoin, partOf } from '#catalog/split';
import type { ModelSource } from '#contracts/models';

/** A model's file that lies somewhere on this machine already. */
export interface FoundModel {
  /** What it would be called here. */
  readonly id: string;
  /** What its place calls it, for people. */
  readonly title: string;
  /** The file itself, no symbolic link; nothing outside the place that was named. */
  readonly path: string;
  readonly bytes: number;
  /** The digest that its place gives it: believed once the bytes were read. */
  readonly claimed: string | null;
  /** Where it could be fetched from should the file go. */
  readonly origins: readonly ModelSource[];
}

/** Something that looked like a model and is not taken. */
export interface Skipped {
  readonly title: string;
  readonly why: string;
}

export interface Scan {
  readonly found: readonly FoundModel[];
  readonly skipped: readonly Skipped[];
}

/** Looks through one kind of place. Reads names and small files only; changes nothing. */
export type Scanner = (root: string) => Promise<Scan>;

/** Why a GGUF file is not taken by itself, told from its name; null when it is. */
export function notAlone(name: string): string | null {
  // One model only together, and the store has one file for each.
  const part = partOf(name);
  if (part) return `it is part ${part.part} of ${part.parts} of a model: ${howToJoin}`;
  return /^mmproj/i.test(name) ? 'it is a projector, which is a part of another model' : null;
}

/** Ends of file names that say how the weights are stored. */
const quantization = /[-._]((?:UD-)?I?Q\d[\w]*|TQ\d_\d|BF16|F16|F32|FP16|MXFP4\w*)$/i;

/** `SmolLM2-135M-Instruct.Q4_1.gguf` as `smollm2-135m-instruct:q4_1`. */
export function idOfFile(name: string): string {
  const base = name.replace(/\.gguf$/i, '');
  const tag = quantization.exec(base)?.[1];
  return tag === undefined ? word(base) : `${word(base.slice(0, -tag.length - 1))}:${word(tag)}`;
}

/** A text as one half of a model's id. */
export function word(text: string): string {
  const safe = text
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+|-+$/g, '');
  return safe.slice(0, 80) || 'model';
}
