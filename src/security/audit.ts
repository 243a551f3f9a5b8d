import { appendFile, readFile, rename, stat } from 'node:fs/promises';
import type { ApiAuditEntry } from '#contracts/security-api';
import type { Clock } from '#kernel/clock';
import { systemCode } from '#kernel/faults';
import { isRecord } from '#kernel/json';
import type { Logger } from '#kernel/logger';

export interface AuditQuery {
  /** Entries at most, the newest first. */
  readonly limit: number;
  /** Only those before this time. */
  readonly before?: string;
  readonly what?: string;
  readonly principal?: string;
}

/** Who changed what. Entries are only ever added; what is too old goes with its whole file. */
export interface Audit {
  /** Returns at once: what is being done does not wait for the disk, and does not fail with it. */
  record(entry: Omit<ApiAuditEntry, 'at'>): void;
  read(query: AuditQuery): Promise<readonly ApiAuditEntry[]>;
  /** Resolves when everything that was recorded is written, or was told to be lost. */
  close(): Promise<void>;
}

export interface AuditDeps {
  readonly file: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Bytes from which the file starts anew; what was in it is kept once, beside it. */
  readonly maxBytes: () => number;
}

/** Entries that may wait for a slow disk. */
const mostWaiting = 10_000;

export function createAudit({ file, clock, log, maxBytes }: AuditDeps): Audit {
  const before = `${file}.1`;
  let waiting: string[] = [];
  let lost = 0;
  let writing: Promise<void> | null = null;

  const write = async (): Promise<void> => {
    while (waiting.length > 0) {
      const lines = waiting;
      waiting = [];
      try {
        await makeRoom(file, before, maxBytes());
        await appendFile(file, lines.join(''), { mode: 0o600 });
      } catch (error) {
        lost += lines.length;
        log.error('the audit log could not be written', { file, lost, error: String(error) });
      }
    }
    writing = null;
  };
  return {
    record(entry) {
      if (waiting.length >= mostWaiting) return void lost++;
      waiting.push(`${JSON.stringify({ at: new Date(clock.wall()).toISOString(), ...entry })}\n`);
      writing ??= write();
    },
    async read(query) {
      await writing;
      const found: ApiAuditEntry[] = [];
      for (const path of [file, before]) {
        const lines = (await textOf(path)).split('\n');
        while (lines.length > 0 && found.length < query.limit) {
          const entry = parsed(lines.pop() ?? '');
          if (entry && isAsked(entry, query)) found.push(entry);
        }
      }
      return found;
    },
    async close() {
      await writing;
    },
  };
}

async function makeRoom(file: string, before: string, maxBytes: number): Promise<void> {
  const size = await stat(file).then(
    (facts) => facts.size,
    () => 0,
  );
  if (size >= maxBytes) await rename(file, before);
}

const textOf = (path: string): Promise<string> =>
  readFile(path, 'utf8').catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return '';
    throw error;
  });

/** A line that was cut short by a kill is passed over. */
function parsed(line: string): ApiAuditEntry | null {
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) && typeof value.at === 'string' ? (value as unknown as ApiAuditEntry) : null;
  } catch {
    return null;
  }
}

const isAsked = (entry: ApiAuditEntry, { before, what, principal }: AuditQuery): boolean =>
  (before === undefined || entry.at < before) &&
  (what === undefined || entry.what === what) &&
  (principal === undefined || entry.principal === principal);
