import { readFile } from 'node:fs/promises';
import type { ConfigSource } from '#config/load';
import type { Config } from '#config/static';
import { formatProblem, problemAt } from '#config/strict';
import type { ApiLimits } from '#contracts/limits-api';
import type { Json } from '#contracts/driver';
import type { StateStore } from '#contracts/state';
import type { Account, KeptAccount } from '#edge/limits/accounts';
import { idlePatterns } from '#edge/limits/check';
import type { Idle, Known } from '#edge/limits/check';
import { createLimiter } from '#edge/limits/limiter';
import type { Limiter } from '#edge/limits/limiter';
import { compileRules } from '#edge/limits/rules';
import { limitsFor } from '#edge/limits/view';
import type { Viewer } from '#edge/limits/view';
import type { Clock } from '#kernel/clock';
import type { Closers } from '#kernel/closers';
import type { Logger } from '#kernel/logger';
import { repeat } from '#kernel/repeat';
import type { Metrics } from '#observe/metrics';
import type { Stores } from './stores.ts';

export interface LimitsDeps {
  readonly config: ConfigSource;
  readonly clock: Clock;
  readonly log: Logger;
  readonly state: StateStore;
  readonly metrics: Metrics;
  /** What rules may be about, as it is now. */
  readonly known: () => Known;
  /** Every name by which a rule may mean a model. */
  readonly namesOfModel: (id: string) => readonly string[];
  /** Calls back when what is known changed. */
  readonly onKnown: (listener: () => void) => () => void;
}

export interface Limits extends Limiter {
  view(viewer: Viewer): ApiLimits;
}

/** Milliseconds between looks for use that is to be kept, and accounts at each look: a commit is a few tenths of one. */
const keepEveryMs = 1_000;
const keptAtOnce = 20;
/** Milliseconds for which use matters: the longest period there is. */
const longestMs = 86_400_000;

/** The limits of the configuration: followed as it changes, kept over restarts, told in metrics and to who asks. */
export function openLimits(deps: LimitsDeps, closers: Closers): Limits {
  const { config, clock, log, metrics } = deps;
  const table = deps.state.table<Json>('limits');
  const kept = keptAccounts(table.list(), clock.wall());
  const refused = metrics.counter('sutaz_limit_refused_total', 'Requests that a limit refused.', ['limit', 'kind']);
  const limiter = createLimiter({ clock, refused, kept });
  const rules = () => config.current().limits.rules;
  let idle: readonly Idle[] = [];
  const check = () => {
    const found = idlePatterns(rules(), deps.known());
    const before = new Set(idle.map(({ message }) => message));
    const fresh = found.filter(({ message }) => !before.has(message));
    idle = found;
    if (fresh.length > 0) void complain(fresh, config.file, log);
  };
  const follow = () => {
    limiter.follow(compileRules(rules(), deps.namesOfModel));
    check();
  };
  follow();
  closers.add(config.onChange(follow));
  closers.add(deps.onKnown(follow));
  const keep = (most: number) => {
    const changed = limiter.toKeep(most);
    for (const { key, kept: one } of changed) {
      if (one) table.put(key, one as unknown as Json);
      else table.delete(key);
    }
    return changed.length;
  };
  closers.add(() => void keep(Infinity));
  closers.add(
    repeat(
      clock,
      keepEveryMs,
      async () => {
        if (keep(keptAtOnce) === 0) limiter.sweep();
      },
      (error) => log.warn('what is used of limits could not be kept', { error: String(error) }),
    ),
  );
  const accounts = () => [...limiter.accounts()];
  registerUse(metrics, accounts, clock);
  return {
    ...limiter,
    view: (viewer) =>
      limitsFor(viewer, {
        ...{ rules: rules(), compiled: limiter.rules(), accounts: accounts(), now: clock.now() },
        warnings: (index) => idle.filter(({ rule }) => rule === index).map(({ message }) => message),
      }),
  };
}

/** What limits may be about: what the catalogue, the configuration and the keys know. */
export function knownTo(
  { catalog, identity }: Pick<Stores, 'catalog' | 'identity'>,
  config: ConfigSource,
): Pick<LimitsDeps, 'known' | 'namesOfModel' | 'onKnown'> {
  const own = () => Object.entries(config.current().models.names);
  const idOf = (name: string) => catalog.current().modelNames.get(name);
  const namesOfModel = (id: string) => {
    const aliases = [...catalog.current().modelNames].filter(([, meant]) => meant === id).map(([name]) => name);
    const standing = own().filter(([, { first }]) => first.some((name) => idOf(name) === id));
    return [...aliases, ...standing.map(([name]) => name)];
  };
  return {
    namesOfModel,
    known: () => ({
      keys: identity.keys.list().flatMap(({ keyId, name }) => [keyId, name]),
      principals: identity.keys.list().map(({ principal }) => principal),
      services: [...catalog.current().services.keys(), ...outsideNames(config.current())],
      models: [...catalog.current().modelNames.keys(), ...own().map(([name]) => name)],
    }),
    onKnown: (listener) => catalog.onChange(listener),
  };
}

/** Routes that lead elsewhere are asked for as services are, by their own names. */
const outsideNames = ({ routes }: Config): string[] =>
  Object.entries(routes).flatMap(([name, { to }]) => (to?.url === undefined ? [] : [name]));

/** What an earlier platform kept, without what has been over since. */
const keptAccounts = (rows: readonly { readonly key: string; readonly value: Json }[], wall: number) =>
  new Map(
    rows
      .map(({ key, value }) => [key, value as unknown as KeptAccount] as const)
      .filter(([, { at }]) => wall - at < longestMs),
  );

/** Says where in the file it stands. */
async function complain(found: readonly Idle[], file: string, log: Logger): Promise<void> {
  const text = await readFile(file, 'utf8').catch(() => '');
  for (const { path, message } of found) {
    log.warn('a limit matches nothing', { problem: formatProblem(problemAt(text, file, path, message)) });
  }
}

function registerUse(metrics: Metrics, accounts: () => readonly Account[], clock: Clock): void {
  metrics.gauge(
    'sutaz_limit_used',
    'What is used of a limit in its window, with what is reserved.',
    ['limit', 'quota', 'account'],
    () =>
      accounts().flatMap(({ rule, subject, gauges }) =>
        gauges.map(({ meter, quota }) => ({
          labels: [rule.name, quota.policy, subject],
          value: meter.used(clock.now()),
        })),
      ),
  );
}
