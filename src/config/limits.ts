import { z } from 'zod';
import { didYouMean } from '#kernel/nearest';
import { parseBytes } from '#kernel/quantities';

/** So much in so long. */
export interface Rate {
  /** Requests, tokens or bytes. */
  readonly limit: number;
  readonly per: Period;
}

/** Milliseconds. */
export const periods = { second: 1_000, minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;
export type Period = keyof typeof periods;

const isPeriod = (name: string): name is Period => Object.hasOwn(periods, name);

const thousands: Readonly<Record<string, number>> = { '': 1, k: 1e3, M: 1e6 };

/** A count of `200`, `200k` or `1.5M`; null when it is none. */
function parseCount(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)([kM]?)$/.exec(text);
  const value = match ? Math.round(Number(match[1]) * (thousands[match[2] ?? ''] ?? 1)) : 0;
  return Number.isSafeInteger(value) && value > 0 ? value : null;
}

interface Quantity {
  readonly parse: (text: string) => number | null;
  readonly example: string;
  /** For editors; `parse` decides. */
  readonly pattern: string;
}

const counted: Quantity = { parse: parseCount, example: '100/minute or 200k/day', pattern: '\\d+(\\.\\d+)?[kM]?' };
const sized: Quantity = {
  parse: parseBytes,
  example: '100MiB/hour',
  pattern: '\\d+(\\.\\d+)?\\s*[kKmMgGtT]?([iI]?[bB])?',
};

function rateOf(text: string, { parse, example }: Quantity): Rate | string {
  const [amount = '', per = '', more] = text.split('/').map((part) => part.trim());
  const limit = parse(amount);
  if (more !== undefined || per === '' || limit === null || limit === 0) {
    return `"${text}" is not a rate. Write it as ${example}.`;
  }
  if (isPeriod(per)) return { limit, per };
  const names = Object.keys(periods);
  return `"${per}" is not a period.${didYouMean(per, names)} A rate is per ${names.join(', ')}.`;
}

/** One rate or several; each period once. */
function rates(quantity: Quantity) {
  const pattern = `^\\s*${quantity.pattern}\\s*/\\s*(${Object.keys(periods).join('|')})\\s*$`;
  const text = z.string().meta({ pattern });
  return z
    .union([text, z.array(text).min(1)], { error: `must be a rate such as ${quantity.example}, or a list of them` })
    .transform((given, ctx): Rate[] => {
      const parsed = (Array.isArray(given) ? given : [given]).map((one) => rateOf(one, quantity));
      const right = parsed.filter((one) => typeof one !== 'string');
      for (const [index, message] of parsed.entries()) {
        const path = Array.isArray(given) ? [index] : [];
        if (typeof message === 'string') ctx.addIssue({ code: 'custom', message, path });
      }
      return right.length === parsed.length ? right : z.NEVER;
    })
    .refine((all) => new Set(all.map(({ per }) => per)).size === all.length, 'names a period twice');
}

/** One pattern or several; `*` stands for any text. */
const patterns = z
  .union([z.string().min(1), z.array(z.string().min(1)).min(1)], { error: 'must be text, or a list of texts' })
  .transform((given) => (Array.isArray(given) ? given : [given]))
  .meta({ examples: ['qwen*'] });

const subjects = ['key', 'principal', 'service', 'model'] as const;
/** Of what a rule keeps one account each. */
export type Subject = (typeof subjects)[number];
const subject = z.enum(subjects);

const rule = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9][a-z0-9._-]*$/i, 'a name is letters, digits and . _ -')
      .max(40)
      .exactOptional()
      .describe('What answers, metrics and `sutaz limits` call it. Without it limit-1, limit-2 and so on.'),
    for: z
      .strictObject({
        key: patterns.exactOptional().describe('Keys by name or id.'),
        principal: patterns.exactOptional().describe('Who the keys belong to.'),
        service: patterns.exactOptional().describe('Services by id.'),
        model: patterns.exactOptional().describe('Models by id, alias or name of your own.'),
        route: patterns.exactOptional().describe('Paths, as /v1/embeddings or /services/chroma/api/*.'),
      })
      .prefault({})
      .describe('What it is about: all of these must fit. Without it every request for a model or a service.'),
    each: z
      .union([subject, z.array(subject).min(1)], {
        error: ({ input }) =>
          `must be one or several of ${subjects.join(', ')}.${typeof input === 'string' ? didYouMean(input, subjects) : ''}`,
      })
      .transform((given) => (Array.isArray(given) ? [...new Set(given)] : [given]))
      .exactOptional()
      .describe('One account for each of them. Without it one for all together.'),
    requests: rates(counted).exactOptional().describe('Requests let in: 100/minute, or several rates.'),
    tokens: rates(counted).exactOptional().describe('Tokens of prompts and answers, as the engine counts them.'),
    bytes: rates(sized).exactOptional().describe('Bytes of requests and answers.'),
    concurrent: z.number().int().min(1).max(1_000_000).exactOptional().describe('Requests at once.'),
  })
  .check(({ value, issues }) => {
    // A key that nobody knows may be the very one that is missing here.
    if (issues.length > 0) return;
    const say = (message: string, path: PropertyKey[] = []) =>
      issues.push({ code: 'custom', message, path, input: value });
    if (!value.requests && !value.tokens && !value.bytes && value.concurrent === undefined) {
      say('limits nothing: it needs one of requests, tokens, bytes, concurrent');
    }
    const model = value.for.model !== undefined || value.each?.includes('model');
    const service = value.for.service !== undefined || value.each?.includes('service');
    if (model && service) say('no request is for a model and for a service: make it two rules');
    if (service && value.tokens) say('counts tokens, which only models have', ['tokens']);
  });

export const limitRules = z
  .array(rule)
  .default([])
  .refine((rules) => {
    const names = rules.flatMap(({ name }) => (name === undefined ? [] : [name]));
    return new Set(names).size === names.length;
  }, 'two rules have the same name')
  .describe('Who may use how much. A request must fit all rules that are about it.');

export type LimitRule = z.output<typeof rule>;
