/** How long something takes of late, with more weight on what was slow. Milliseconds. */
export interface Latency {
  observe(ms: number, now: number): void;
  /** Null before anything was seen. */
  value(now: number): number | null;
}

/**
 * An average that forgets with time, and takes a peak at once: what has become slow is found out by its first slow answer,
 * and trusted again by and by (Finagle's peak EWMA).
 */
export function createLatency(decayMs = 10_000): Latency {
  let at = 0;
  let average = -1;
  return {
    observe(ms, now) {
      if (ms >= average) average = ms;
      else {
        const kept = Math.exp((at - now) / decayMs);
        average = average * kept + ms * (1 - kept);
      }
      at = now;
    },
    // Unused, it is forgotten: else what was slow once would never be asked again.
    value: (now) => (average < 0 ? null : average * Math.exp((at - now) / decayMs)),
  };
}
