import { rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { abortFault, sleep, throwIfAborted } from '#kernel/abort';
import { Fault } from '#kernel/faults';
import { formatDuration } from '#kernel/quantities';
import { judge } from './answer.ts';
import { diskFull, ensureSpace, isDiskFull } from './files.ts';
import { shown, transportFault, transportOf } from './http.ts';
import type { HttpReply } from './http.ts';
import { partialName } from './names.ts';
import { openPartial } from './partial.ts';
import type { Partial } from './partial.ts';
import type { Fetched, SourceContext } from './sources/context.ts';

export interface Download {
  readonly url: URL;
  /** What it is called in progress and messages. */
  readonly what: string;
  readonly authorization?: string;
  /** What the bytes must be. A mismatch deletes them. */
  readonly sha256?: string;
  readonly bytes?: number;
}

/** With the place of the bytes: kept over failures, so that a later call with the same file continues. */
interface Placed extends Download {
  readonly file: string;
}

/** Requests in a row that brought the file no further before it is given up. */
const mostTries = 5;
/** A transfer without a byte for this long counts as cut. */
export const stallMs = 60_000;
const backoffMs = (tries: number): number => Math.min(500 * 2 ** tries, 8_000);

/**
 * Fetches one file over HTTP, continuing what is here, again and again while that brings it further. Throws NOT_FOUND,
 * FORBIDDEN or UPSTREAM_FAILED when the server can not deliver, TIMEOUT when it stalls for good, DISK_FULL, CANCELLED.
 */
export function download(ask: Download, context: SourceContext): Promise<Fetched> {
  const part = partialName(ask.url.href);
  const key = ask.sha256 === undefined ? `url-${basename(part, '.part')}` : `sha256-${ask.sha256}`;
  return context.once(key, (shared) => fetchWhole({ ...ask, file: join(shared.folder, part) }, shared));
}

async function fetchWhole(ask: Placed, context: SourceContext): Promise<Fetched> {
  const fetched = await fetchOnce(ask, context);
  if (!ask.sha256 || fetched.sha256 === ask.sha256) return fetched;
  await rm(ask.file, { force: true });
  await rm(`${ask.file}.json`, { force: true });
  // Bytes of two requests may be of two versions of the file: a mismatch says nothing yet about the server's file.
  const again = fetched.resumed ? await fetchOnce(ask, context) : fetched;
  if (again.sha256 === ask.sha256) return again;
  await rm(ask.file, { force: true });
  await rm(`${ask.file}.json`, { force: true });
  throw mismatch(shown(ask.url), ask.sha256, again.sha256);
}

/** The Fault for bytes that are not what was promised. */
export function mismatch(where: string, expected: string, actual: string): Fault {
  return new Fault(
    'UPSTREAM_FAILED',
    `${where} gave another file than promised: its SHA-256 is ${actual} instead of ${expected}. It was deleted.`,
    { source: 'upstream', details: { expected, actual } },
  );
}

async function fetchOnce(ask: Placed, context: SourceContext): Promise<Fetched & { readonly resumed: boolean }> {
  const partial = await openPartial({
    file: ask.file,
    verifiable: ask.sha256 !== undefined,
    write: context.write,
    signal: context.signal,
    onHashed: (done) => context.onProgress({ phase: 'verifying', what: ask.what, done, unit: 'bytes' }),
  });
  try {
    await transfer(ask, partial, context);
    return { path: ask.file, sha256: partial.sha256(), bytes: partial.have, resumed: partial.resumed };
  } catch (error) {
    if (partial.have === 0) await partial.discard();
    if (!isDiskFull(error)) throw error;
    const needed = partial.origin.total === undefined ? undefined : partial.origin.total - partial.have;
    // Kept, it would leave the platform's own state and logs without room; a pull can be asked for again.
    await partial.discard();
    throw diskFull(dirname(ask.file), needed, await context.free(dirname(ask.file)), ask.what, error);
  } finally {
    await partial.close();
  }
}

async function transfer(ask: Placed, partial: Partial, context: SourceContext): Promise<void> {
  let best = partial.have;
  let contacted = false;
  for (let tries = 0; ;) {
    throwIfAborted(context.signal);
    const outcome = await attempt(ask, partial, context).catch((error: unknown): Outcome => {
      const transport = transportOf(error);
      const stalled = error instanceof Fault && error.code === 'TIMEOUT' && !context.signal.aborted;
      // A machine that never answered is left for the next source; one that did may come back.
      if (transport === 'cut' || stalled || (transport === 'unreachable' && contacted)) return { error };
      throw error;
    });
    if (outcome === 'done') return;
    contacted = true;
    if (partial.have > best) [best, tries] = [partial.have, 0];
    else tries++;
    if (tries >= mostTries) throw givenUp(ask, partial, outcome.error);
    context.log.debug('download continues', { url: shown(ask.url), have: partial.have, tries });
    await sleep(context.clock, outcome.afterMs ?? backoffMs(tries), context.signal);
  }
}

type Outcome = 'done' | { readonly error: unknown; readonly afterMs?: number };

function givenUp(ask: Placed, { have, origin }: Partial, last: unknown): Fault {
  const total = origin.total === undefined ? '' : ` of ${origin.total}`;
  const reason = last instanceof Error ? last.message : String(last);
  const code = last instanceof Fault && last.code === 'TIMEOUT' ? 'TIMEOUT' : 'UPSTREAM_FAILED';
  return new Fault(
    code,
    `${shown(ask.url)} came no further than ${have}${total} bytes in ${mostTries} tries. ${reason}`,
    {
      cause: last,
      source: 'upstream',
    },
  );
}

/** One request: appends what it brings. */
async function attempt(ask: Placed, partial: Partial, context: SourceContext): Promise<Outcome> {
  if (partial.have > 0 && partial.have === (partial.origin.total ?? ask.bytes)) return 'done';
  // Nothing would tell whether the rest belongs to the same version of the file.
  if (partial.have > 0 && partial.origin.validator === undefined && !ask.sha256) await partial.restart({});
  const watch = stallWatch(context, ask.url);
  let reply: HttpReply | undefined;
  try {
    reply = await context.http.ask(ask.url, {
      headers: rangeOf(partial),
      signal: watch.signal,
      ...(ask.authorization !== undefined && { authorization: ask.authorization }),
    });
    const verdict = judge(reply, partial.have, partial.origin);
    if (verdict.kind === 'complete') return 'done';
    if (verdict.kind === 'fail') throw refused(ask, verdict.code, verdict.reason);
    if (verdict.kind === 'retry') {
      const error = refused(ask, 'UPSTREAM_FAILED', verdict.reason);
      return { error, ...(verdict.afterMs !== undefined && { afterMs: verdict.afterMs }) };
    }
    if (verdict.kind === 'discard') {
      await partial.restart({});
      return { error: refused(ask, 'UPSTREAM_FAILED', verdict.reason), afterMs: 0 };
    }
    if (verdict.kind === 'restart') await partial.restart(verdict.origin);
    else partial.continues();
    await receive(ask, partial, reply, context, watch.touch);
    return 'done';
  } catch (error) {
    if (isDiskFull(error)) throw error;
    throw transportFault(error, ask.url, watch.signal);
  } finally {
    watch.clear();
    reply?.discard();
  }
}

async function receive(
  ask: Placed,
  partial: Partial,
  reply: HttpReply,
  context: SourceContext,
  touch: () => void,
): Promise<void> {
  const total = partial.origin.total ?? ask.bytes;
  if (ask.bytes !== undefined && total !== ask.bytes) {
    throw refused(ask, 'UPSTREAM_FAILED', `has a file of ${total} bytes instead of ${ask.bytes}`);
  }
  if (total !== undefined) await ensureSpace(dirname(ask.file), total - partial.have, ask.what, context.free);
  const report = () => {
    const known = total !== undefined && { total };
    context.onProgress({ phase: 'downloading', what: ask.what, done: partial.have, ...known, unit: 'bytes' });
  };
  report();
  for await (const chunk of reply.body) {
    await partial.append(chunk as Uint8Array);
    touch();
    report();
    if (total !== undefined && partial.have > total)
      throw refused(ask, 'UPSTREAM_FAILED', 'sends more than it announced');
  }
  if (total !== undefined && partial.have < total) {
    throw new Fault('UPSTREAM_FAILED', `${ask.url.host} ended at ${partial.have} of ${total} bytes.`, {
      source: 'upstream',
      details: { transport: 'cut' },
    });
  }
}

const refused = (ask: Placed, code: Fault['code'], reason: string): Fault =>
  new Fault(code, `${shown(ask.url)} ${reason}.`, { source: 'upstream' });

/** Without a validator the range stands alone: then only the file's digest tells whether the parts belong together. */
function rangeOf({ have, origin }: Partial): Readonly<Record<string, string>> {
  if (have === 0) return {};
  const range = { range: `bytes=${have}-` };
  return origin.validator === undefined ? range : { ...range, 'if-range': origin.validator };
}

/** Aborts with TIMEOUT when `touch` is not called for `stallMs`, or when the caller leaves. */
function stallWatch(context: SourceContext, url: URL): { readonly signal: AbortSignal; touch(): void; clear(): void } {
  const controller = new AbortController();
  let heard = context.clock.now();
  let cancel = (): void => undefined;
  const arm = (ms: number) => {
    cancel = context.clock.after(ms, () => {
      // One timer for thousands of chunks: it asks how long ago the last one came instead of being set anew for each.
      const left = heard + stallMs - context.clock.now();
      if (left > 0) arm(left);
      else controller.abort(new Fault('TIMEOUT', `${url.host} sent nothing for ${formatDuration(stallMs)}.`));
    });
  };
  const leave = () => controller.abort(abortFault(context.signal));
  if (context.signal.aborted) leave();
  context.signal.addEventListener('abort', leave, { once: true });
  arm(stallMs);
  return {
    signal: controller.signal,
    touch: () => void (heard = context.clock.now()),
    clear() {
      cancel();
      context.signal.removeEventListener('abort', leave);
    },
  };
}
