import type { ApiAccount, ApiLedgerUnit, ApiOutlook, ApiPrediction } from '#contracts/explanations';
import { rateOf, soonness, timeUntil } from '#scheduler/arrivals';
import { isEvictable, optionsOf } from '#scheduler/eviction';
import { outlookOf } from '#scheduler/outlook';
import { chargedOf, reservationOf, reservedOf, waitersOf } from '#scheduler/state';
import type { State, Unit } from '#scheduler/state';
import { startUpkeepMs, weightOf } from '#scheduler/worth';
import { ledgerLines, stateOf, unitView } from './views.ts';
import type { ViewSources } from './views.ts';

const hourMs = 3_600_000;

/** The whole account with what its next decisions rest on. */
export function accountView(sources: ViewSources): ApiAccount {
  const { state } = sources;
  const places = new Map(state.claims.map((unit, i) => [unit, i + 1]));
  return {
    ...ledgerLines(sources),
    chargedBytes: state.totals.charged,
    incomingBytes: state.totals.incoming,
    pressure: state.pressure,
    horizonMs: state.settings.horizonMs,
    prediction: predictionView(sources),
    units: [...state.units.values()].map((unit) => factsOf(unit, places.get(unit) ?? null, sources)),
  };
}

function predictionView({ state, clock }: ViewSources): ApiPrediction {
  const { tally, guesses } = state.forecast;
  const [now, wall] = [clock.now(), clock.wall()];
  return {
    ...{ on: state.settings.prediction, hits: tally.hits, misses: tally.misses, byteSeconds: tally.byteMs / 1_000 },
    expected: [...guesses]
      .filter(([, { until }]) => until > now)
      .map(([{ spec }, { chance, because, until }]) => ({
        ...{ unit: spec.id, chance, because, until: new Date(wall + until - now).toISOString() },
      })),
  };
}

export const ledgerUnit = (unit: Unit, sources: ViewSources): ApiLedgerUnit =>
  factsOf(unit, sources.state.claims.indexOf(unit) + 1 || null, sources);

function factsOf(unit: Unit, place: number | null, sources: ViewSources): ApiLedgerUnit {
  const { state } = sources;
  const { spec, phase, reason, learnedBytes, measuredBytes, frozenBytes, startMs, thawMs } = unit;
  const now = sources.clock.now();
  const awake = phase.kind === 'ready' || phase.kind === 'frozen';
  return {
    ...{ id: spec.id, tier: spec.tier, pinned: unit.pinned, priority: spec.priority },
    state: stateOf(unit, sources),
    why: unitView(unit, sources).why,
    reason,
    bytes: {
      ...{ declared: spec.declaredBytes, learned: learnedBytes, measured: measuredBytes },
      ...{ reserved: reservedOf(unit), charged: chargedOf(unit), frozen: frozenBytes, next: reservationOf(unit) },
    },
    leases: unit.leases.size,
    connections: unit.connections.size,
    waiters: waitersOf(unit),
    evictable: isEvictable(unit, now),
    options: awake
      ? optionsOf(unit, state, now).map(({ act, frees, costMs }) => ({ unit: spec.id, act, bytes: frees, costMs }))
      : [],
    againInMs: againIn(unit, state, now),
    requestsPerHour: rateOf(unit.arrivals, now) * hourMs,
    ...{ weight: weightOf(unit), upkeepMs: startUpkeepMs },
    ...{ startMs, thawMs, place },
  };
}

function againIn({ arrivals }: Unit, { settings: { horizonMs } }: State, now: number): number {
  return Math.round(timeUntil(soonness(arrivals, horizonMs, now), horizonMs));
}

export const outlookView = (unit: Unit, { state, clock }: ViewSources): ApiOutlook =>
  outlookOf(unit, state, clock.now());
