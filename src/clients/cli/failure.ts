import { Fault, systemCode } from '#kernel/faults';

/** What a command's exit code means. Scripts rely on these numbers. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  notRunning: 3,
  conflict: 4,
  inTurns: 5,
  interrupted: 130,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** An end that only the command line knows: wrong usage, no platform there. Everything else is a Fault. */
export class CliFailure extends Error {
  readonly exitCode: ExitCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(exitCode: ExitCode, message: string, details: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.name = 'CliFailure';
    this.exitCode = exitCode;
    this.details = details;
  }
}

export const usageError = (message: string): CliFailure => new CliFailure(exitCodes.usage, message);

/** The code of the first system error in the chain of causes. */
export function systemCodeInside(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const code = at instanceof Fault ? undefined : systemCode(at);
    if (code !== undefined) return code;
  }
  return undefined;
}

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CliFailure) return error.exitCode;
  if (!(error instanceof Fault)) return exitCodes.failed;
  if (error.code === 'CONFLICT') return exitCodes.conflict;
  if (error.code === 'CANCELLED') return exitCodes.interrupted;
  return systemCodeInside(error) === 'ECONNREFUSED' ? exitCodes.notRunning : exitCodes.failed;
}

/** An error as the command line says it; null when nothing is to be said, since it was the user who ended it. */
export function describeError(error: unknown): string | null {
  if (error instanceof CliFailure) return error.message;
  if (!(error instanceof Fault)) return error instanceof Error ? error.message : String(error);
  if (error.code === 'CANCELLED') return null;
  const refused = systemCodeInside(error) === 'ECONNREFUSED';
  if (refused) return 'SutazAI is not running: nothing answers at its address. Start it with `sutaz up`.';
  const retry = error.retryAfter === undefined ? '' : ` Ask again in ${error.retryAfter} s.`;
  const traceId = error.details.traceId;
  const trace = typeof traceId === 'string' && traceId !== '' ? ` (trace ${traceId})` : '';
  const by = error.source === 'upstream' ? 'the service answered: ' : '';
  return `${by}${error.message}${retry}${trace}`;
}

/** The same for programs. */
export function errorJson(error: unknown): { error: Readonly<Record<string, unknown>> } {
  const code =
    error instanceof Fault ? error.code : error instanceof CliFailure ? codeNames[error.exitCode] : 'INTERNAL';
  const details = error instanceof Fault || error instanceof CliFailure ? error.details : {};
  return { error: { code, message: describeError(error) ?? 'Interrupted.', ...details } };
}

const codeNames: Readonly<Record<ExitCode, string>> = {
  0: 'OK',
  1: 'FAILED',
  2: 'USAGE',
  3: 'NOT_RUNNING',
  4: 'CONFLICT',
  5: 'IN_TURNS',
  130: 'CANCELLED',
};
