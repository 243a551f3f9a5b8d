import { open } from 'node:fs/promises';
import { connect } from 'node:net';
import type { HealthCheck } from '#catalog/service';
import { sleep } from '#kernel/abort';
import type { Clock } from '#kernel/clock';
import { isRecord } from '#kernel/json';
import { nodeHttp } from '#kernel/node-http';

export interface Target {
  readonly host: string;
  readonly port: number;
  readonly logFile: string;
  /** Where in the log this instance begins: an earlier one said that it was ready, too. */
  readonly logFrom?: number;
}

export type Health = { readonly ok: true } | { readonly ok: false; readonly why: string; readonly percent?: number };

/** Milliseconds a single look may take: a service that is busy loading may accept and not answer. */
const lookTimeoutMs = 2_000;

/** Looks once. Never throws: not being there yet is an answer. */
export function look(check: HealthCheck, target: Target, signal: AbortSignal): Promise<Health> {
  if ('http' in check) return lookHttp(check.http, target, signal);
  if ('tcp' in check) return lookTcp(target, signal);
  return lookLog(check.log, target);
}

/**
 * Resolves when the check passes; rejects when the signal aborts (the deadline, the stop or the end of the process).
 * Looks often at first, so that a fast start is seen at once, and then ever more seldom up to four times a second.
 */
export async function untilHealthy(
  check: HealthCheck,
  target: Target,
  { clock, signal, onLook }: { clock: Clock; signal: AbortSignal; onLook: (health: Health) => void },
): Promise<void> {
  for (let pause = 5; ; pause = Math.min(250, pause * 1.25)) {
    const health = await look(check, target, signal);
    if (health.ok) return;
    onLook(health);
    await sleep(clock, pause, signal);
  }
}

function lookHttp(path: string, { host, port }: Target, signal: AbortSignal): Promise<Health> {
  return new Promise((resolve) => {
    const req = nodeHttp.request({ host, port, path, signal, timeout: lookTimeoutMs, agent: false }, (res) => {
      const ok = res.statusCode !== undefined && res.statusCode >= 200 && res.statusCode < 300;
      let body = '';
      res.setEncoding('utf8');
      res.on('data', (chunk: string) => {
        if (body.length < 4096) body += chunk;
      });
      res.on('error', () => resolve({ ok: false, why: 'the answer broke off' }));
      res.on('end', () => resolve(ok ? { ok } : { ok, why: `${path} answers ${res.statusCode}`, ...progressIn(body) }));
    });
    req.on('timeout', () => req.destroy(new Error('no answer')));
    req.on('error', (error) => resolve({ ok: false, why: error.message }));
    req.end();
  });
}

/** Engines say how far their load is as `{"progress": 0..1}` beside their 503. */
function progressIn(body: string): { percent?: number } {
  try {
    const parsed: unknown = JSON.parse(body);
    if (isRecord(parsed) && typeof parsed.progress === 'number') return { percent: Math.round(parsed.progress * 100) };
  } catch {
    // Not JSON: then it does not say.
  }
  return {};
}

function lookTcp({ host, port }: Target, signal: AbortSignal): Promise<Health> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, signal, timeout: lookTimeoutMs });
    const end = (health: Health) => {
      socket.destroy();
      resolve(health);
    };
    socket.on('connect', () => end({ ok: true }));
    socket.on('timeout', () => end({ ok: false, why: `port ${port} does not answer` }));
    socket.on('error', (error) => end({ ok: false, why: error.message }));
  });
}

/** The instance's first mebibyte is read: what a service says when it is ready, it says at its start. */
async function lookLog(pattern: string, { logFile, logFrom = 0 }: Target): Promise<Health> {
  const file = await open(logFile).catch(() => null);
  if (!file) return { ok: false, why: 'it has not logged anything yet' };
  try {
    // A log that was cut since has nothing of before in it.
    const from = (await file.stat()).size < logFrom ? 0 : logFrom;
    const { buffer, bytesRead } = await file.read(Buffer.alloc(2 ** 20), 0, 2 ** 20, from);
    if (new RegExp(pattern, 'm').test(buffer.toString('utf8', 0, bytesRead))) return { ok: true };
    return { ok: false, why: `its log has no line like ${pattern} yet` };
  } finally {
    await file.close();
  }
}
