import type { RequestFields } from '#config/middlewares';
import { Fault } from '#kernel/faults';
import { changeFields, eachField, pathOf } from './json-fields.ts';
import type { JsonObject, MakeMiddleware } from './middleware.ts';

/**
 * Fields of the request: renamed, removed and set, then filled in where there are none, then brought within bounds. What is
 * bounded and is no number is refused: nobody could say what the target makes of it.
 */
export const requestJson: MakeMiddleware<RequestFields> = ({ defaults = {}, max = {}, min = {}, ...changes }) => {
  const change = changeFields(changes);
  const filled = Object.entries(defaults).map(([written, value]) => [pathOf(written), value] as const);
  const bounds = [...boundsOf(max, Math.min), ...boundsOf(min, Math.max)];
  return {
    requestJson(body) {
      change(body);
      for (const [path, value] of filled) {
        eachField(body, path, (parent, name) => void (parent[name] ??= structuredClone(value)), true);
      }
      for (const bound of bounds) keepWithin(body, bound);
    },
  };
};

interface Bound {
  readonly written: string;
  readonly path: readonly string[];
  readonly value: number;
  readonly pick: (given: number, value: number) => number;
}

const boundsOf = (given: Readonly<Record<string, number>>, pick: Bound['pick']): Bound[] =>
  Object.entries(given).map(([written, value]) => ({ written, value, pick, path: pathOf(written) }));

function keepWithin(body: JsonObject, { written, path, value, pick }: Bound): void {
  eachField(body, path, (parent, name) => {
    const given = parent[name];
    if (given === undefined || given === null) return;
    if (typeof given !== 'number') {
      throw new Fault('BAD_REQUEST', `The parameter ${written} must be a number.`, { param: written });
    }
    parent[name] = pick(given, value);
  });
}
