import { z } from 'zod';
import { parseBytes, parseDuration } from '#kernel/quantities';

/** A number of bytes, written `256MiB`, `4g` or as a plain number. */
export const bytes = z.union([z.number().int().nonnegative(), z.string()]).transform((value, ctx) => {
  const parsed = typeof value === 'number' ? value : parseBytes(value);
  if (parsed === null) {
    ctx.addIssue({ code: 'custom', message: `"${value}" is not a size. Write it as 256MiB, 4GiB or 1.5GB.` });
    return z.NEVER;
  }
  return parsed;
});

/** Milliseconds, written `500ms`, `30s`, `10m`, `2h` or `1d`. */
export const duration = z.string().transform((value, ctx) => {
  const parsed = parseDuration(value);
  if (parsed === null) {
    ctx.addIssue({ code: 'custom', message: `"${value}" is not a duration. Write it as 500ms, 30s, 10m, 2h or 1d.` });
    return z.NEVER;
  }
  return parsed;
});

/** An environment variable's value: numbers and booleans are written as they stand. */
export const environmentValue = z.union([z.string(), z.number(), z.boolean()]).transform(String);

export const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 digest is 64 lower-case hexadecimal digits');
