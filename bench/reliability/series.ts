import { median } from '../_options.ts';

/**
 * How fast something grows, for each unit of `at`: the median of the slopes between all pairs (Theil and Sen), so that one
 * reading before a collection of garbage, and the next one after it, make no slope of their own.
 */
export function slope(readings: readonly { readonly at: number; readonly value: number }[]): number {
  const slopes = readings.flatMap((from, i) =>
    readings.slice(i + 1).flatMap((to) => (to.at > from.at ? [(to.value - from.value) / (to.at - from.at)] : [])),
  );
  return slopes.length === 0 ? NaN : median(slopes);
}

/** By how much the last third lies above the first one. */
export function rise(values: readonly number[]): number {
  const third = Math.max(1, Math.floor(values.length / 3));
  return median(values.slice(-third)) - median(values.slice(0, third));
}

/** The value below which this share of them lies; NaN of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
}
