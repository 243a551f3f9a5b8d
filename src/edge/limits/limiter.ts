import type { Clock } from '#kernel/clock';
import { Fault } from '#kernel/faults';
import type { Counter } from '#observe/metrics';
import type { Exchange } from '../exchange.ts';
import { header } from '../exchange.ts';
import type { ModelChoice } from '../models.ts';
import { createAccounts } from './accounts.ts';
import type { Account, Accounts, Gauge, KeptAccount } from './accounts.ts';
import { cancelFrom, settleAll, takeInto } from './admission.ts';
import type { Admission, GaugeRefusal, GaugeWant, TokenCount } from './admission.ts';
import { estimateOf } from './estimate.ts';
import { factsOf } from './facts.ts';
import { limitHeaders } from './headers.ts';
import { isWork } from './rules.ts';
import type { CompiledRule, Facts, Kind } from './rules.ts';

export interface Limiter {
  /** Lets a request in by what its head says, or throws RATE_LIMITED. */
  admit(exchange: Exchange, service: string | null): void;
  /**
   * Lets what a request asks of a service on its way go there, or throws RATE_LIMITED. The rules that are about the request
   * as it came have counted it already; those that are about the service count it now.
   */
  admitCall(exchange: Exchange, service: string): void;
  /**
   * Lets it go to a model, or throws RATE_LIMITED. `question` is the body in OpenAI's API, of so many bytes. Asked again for
   * the next choice it gives back what the first one took.
   */
  admitModel(exchange: Exchange, choice: ModelChoice, question: Readonly<Record<string, unknown>>, bytes: number): void;
  /** The request is over, however it ended. Safe to call twice. */
  settle(exchange: Exchange): void;
}

export interface LimiterParts extends Limiter {
  /** Goes over to other rules, whole: requests that were let in keep what they took. */
  follow(rules: readonly CompiledRule[]): void;
  accounts(): Iterable<Account>;
  /** The rules that may be about this caller. */
  rules(): readonly CompiledRule[];
  sweep(): void;
  toKeep(most: number): readonly { readonly key: string; readonly kept: KeptAccount | null }[];
}

export interface LimiterDeps {
  readonly clock: Clock;
  /** What an earlier platform kept: `toKeep` of that one. */
  readonly kept: Map<string, KeptAccount>;
  readonly refused: Counter;
}

/** What is asked of requests for one kind of work by one caller. */
interface Applied {
  readonly gauges: readonly Gauge[];
  readonly hasBytes: boolean;
  readonly hasTokens: boolean;
}

const nothing: Applied = { gauges: [], hasBytes: false, hasTokens: false };

/** Kinds of work that are remembered; beyond that all are found anew. */
const mostRemembered = 10_000;

export function createLimiter({ clock, kept, refused }: LimiterDeps): LimiterParts {
  const accounts = createAccounts({ now: clock.now, wall: clock.wall, kept });
  let rules: readonly CompiledRule[] = [];
  /** Whether a rule tells paths apart: else only one thing about them matters. */
  let byRoute = false;
  const remembered = new Map<string, Applied>();

  const find = (facts: Facts, wanted: (gauge: Gauge) => boolean) => appliedOf(gaugesOf(rules, accounts, facts, wanted));
  const applied = (facts: Facts): Applied => {
    // The two are asked one after the other: before a body is read, and once it names its model.
    const modelKnown = facts.model !== null;
    const where = byRoute ? facts.path : isWork(facts);
    const key = `${facts.key}\n${facts.principal}\n${facts.service ?? ''}\n${facts.model ?? ''}\n${where}`;
    let found = remembered.get(key);
    if (!found) {
      found = find(facts, (gauge) => asksModel(gauge) === modelKnown);
      if (remembered.size >= mostRemembered) remembered.clear();
      remembered.set(key, found);
    }
    return found;
  };
  const take = (exchange: Exchange, wants: readonly GaugeWant[]): void => {
    const admission = (exchange.admission ??= { taken: [], tokens: null, bytes: null });
    const now = clock.now();
    const refusal = takeInto(admission, wants, now);
    const gauges = [...admission.taken.map(({ gauge }) => gauge), ...(refusal ? wants.map(({ gauge }) => gauge) : [])];
    tell(exchange, gauges, now, refusal);
    if (!refusal) return;
    // It is not let in: nothing of what it had taken before counts.
    cancelFrom(admission, 0);
    refused.add([refusal.gauge.account.rule.name, refusal.gauge.quota.kind]);
    throw faultOf(refusal);
  };
  const letIn = (exchange: Exchange, { gauges, hasBytes }: Applied): void => {
    if (gauges.length === 0) return;
    take(exchange, wantsOf(gauges, { bytes: declared(exchange), tokens: 0 }));
    if (hasBytes) countBytes(exchange);
  };
  return {
    admit(exchange, service) {
      if (rules.length > 0) letIn(exchange, applied(factsOf(exchange, service, null)));
    },
    admitCall(exchange, service) {
      if (rules.length > 0) letIn(exchange, find(factsOf(exchange, service, null), uncounted(exchange)));
    },
    admitModel(exchange, choice, question, bytes) {
      if (rules.length === 0) return;
      const { gauges, hasBytes, hasTokens } = applied(factsOf(exchange, null, choice.id));
      const before = exchange.admission;
      // What was taken for the choice before: a model that could not be brought up costs nothing.
      const first = before?.taken.findIndex(({ gauge }) => asksModel(gauge)) ?? -1;
      if (before && first >= 0) cancelFrom(before, first);
      if (gauges.length === 0) return;
      const estimate = hasTokens ? estimateOf(question) : { prompt: 0, tokens: 0 };
      take(exchange, wantsOf(gauges, { bytes, tokens: estimate.tokens }));
      if (hasBytes) countBytes(exchange);
      if (!hasTokens || !exchange.admission) return;
      const continuous = choice.provides.includes(continuousUsage);
      exchange.admission.tokens = newCount({
        prompt: estimate.prompt,
        reserved: estimate.tokens,
        question,
        continuous,
      });
    },
    settle(exchange) {
      const { admission } = exchange;
      if (admission) settleAll(admission, bytesOf(exchange, admission), clock.now());
    },
    follow(next) {
      accounts.follow(next);
      remembered.clear();
      rules = next;
      byRoute = next.some(({ needsRoute }) => needsRoute);
    },
    rules: () => rules,
    accounts: () => accounts.list(),
    sweep() {
      // What is remembered names accounts: it must not outlive them, or one would be counted twice.
      if (accounts.sweep(clock.now())) remembered.clear();
    },
    toKeep: (most) => accounts.toKeep(clock.now(), clock.wall(), most),
  };
}

