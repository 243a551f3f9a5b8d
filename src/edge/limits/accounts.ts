import { createBudget, createConcurrency, createRate } from '#resilience/meter';
import type { Meter, TimedMeter } from '#resilience/meter';
import type { Aged } from '#resilience/window';
import type { CompiledRule, Quota } from './rules.ts';

/** A meter, with what it is for. */
export interface Gauge {
  readonly meter: Meter;
  readonly quota: Quota;
  readonly account: Account;
}

/** What one rule counts for one of those it is about. */
export interface Account {
  rule: CompiledRule;
  /** `ada`, or `ada qwen3:0.6b` where a rule keeps one for each pair; empty for all together. */
  readonly subject: string;
  gauges: readonly Gauge[];
  /** Something was used since it was last kept. */
  changed: boolean;
}

/** An account as it outlives the platform: the windows that are long enough to matter then. */
export interface KeptAccount {
  /** Milliseconds since the epoch at which it was kept. */
  readonly at: number;
  /** By `kind/period`: how many milliseconds before that how much was used. */
  readonly used: Readonly<Record<string, readonly (readonly [ageMs: number, amount: number])[]>>;
}

/** Shorter windows are over, or nearly, when the platform is back. */
const keptFromMs = 3_600_000;

const timed = ({ meter, quota }: Gauge): TimedMeter | null =>
  quota.windowMs >= keptFromMs ? (meter as TimedMeter) : null;

const nameOf = ({ kind, per }: Quota): string => `${kind}/${per}`;

export interface Accounts {
  /** Makes the account where there is none. */
  of(rule: CompiledRule, subject: string): Account;
  list(): Iterable<Account>;
  /** Goes over to other rules. What was used under a rule that is about the same stays used, whatever its numbers are now. */
  follow(rules: readonly CompiledRule[]): void;
  /** Drops those in which nothing is used. True when there was one. */
  sweep(now: number): boolean;
  /** Up to so many accounts that changed, as they are to be kept; null for one in which nothing that is kept is used. */
  toKeep(now: number, wall: number, most: number): { readonly key: string; readonly kept: KeptAccount | null }[];
}

interface AccountsDeps {
  readonly now: () => number;
  readonly wall: () => number;
  /** What an earlier platform kept, by the key it was kept under; each is taken out as it is taken up. */
  readonly kept: Map<string, KeptAccount>;
}

export function createAccounts({ now, wall, kept }: AccountsDeps): Accounts {
  const accounts = new Map<string, Account>();
  const keyOf = (rule: CompiledRule, subject: string) => `${rule.id} ${subject}`;
  /** Gives the account the rule's meters, those of before where they count the same. */
  const equip = (account: Account, rule: CompiledRule): Account => {
    const before = account.gauges;
    account.rule = rule;
    account.gauges = rule.quotas.map((quota) => ({ meter: meterFor(quota, before), quota, account }));
    return account;
  };
  const of = (rule: CompiledRule, subject: string): Account => {
    const key = keyOf(rule, subject);
    let account = accounts.get(key);
    if (!account) {
      account = equip({ rule, subject, gauges: [], changed: false }, rule);
      restore(account, kept.get(key), now(), wall());
      kept.delete(key);
      accounts.set(key, account);
    }
    return account;
  };
  return {
    of,
    list: () => accounts.values(),
    follow(rules) {
      const byId = new Map(rules.map((rule) => [rule.id, rule]));
      for (const [key, account] of accounts) {
        const rule = byId.get(account.rule.id);
        if (rule) equip(account, rule);
        else accounts.delete(key);
      }
      // At once, and not when they are asked for: what is used is to be seen before that.
      for (const key of [...kept.keys()]) {
        const rule = rules.find(({ id }) => key.startsWith(`${id} `));
        if (rule) of(rule, key.slice(rule.id.length + 1));
      }
    },
    sweep(at) {
      const before = accounts.size;
      for (const [key, { gauges, changed }] of accounts) {
        if (!changed && gauges.every(({ meter }) => meter.idle(at))) accounts.delete(key);
      }
      return accounts.size < before;
    },
    toKeep(at, wallNow, most) {
      const found: { key: string; kept: KeptAccount | null }[] = [];
      for (const [key, account] of accounts) {
        if (found.length >= most) break;
        if (!account.changed) continue;
        account.changed = false;
        found.push({ key, kept: keep(account, at, wallNow) });
      }
      return found;
    },
  };
}

/** The one that was there, with the limit of now. */
function meterFor(quota: Quota, before: readonly Gauge[]): Meter {
  const old = before.find(({ quota: one }) => one.kind === quota.kind && one.per === quota.per);
  if (old) {
    old.meter.limit = quota.limit;
    return old.meter;
  }
  if (quota.kind === 'concurrent') return createConcurrency(quota.limit);
  return quota.kind === 'requests'
    ? createRate(quota.limit, quota.windowMs)
    : createBudget(quota.limit, quota.windowMs);
}

function keep({ gauges }: Account, now: number, wall: number): KeptAccount | null {
  const used = gauges.flatMap((gauge) => {
    const ages = timed(gauge)?.ages(now) ?? [];
    return ages.length === 0
      ? []
      : [[nameOf(gauge.quota), ages.map(({ ageMs, amount }) => [Math.round(ageMs), amount] as const)] as const];
  });
  return used.length === 0 ? null : { at: wall, used: Object.fromEntries(used) };
}

/** A wall clock that was put back meanwhile must not make use younger than none at all. */
function restore({ gauges }: Account, kept: KeptAccount | undefined, now: number, wall: number): void {
  if (!kept) return;
  const away = Math.max(0, wall - kept.at);
  for (const gauge of gauges) {
    const used = kept.used[nameOf(gauge.quota)] ?? [];
    const aged: Aged[] = used.map(([ageMs, amount]) => ({ ageMs: ageMs + away, amount }));
    timed(gauge)?.restore(aged, now);
  }
}
