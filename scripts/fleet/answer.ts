/** What a use of a service came to: a status of HTTP, or the code with which a program ended. */
export interface Answer {
  readonly status: number;
  readonly text: string;
}

export interface Expected {
  readonly status: number;
  readonly text?: string | undefined;
  readonly json?: string | undefined;
}

/** What is wrong with an answer, in words; null where it is as expected. */
export function faultOf({ status, text }: Answer, expected: Expected): string | null {
  const said = text.length > 300 ? `${text.slice(0, 300)} ...` : text;
  if (status !== expected.status) return `answered ${status}, not ${expected.status}: ${said}`;
  if (expected.text !== undefined && !text.includes(expected.text)) return `did not say "${expected.text}": ${said}`;
  if (expected.json === undefined) return null;
  const value = parsed(text);
  if (value === undefined) return `did not answer in JSON: ${said}`;
  return (at(value, expected.json) ?? null) === null ? `has nothing at ${expected.json}: ${said}` : null;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What stands at a place such as `data[0].id`; undefined where there is nothing. */
function at(value: unknown, place: string): unknown {
  const keys = place.split(/[.[\]]+/).filter((key) => key !== '');
  return keys.reduce<unknown>(
    (found, key) =>
      typeof found === 'object' && found !== null && Object.hasOwn(found, key)
        ? (found as Readonly<Record<string, unknown>>)[key]
        : undefined,
    value,
  );
}
