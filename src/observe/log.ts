import pino from 'pino';
import type { LogFields, Logger } from '#kernel/logger';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** One JSON object a line to a file descriptor. Field names that hold secrets are cut out whatever logs them. */
export function createLogger(level: LogLevel, fd = 1): Logger {
  const secret = ['key', 'token', 'authorization', 'cookie', 'password', 'secret'];
  const root = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: [...secret, ...secret.map((name) => `*.${name}`)], censor: '[cut]' },
    },
    pino.destination({ dest: fd, sync: true }),
  );
  return wrap(root);
}

function wrap(log: pino.Logger): Logger {
  const at = (level: LogLevel) => (message: string, fields?: LogFields) => log[level](fields ?? {}, message);
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => wrap(log.child(fields)),
  };
}
