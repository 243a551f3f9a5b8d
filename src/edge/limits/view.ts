import type { LimitRule } from '#config/limits';
import type { ApiLimit, ApiLimitAccount, ApiLimits, ApiQuotaUse } from '#contracts/limits-api';
import type { Account, Gauge } from './accounts.ts';
import type { CompiledRule, Quota } from './rules.ts';

export interface LimitView {
  readonly rules: readonly LimitRule[];
  readonly compiled: readonly CompiledRule[];
  readonly accounts: readonly Account[];
  /** By the rule's place. */
  readonly warnings: (rule: number) => readonly string[];
  readonly now: number;
}

/** What someone may see: everything, or what is counted of them alone. */
export interface Viewer {
  readonly all: boolean;
  readonly key: string;
  readonly principal: string;
}

export function limitsFor({ all, key, principal }: Viewer, view: LimitView): ApiLimits {
  const limits = view.compiled.map((rule, index): ApiLimit => {
    const { for: about, each = [] } = view.rules[index] as LimitRule;
    const own = { key, principal, service: null, model: null };
    const isOwn = ({ subject }: Account): boolean => {
      const parts = subject.split(' ');
      return each.every((one, place) => own[one] === null || parts[place] === own[one]);
    };
    const accounts = view.accounts.filter((account) => account.rule === rule && (all || isOwn(account)));
    return {
      name: rule.name,
      for: about as ApiLimit['for'],
      each,
      warnings: all ? view.warnings(index) : [],
      quotas: rule.quotas.map(quotaView),
      accounts: accounts.map((account) => accountView(account, view.now)),
    };
  });
  return { limits: all ? limits : limits.filter(isAboutThem) };

  /** Rules about others are nobody's business but an administrator's. */
  function isAboutThem({ for: about, accounts }: ApiLimit): boolean {
    return accounts.length > 0 || (about.key === undefined && about.principal === undefined);
  }
}

const quotaView = ({ policy, kind, limit, per }: Quota) => ({ policy, kind, limit, per });

function accountView({ subject, gauges }: Account, now: number): ApiLimitAccount {
  return { subject, quotas: gauges.map((gauge) => useOf(gauge, now)) };
}

function useOf({ meter, quota }: Gauge, now: number): ApiQuotaUse {
  const used = Math.round(meter.used(now));
  const left = Math.max(0, quota.limit - used);
  return { ...quotaView(quota), used, left, resetMs: used === 0 ? 0 : meter.waitMs(quota.limit, now) };
}
