/** Stops a timer. Calling it after the timer fired does nothing. */
export type Cancel = () => void;

/** Time as an argument, so that tests deliver it. */
export interface Clock {
  /** Milliseconds since the epoch, for what people read and what outlives the process. May jump. */
  wall(): number;
  /** Milliseconds on a clock that never jumps; only differences mean something. Everything that waits uses it. */
  now(): number;
  /** Calls back once after `ms` milliseconds; keeps no process alive by itself. */
  after(ms: number, callback: () => void): Cancel;
}

/** The longest delay Node's timers take without wrapping round to at once. */
const longest = 2 ** 31 - 1;

export const systemClock: Clock = {
  wall: () => Date.now(),
  now: () => performance.now(),
  after(ms, callback) {
    let timer: NodeJS.Timeout;
    const arm = (left: number) => {
      timer = left > longest ? setTimeout(() => arm(left - longest), longest) : setTimeout(callback, Math.max(0, left));
      timer.unref();
    };
    arm(ms);
    return () => clearTimeout(timer);
  },
};
