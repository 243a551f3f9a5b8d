import { writeSync } from 'node:fs';
import type { LogFields, Logger } from '#kernel/logger';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

const levels: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

/** Names of fields whose values are never written, whoever logs them. */
const secret = /^(.*[-_])?(key|token|authorization|cookie|password|secret)s?$/i;
/** Deeper than any field that is meant for a log; what is nested for ever ends there too. */
const deepest = 5;

/**
 * One JSON object a line to a file descriptor, written before the call returns, so that the last line before a crash is
 * there. A line that cannot be written (the disk is full, the terminal is gone) is lost: it must not end the platform.
 */
export function createLogger(level: LogLevel, fd = 1, now: () => Date = () => new Date()): Logger {
  const least = levels.indexOf(level);
  const write = (line: string) => {
    try {
      writeSync(fd, line);
    } catch {
      // There is nowhere left to say so.
    }
  };
  const make = (bound: LogFields): Logger => {
    const at = (one: LogLevel) => {
      if (levels.indexOf(one) < least) return () => undefined;
      return (message: string, fields?: LogFields) =>
        write(lineOf({ level: one, time: now().toISOString(), ...bound, ...fields, msg: message }));
    };
    return {
      debug: at('debug'),
      info: at('info'),
      warn: at('warn'),
      error: at('error'),
      child: (fields) => make({ ...bound, ...fields }),
    };
  };
  return make({});
}

function lineOf(fields: LogFields): string {
  return `${JSON.stringify(plain(fields, 0))}\n`;
}

/** A value as JSON takes it: errors with their message, no secrets, nothing that would throw. */
function plain(value: unknown, depth: number): unknown {
  if (typeof value === 'bigint' || typeof value === 'symbol' || typeof value === 'function') return String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= deepest) return '[deeper]';
  if (value instanceof Error) {
    return plain({ name: value.name, message: value.message, stack: value.stack, cause: value.cause }, depth);
  }
  if (value instanceof Date || value instanceof URL) return String(value);
  if (Array.isArray(value)) return value.map((one) => plain(one, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [name, secret.test(name) ? '[cut]' : plain(one, depth + 1)]),
  );
}
