import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { fakeClock } from './clock.fake.ts';
import { systemClock } from './clock.ts';

describe('the system clock', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it('fires once, after the time, and not when cancelled', () => {
    const [fired, cancelled] = [vi.fn(), vi.fn()];
    systemClock.after(100, fired);
    systemClock.after(100, cancelled)();
    vi.advanceTimersByTime(99);
    expect(fired).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1_000);
    expect(fired).toHaveBeenCalledOnce();
    expect(cancelled).not.toHaveBeenCalled();
  });

  it("waits longer than Node's timers can, neither at once nor too early", () => {
    const month = 31 * 86_400_000;
    const [fired, cancelled] = [vi.fn(), vi.fn()];
    systemClock.after(month, fired);
    const cancel = systemClock.after(month, cancelled);
    vi.advanceTimersByTime(month - 1);
    cancel();
    expect(fired).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(fired).toHaveBeenCalledOnce();
    vi.advanceTimersByTime(month);
    expect(cancelled).not.toHaveBeenCalled();
  });
});

describe('the fake clock', () => {
  it('fires in order of time, at that time, also what was asked for on the way', () => {
    const clock = fakeClock();
    const fired: string[] = [];
    clock.after(20, () => void fired.push(`b at ${clock.now()}`));
    clock.after(10, () => {
      fired.push(`a at ${clock.now()}`);
      clock.after(5, () => void fired.push(`c at ${clock.now()}`));
    });
    clock.after(10, () => void fired.push('a2'));
    const wall = clock.wall();
    clock.advance(30);
    expect(fired).toEqual(['a at 10', 'a2', 'c at 15', 'b at 20']);
    expect([clock.now(), clock.wall() - wall, clock.pending]).toEqual([30, 30, 0]);
  });
});
