import { hash } from 'node:crypto';
import { isRecord } from '#kernel/json';

/** What two requests must have in common for one answer to be both of theirs. */
export interface AnswerKey {
  /** Empty where all callers share. */
  readonly principal: string;
  readonly model: string;
  /** Of the model's file; empty for what has none here. */
  readonly version: string;
  /** At the engine. */
  readonly path: string;
  /** The body as it goes to the engine: parameters, tools and whether it is a stream are in it. */
  readonly question: Readonly<Record<string, unknown>>;
}

// What is asked again as the same object is written out once.
const written = new WeakMap<AnswerKey['question'], string>();

/** A digest, so that neither a prompt nor who asked it can be read from the keys. */
export function digestOf({ principal, model, version, path, question }: AnswerKey): string {
  let text = written.get(question);
  if (text === undefined) written.set(question, (text = canonical(question)));
  return hash('sha256', `${JSON.stringify([principal, model, version, path])}${text}`, 'base64url');
}

/** JSON with the members of every object in one order: two clients seldom write them in the same. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (!isRecord(value)) return JSON.stringify(value) ?? 'null';
  let text = '{';
  for (const name of Object.keys(value).sort()) {
    if (value[name] === undefined) continue;
    text += `${text === '{' ? '' : ','}${JSON.stringify(name)}:${canonical(value[name])}`;
  }
  return `${text}}`;
}
