import { createRolling } from './rolling.ts';

export interface CanarySettings {
  /** The share of requests that goes to it, 0 to 1. */
  readonly share: number;
  /** By how much its share of failures may exceed that of the others. */
  readonly worse: number;
  /** Answers of it within `windowMs` milliseconds before it is judged by their share of failures. */
  readonly atLeast: number;
  readonly windowMs: number;
}

export const defaultCanary: Omit<CanarySettings, 'share'> = { worse: 0.05, atLeast: 20, windowMs: 60_000 };

export type CanaryView =
  | { readonly state: 'on'; readonly share: number }
  | { readonly state: 'withdrawn'; readonly why: string; readonly at: number };

/** A new version that gets a small part of the requests, and none any more once it fails more than the old one. */
export interface Canary {
  /** Whether a request goes to it. */
  takes(): boolean;
  record(isCanary: boolean, failed: boolean, now: number): void;
  view(): CanaryView;
}

const [oldOk, oldFailed, newOk, newFailed] = [0, 1, 2, 3];

/** Failures in a row, the first ones, that withdraw it before a share of them means anything. */
const atOnce = 5;

/** It comes back when it is declared anew, and not by itself: what was withdrawn is to be looked at. */
export function createCanary(settings: CanarySettings, random: () => number = Math.random): Canary {
  const counted = createRolling(settings.windowMs, 4);
  let view: CanaryView = { state: 'on', share: settings.share };
  const judge = (now: number) => {
    const [good, bad] = [counted.sum(newOk, now), counted.sum(newFailed, now)];
    const [oldGood, oldBad] = [counted.sum(oldOk, now), counted.sum(oldFailed, now)];
    const usual = oldGood + oldBad === 0 ? 0 : oldBad / (oldGood + oldBad);
    const share = bad / (good + bad);
    const enough = good + bad >= settings.atLeast || (good === 0 && bad >= atOnce);
    if (!enough || share - usual <= settings.worse) return;
    const why = `${bad} of its ${good + bad} answers failed, against ${(usual * 100).toFixed(1)} % of the others'`;
    view = { state: 'withdrawn', why, at: now };
  };
  return {
    takes: () => view.state === 'on' && random() < view.share,
    record(isCanary, failed, now) {
      if (view.state !== 'on') return;
      counted.add((isCanary ? newOk : oldOk) + (failed ? 1 : 0), now);
      if (isCanary && failed) judge(now);
    },
    view: () => view,
  };
}
