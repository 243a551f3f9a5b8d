import { z } from 'zod';
import { parseBytes, parseDuration } from '#kernel/quantities';

const size = 'Write it as 256MiB, 4GiB or 1.5GB, or as a plain number of bytes.';
const time = 'Write it as 500ms, 30s, 10m, 2h or 1d.';

/** What a size may look like, for editors; `parseBytes` decides. */
const sizeText = z.string().meta({ pattern: '^\\s*\\d+(\\.\\d+)?\\s*([bB]|[kKmMgGtT]([iI]?[bB])?)?\\s*$' });
const durationText = z
  .string({ error: `must be a duration. ${time}` })
  .meta({ pattern: '^\\s*\\d+(\\.\\d+)?\\s*(ms|s|m|h|d)\\s*$' });

/** A number of bytes, written `256MiB`, `4g` or as a plain number. */
export const bytes = z
  .union([z.number().int().nonnegative(), sizeText], {
    error: `must be a size. ${size}`,
  })
  .transform((value, ctx) => {
    const parsed = typeof value === 'number' ? value : parseBytes(value);
    if (parsed === null) {
      ctx.addIssue({ code: 'custom', message: `"${value}" is not a size. ${size}` });
      return z.NEVER;
    }
    return parsed;
  })
  .meta({ examples: ['256MiB', '4GiB'] });

/** Milliseconds, written `500ms`, `30s`, `10m`, `2h` or `1d`. */
export const duration = durationText
  .refine((value) => parseDuration(value) !== null, {
    error: ({ input }) => `"${String(input)}" is not a duration. ${time}`,
  })
  .transform((value) => parseDuration(value) ?? 0)
  .meta({ examples: ['30s', '10m'] });

/** An environment variable's value: numbers and booleans are written as they stand. */
export const environmentValue = z
  .union([z.string(), z.number(), z.boolean()], { error: 'must be text, a number, or true or false' })
  .transform(String);

const instances = z.number().int().min(1).max(64);

/** How many instances run at once; `max` is as many as `min` where only that is said. */
export const replicas = z
  .strictObject({
    min: instances.default(1).describe('So many as soon as it is awake, as far as memory allows.'),
    max: instances.exactOptional().describe('Up to so many while work piles up. Without it as many as min.'),
  })
  .refine(({ min, max = min }) => max >= min, { error: 'must be at least min', path: ['max'] })
  .transform(({ min, max = min }) => ({ min, max }))
  .describe('How many instances of it run at once, sharing one queue.');

/** Absolute, and not all there is. */
export const writablePaths = z
  .array(
    z.string().regex(/^\/(?!\.\.?(\/|$))[^/]+(\/(?!\.\.?(\/|$))[^/]+)*$/, 'must be an absolute path such as /dev/shm'),
  )
  .describe(
    'Files and folders that it may write beside its own: /dev/shm, and /proc/self for its first process. Only what is there when it starts counts.',
  );

export const url = z.url({ error: 'must be an address such as http://192.0.2.7:8000' });

export const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 digest is 64 lower-case hexadecimal digits');
