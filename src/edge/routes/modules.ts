import { hash } from 'node:crypto';
import { readFile, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isKeptHeader } from '#config/middlewares';
import { Fault, systemCode } from '#kernel/faults';
import { isRecord } from '#kernel/json';
import { didYouMean } from '#kernel/nearest';
import type { Headers, Middleware } from '../middlewares/middleware.ts';

/** A module of the user's, as it was when it was loaded. */
export interface LoadedModule {
  /** Of its text: another one is another version. */
  readonly digest: string;
  readonly middleware: Middleware;
}

const names = ['path', 'request', 'requestJson', 'response', 'answerJson'] as const satisfies (keyof Middleware)[];

/**
 * Loads a module below the home folder; `before` is kept where its text is still the same. Throws BAD_REQUEST with what is
 * wrong with it. Node keeps every version that was ever loaded: that is some kilobytes for each time it was written anew.
 */
export async function loadModule(home: string, file: string, before: LoadedModule | undefined): Promise<LoadedModule> {
  const path = await ownFile(home, file);
  const digest = hash('sha256', await readFile(path));
  if (before?.digest === digest) return before;
  const loaded = await import(`${pathToFileURL(path).href}?v=${digest}`).then(
    (module: { readonly default?: unknown }) => module.default,
    (error: unknown) => {
      throw bad(`cannot be loaded: ${error instanceof Error ? error.message : String(error)}`, error);
    },
  );
  return { digest, middleware: guarded(file, checked(loaded)) };
}

/** Its real path. Nobody else may write it: it runs with all that the platform may do. */
async function ownFile(home: string, file: string): Promise<string> {
  const path = join(home, file);
  try {
    const [real, root] = await Promise.all([realpath(path), realpath(home)]);
    if (!real.startsWith(root + sep)) throw bad('leads out of the home folder');
    const { mode, uid } = await stat(real);
    if ((mode & 0o022) !== 0 || (process.getuid && uid !== process.getuid())) {
      throw bad('can be written by others: it must be yours alone (chmod go-w)');
    }
    return real;
  } catch (error) {
    if (error instanceof Fault) throw error;
    throw bad(systemCode(error) === 'ENOENT' ? 'is not there' : `cannot be read: ${String(error)}`, error);
  }
}

const bad = (message: string, cause?: unknown): Fault => new Fault('BAD_REQUEST', message, { cause });

function checked(loaded: unknown): Middleware {
  if (!isRecord(loaded)) throw bad(`must have a default export: an object with some of ${names.join(', ')}`);
  for (const [name, value] of Object.entries(loaded)) {
    if (!names.some((known) => known === name))
      throw bad(`has ${name}, which is none of ${names.join(', ')}.${didYouMean(name, names)}`);
    if (typeof value !== 'function') throw bad(`has ${name}, which is no function`);
  }
  return loaded as Middleware;
}

/** Its functions, with what they may not do made good or refused. */
function guarded(file: string, own: Middleware): Middleware {
  const failed = (why: string, cause?: unknown) => new Fault('INTERNAL', `The middleware ${file} ${why}.`, { cause });
  const call = <T>(work: () => T): T => {
    let result: T;
    try {
      result = work();
    } catch (error) {
      throw failed('failed', error);
    }
    if (result instanceof Promise) {
      result.catch(() => undefined);
      throw failed('answers later: its functions must not be async');
    }
    return result;
  };
  const path =
    own.path &&
    ((given: string): string => {
      const result = call(() => own.path?.(given));
      if (typeof result !== 'string' || !/^\/[^\s?#]*$/.test(result)) throw failed('gave a path that is none');
      return result;
    });
  const headers = (change: (headers: Headers) => void) => (given: Headers) => {
    const before = keptIn(given);
    call(() => change(given));
    for (const name of Object.keys(given)) if (isKeptHeader(name)) delete given[name];
    Object.assign(given, before);
    demandHeaders(given, failed);
  };
  return {
    ...(path && { path }),
    ...(own.request && { request: headers((given) => own.request?.(given)) }),
    ...(own.response && { response: headers((given) => own.response?.(given)) }),
    ...(own.requestJson && { requestJson: (body) => call(() => own.requestJson?.(body)) }),
    ...(own.answerJson && { answerJson: (body) => call(() => own.answerJson?.(body)) }),
  };
}

const keptIn = (headers: Headers): Headers =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => isKeptHeader(name)));

function demandHeaders(headers: Headers, failed: (why: string) => Fault): void {
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue;
    const isRight = [value].flat().every((one) => typeof one === 'string' && !/[^\t\x20-\x7e\x80-\xff]/.test(one));
    if (!isRight || !/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name))
      throw failed(`set a header ${JSON.stringify(name)} that is none`);
  }
}