/** What an engine provides that tells usage with each piece of a stream. */
export const continuousUsage = 'openai.usage';

/** Whether it can only be asked once the model is known. */
const asksModel = ({ quota, account }: Gauge): boolean => account.rule.needsModel || quota.kind === 'tokens';

const newCount = (known: Pick<TokenCount, 'prompt' | 'reserved' | 'question' | 'continuous'>): TokenCount => ({
  ...known,
  ...{ reached: false, reported: null, events: 0 },
});

/** The gauges of the rules that are about a request, of those that are asked now. */
const gaugesOf = (
  rules: readonly CompiledRule[],
  accounts: Accounts,
  facts: Facts,
  wanted: (gauge: Gauge) => boolean,
): readonly Gauge[] =>
  rules.flatMap((rule) => {
    const subject = rule.matches(facts) ? rule.subjectOf(facts) : null;
    return subject === null ? [] : accounts.of(rule, subject).gauges.filter(wanted);
  });

function appliedOf(gauges: readonly Gauge[]): Applied {
  if (gauges.length === 0) return nothing;
  const has = (kind: Kind) => gauges.some(({ quota }) => quota.kind === kind);
  return { gauges, hasBytes: has('bytes'), hasTokens: has('tokens') };
}

/** Whether the request that brought a call was not counted there as it came. */
function uncounted(exchange: Exchange): (gauge: Gauge) => boolean {
  const came = factsOf(exchange, null, null);
  return (gauge) => {
    const { rule } = gauge.account;
    return !asksModel(gauge) && (!rule.matches(came) || rule.subjectOf(came) === null);
  };
}

const wantsOf = (gauges: readonly Gauge[], amounts: { readonly bytes: number; readonly tokens: number }): GaugeWant[] =>
  gauges.map((gauge) => {
    const { kind } = gauge.quota;
    return { gauge, meter: gauge.meter, amount: kind === 'bytes' || kind === 'tokens' ? amounts[kind] : 1 };
  });

const declared = ({ req }: Exchange): number => Number(header(req, 'content-length') ?? 0) || 0;

function countBytes({ req, admission }: Exchange): void {
  if (admission) admission.bytes ??= { read: req.socket.bytesRead, written: req.socket.bytesWritten };
}

/** What went over its connection for it: the body as declared, else what was read of it, and the whole answer. */
function bytesOf(exchange: Exchange, { bytes }: Admission): number {
  if (!bytes) return 0;
  const { socket } = exchange.req;
  return (declared(exchange) || socket.bytesRead - bytes.read) + (socket.bytesWritten - bytes.written);
}

function tell({ res }: Exchange, gauges: readonly Gauge[], now: number, refusal: GaugeRefusal | null): void {
  if (res.headersSent || gauges.length === 0) return;
  const refused = refusal && { gauge: refusal.gauge, retryMs: refusal.waitMs ?? 1_000 };
  const { policy, state } = limitHeaders(gauges, now, refused);
  res.setHeader('ratelimit-policy', policy).setHeader('ratelimit', state);
}

const nouns = { requests: 'requests', tokens: 'tokens', bytes: 'bytes', concurrent: 'requests at once' } as const;

function faultOf({ gauge, waitMs }: GaugeRefusal): Fault {
  const { quota, account } = gauge;
  const rate = quota.per === null ? '' : ` a ${quota.per}`;
  // Of what is held only its end can tell; a second is soon enough to look again.
  const retryAfter = Math.max(1, Math.ceil((waitMs ?? 1_000) / 1_000));
  return new Fault(
    'RATE_LIMITED',
    `The limit ${account.rule.name} allows ${quota.limit} ${nouns[quota.kind]}${rate}: ask again in ${retryAfter} s.`,
    { retryAfter, details: { limit: account.rule.name, quota: quota.policy } },
  );
}
