import { z } from 'zod';
import { duration, url } from './fields.ts';

const share = z.number().min(0, 'a share is between 0 and 1').max(1, 'a share is between 0 and 1');
const count = z.number().int().min(1).max(1_000);

const hasNoKey = (address: string): boolean => {
  const { username, password } = URL.parse(address) ?? { username: '', password: '' };
  return username === '' && password === '';
};

/** Where a key is read from: never the key itself, which would be shown and logged. */
const keys = {
  keyFile: z.string().min(1).exactOptional().describe("A file with the server's key."),
  keyEnv: z
    .string()
    .regex(/^[A-Za-z_]\w*$/, 'not a name of an environment variable')
    .exactOptional()
    .describe("A variable of the platform's with it."),
};

const place = {
  url: url
    .refine(hasNoKey, 'an address is shown and logged: give the key by keyFile or keyEnv')
    .describe('Its address: scheme, host, port, and a path that is put before every other.'),
  ...keys,
  ca: z.string().min(1).exactOptional().describe('A PEM file with the certificates that may vouch for it.'),
  serverName: z
    .string()
    .min(1)
    .exactOptional()
    .describe('The name that its certificate has, where its address has another.'),
};

export const upstream = z
  .strictObject({
    ...place,
    weight: z
      .number()
      .positive()
      .max(1_000)
      .default(1)
      .describe("Its part of the requests, beside the others' weights."),
  })
  .describe('One of the places where it runs.');

const health = z
  .strictObject({
    path: z
      .string()
      .startsWith('/', 'must be a path that starts with /')
      .describe('A path that answers 2xx when it is well.'),
    interval: duration.prefault('5s'),
    timeout: duration.prefault('2s'),
    bad: count.default(2).describe('Bad answers in a row after which it is left out.'),
    good: count.default(1).describe('Good ones after which it is back.'),
  })
  .describe('Asks each upstream whether it is well, for as long as it is used.');

const breaker = z
  .strictObject({
    enabled: z.boolean().default(true).describe('false never leaves an upstream alone.'),
    failures: count.exactOptional().describe('Failures in a row that open it. Without it 5.'),
    rate: share
      .exactOptional()
      .describe('The share of failures that opens it, from 20 answers in ten seconds on. Without it 0.5.'),
    open: duration
      .exactOptional()
      .describe('How long it stays open at first; doubled with each try that fails. Without it 1s.'),
    mostOpen: duration.exactOptional().describe('At most. Without it 30s.'),
  })
  .describe('When an upstream that keeps failing is left alone.');

const retry = z
  .strictObject({
    tries: z
      .number()
      .int()
      .min(1)
      .max(10)
      .exactOptional()
      .describe('Tries of a request, the first among them; 1 for none but that.'),
    budget: share
      .exactOptional()
      .describe('Retries as a share of the requests of the last ten seconds. Without it 0.2.'),
    patience: duration
      .exactOptional()
      .describe('How long a Retry-After is waited for here; a longer one is passed on. Without it 2s.'),
  })
  .describe('When a request is tried again: before its answer began, and only where that is safe.');

const timeouts = z
  .strictObject({
    try: duration.exactOptional().describe('Until an answer begins, for each try.'),
    total: duration.exactOptional().describe('Until an answer begins, for all tries together.'),
    idle: duration.exactOptional().describe('Between two pieces of an answer.'),
  })
  .describe('How long an upstream is waited for. What is left out has no limit.');

/** What holds for any unit, wherever it runs. */
const common = {
  breaker: breaker.exactOptional(),
  retry: retry.exactOptional(),
  timeouts: timeouts.exactOptional(),
};

/** What there is to say of several places. */
const spread = {
  balance: z
    .enum(['round-robin', 'least-requests', 'latency', 'hash'])
    .exactOptional()
    .describe('How one of several is chosen. Without it least-requests.'),
  hashBy: z
    .string()
    .regex(/^(key|conversation|prefix|header:[A-Za-z0-9-]+)$/, 'must be key, conversation, prefix or header:NAME')
    .exactOptional()
    .describe(
      'With balance: hash, what stays at the same place: key (who asks), conversation, prefix (of the prompt) or header:NAME.',
    ),
  health: health.exactOptional(),
  outliers: z
    .strictObject({
      worse: share.exactOptional().describe("By how much its share of failures exceeds the others'. Without it 0.25."),
      slower: z
        .number()
        .min(1.5)
        .exactOptional()
        .describe('How many times slower than the others it is. Without it slowness is no reason.'),
      most: share.exactOptional().describe('The share of them that may be out at once. Without it 0.5.'),
      rest: duration.exactOptional().describe('For how long, the first time. Without it 10s.'),
    })
    .exactOptional()
    .describe('When one that does worse than the others is left out for a while.'),
};

const hedge = z
  .boolean()
  .describe('Sends the slowest few of the reads to a second place as well, and takes the answer that begins first.');

const canary = z
  .strictObject({
    ...place,
    share: share.describe('The share of requests that goes to it.'),
    worse: share
      .default(0.05)
      .describe("By how much its share of failures may exceed the others'; then it gets no more."),
  })
  .describe('A new version, which gets a small part until it fails more than the old one.');

const mirror = z
  .strictObject({ ...place, share: share.describe('The share of requests that is copied to it.') })
  .describe('Gets copies of requests, marked with x-sutaz-mirror; what it answers goes to nobody.');

/** Keys of a definition for what runs elsewhere, beside its `url`. */
export const elsewhere = {
  upstreams: z.array(upstream).min(1).max(256).exactOptional().describe('The places where it runs, in place of url.'),
  ...spread,
  ...common,
  hedge: hedge.exactOptional(),
  canary: canary.exactOptional(),
  mirror: mirror.exactOptional(),
};

/** The same in `sutaz.yaml`: what is said there goes over the definition, key by key. */
export const upstreamSettings = z
  .strictObject(elsewhere)
  .describe('How its requests are spread, tried again and given up; for what runs elsewhere also where.');

/**
 * Keys of a model that is at several places, beside what it is called there. No mirror, and no second place for reads: a model
 * is only ever asked to compute, which is dear.
 */
export const modelElsewhere = {
  upstreams: z.array(upstream).min(1).max(256).exactOptional().describe('The servers that have it, in place of url.'),
  ...spread,
  ...common,
  canary: canary.exactOptional(),
};

/** For a model, wherever it is: where that is, and how its requests are spread, only its definition says. */
export const modelTraffic = z.strictObject(common).describe('How its requests are tried again and given up.');

export type ModelElsewhere = z.output<z.ZodObject<typeof modelElsewhere>>;
export type UpstreamSettings = z.output<typeof upstreamSettings>;
export type UpstreamPlace = Pick<z.output<typeof upstream>, 'url' | 'keyFile' | 'keyEnv' | 'ca' | 'serverName'>;
