/**
 * What a limit costs a request, in nanoseconds: `node --conditions=source bench/limits.ts [--json]`. Medians of several rounds,
 * since the machine does other things as well.
 */
import { parseArgs } from 'node:util';
import type { Exchange } from '#edge/exchange';
import type { Admission } from '#edge/limits/admission';
import { createLimiter } from '#edge/limits/limiter';
import { compileRules } from '#edge/limits/rules';
import { createUsageStream } from '#edge/limits/usage-stream';
import { refusalOf, takeAll } from '#resilience/admission';
import { createConcurrency, createRate } from '#resilience/meter';
import { configSchema } from '#config/static';
import { systemClock } from '#kernel/clock';
import { noRights } from '#security/scopes';

const rounds = 15;
const perRound = 50_000;

function measure(work: () => void): number {
  const times = Array.from({ length: rounds }, () => {
    const began = process.hrtime.bigint();
    for (let i = 0; i < perRound; i++) work();
    return Number(process.hrtime.bigint() - began) / perRound;
  });
  return times.sort((a, b) => a - b)[Math.floor(rounds / 2)] ?? 0;
}

function limiterOf(rules: readonly object[]) {
  const { limits } = configSchema.parse({ limits: { rules } });
  const limiter = createLimiter({ clock: systemClock, kept: new Map(), refused: { add: () => undefined } });
  limiter.follow(compileRules(limits.rules, (id) => [id]));
  return limiter;
}

const principal = { id: 'ada', name: 'ada', keyId: 'key-1', roles: [], rights: noRights, expiresAt: null };
const res = { headersSent: false, setHeader: () => res };

/** What the limiter sees of a request; the answer's headers go nowhere. */
const request = (): Exchange => {
  const exchange = { principal, path: '/v1/chat/completions', admission: null as Admission | null };
  return Object.assign(exchange, { res, req: { headers: {} } }) as unknown as Exchange;
};

const one = limiterOf([{ each: 'key', requests: '9000000M/second', concurrent: 1_000_000 }]);
const none = limiterOf([]);
const other = limiterOf([{ for: { key: 'eve' }, requests: '1/second' }]);
const pass = (limiter: typeof one) => () => {
  const exchange = request();
  limiter.admit(exchange, null);
  limiter.settle(exchange);
};

const wants = [createRate(Infinity, 60_000), createConcurrency(1_000)].map((meter) => ({ meter, amount: 1 }));
const event = Buffer.from('data: {"choices":[{"index":0,"delta":{"content":"word"},"finish_reason":null}]}\n\n');
const counted = Buffer.from(
  'data: {"choices":[{"delta":{"content":"word"}}],"usage":{"prompt_tokens":11,"completion_tokens":4,"total_tokens":15}}\n\n',
);
const stream = createUsageStream({ shown: 'none', onUsage: () => undefined, onEvent: () => undefined });

const results = {
  'no rules': measure(pass(none)),
  'rules, none about the request': measure(pass(other)),
  'the check: two meters asked, taken and settled': measure(() => {
    const now = performance.now();
    if (refusalOf(wants, now) === null) for (const hold of takeAll(wants, now)) hold.settle(1, now);
  }),
  'the same with its rules found and its headers written': measure(pass(one)),
  'an event of a stream looked at': measure(() => void stream.push(event)),
  'an event whose usage is read and taken out': measure(() => void stream.push(counted)),
};

const { json } = parseArgs({ options: { json: { type: 'boolean' } } }).values;
if (json) console.log(JSON.stringify(results));
else for (const [what, ns] of Object.entries(results)) console.log(`${String(Math.round(ns)).padStart(7)} ns  ${what}`);
