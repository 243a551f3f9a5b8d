import type { HeaderChanges } from '#config/middlewares';
import type { Headers } from './middleware.ts';

/** Renames, removes and sets, in that order. What is renamed takes the place of what had that name. */
export function changeHeaders({ rename = {}, remove = [], set = {} }: HeaderChanges): (headers: Headers) => void {
  const lower = (entries: Readonly<Record<string, string>>) =>
    Object.entries(entries).map(([name, value]) => [name.toLowerCase(), value] as const);
  const renamed = lower(rename).map(([from, to]) => [from, to.toLowerCase()] as const);
  const removed = remove.map((name) => name.toLowerCase());
  const added = lower(set);
  return (headers) => {
    for (const [from, to] of renamed) {
      if (headers[from] === undefined || from === to) continue;
      headers[to] = headers[from];
      delete headers[from];
    }
    for (const name of removed) delete headers[name];
    for (const [name, value] of added) headers[name] = value;
  };
}
