import type { AnswerFields } from '#config/middlewares';
import { isRecord } from '#kernel/json';
import type { JsonObject } from './middleware.ts';

/** A place in an object: `choices.*.logprobs`, where `*` is each entry of a list, or each field of an object. */
type FieldPath = readonly string[];
type Visit = (parent: Record<string, unknown>, name: string) => void;

export const pathOf = (written: string): FieldPath => written.split('.');

/** Calls back with what holds the field, wherever there is such a thing. `make` makes the objects that lead there. */
export function eachField(object: JsonObject, path: FieldPath, visit: Visit, make = false): void {
  const last = path.length - 1;
  const go = (at: unknown, depth: number): void => {
    const part = path[depth] ?? '';
    if (part === '*') {
      const entries = Array.isArray(at) || isRecord(at) ? Object.values(at) : [];
      for (const one of entries) go(one, depth + 1);
      return;
    }
    if (!isRecord(at)) return;
    if (depth === last) return visit(at, part);
    if (make && path[depth + 1] !== '*' && at[part] === undefined) at[part] = {};
    if (Object.hasOwn(at, part)) go(at[part], depth + 1);
  };
  go(object, 0);
}

/** Renames, removes and sets, in that order. */
export function changeFields({ rename = {}, remove = [], set = {} }: AnswerFields): (body: JsonObject) => void {
  const renamed = Object.entries(rename).map(([from, to]) => [pathOf(from), to] as const);
  const removed = remove.map(pathOf);
  const values = Object.entries(set).map(([written, value]) => [pathOf(written), value] as const);
  return (body) => {
    for (const [path, to] of renamed) eachField(body, path, (parent, name) => renameIn(parent, name, to));
    for (const path of removed) eachField(body, path, (parent, name) => void delete parent[name]);
    for (const [path, value] of values) {
      // A copy: what comes after it may change it, and the next request gets it too.
      eachField(body, path, (parent, name) => void (parent[name] = structuredClone(value)), true);
    }
  };
}

function renameIn(parent: Record<string, unknown>, name: string, to: string): void {
  if (!Object.hasOwn(parent, name) || name === to) return;
  parent[to] = parent[name];
  delete parent[name];
}
