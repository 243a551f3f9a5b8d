import { readdir, readFile } from 'node:fs/promises';
import { extname, join, relative, sep } from 'node:path';
import { systemCode } from '#kernel/faults';
import { hash } from 'node:crypto';
import type { Sessions } from '#security/sessions';
import { setSession } from './auth.ts';
import { sendFixed } from './compression/fixed.ts';
import type { Fixed } from './compression/fixed.ts';
import { onlyTakes } from './exchange.ts';
import type { Exchange } from './exchange.ts';
import { plainPage } from './waiting-page.ts';

/** The console's files, held in memory: they are few, and no path of a request ever reaches the disk. */
export type ConsoleFiles = ReadonlyMap<string, Fixed>;

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.json': 'application/json',
  '.woff2': 'font/woff2',
};

/** Reads the built console; empty when it was not built. */
export async function loadConsole(folder: string): Promise<ConsoleFiles> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  });
  const files = new Map<string, Fixed>();
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const body = await readFile(path);
    const type = types[extname(path)] ?? 'application/octet-stream';
    const name = `/console/${relative(folder, path).split(sep).join('/')}`;
    files.set(name, { body, type, etag: `"${hash('sha256', body).slice(0, 32)}"` });
  }
  return files;
}

/** Everything comes from here: no script, style, font or image of anyone else's, and no page of anyone else's around it. */
const policy =
  "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

export function handleConsole(exchange: Exchange, files: ConsoleFiles, sessions: Sessions): Promise<void> | void {
  const { path, res, method } = exchange;
  if (method !== 'GET' && method !== 'HEAD') throw onlyTakes(path, ['GET', 'HEAD']);
  if (path === '/console/open') return openSession(exchange, sessions);
  if (path === '/console') return void res.writeHead(308, { location: '/console/' }).end();
  const hashed = path.startsWith('/console/assets/');
  // Every other address is a page of the console's own making.
  const asset = files.get(path) ?? (hashed ? undefined : files.get('/console/index.html'));
  if (!asset) return sendPage(exchange, 404, 'The console is not built', 'Build it with: npm run console');
  return sendFixed(exchange, asset, {
    'content-security-policy': policy,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cache-control': hashed ? 'public, max-age=31536000, immutable' : 'no-cache',
  });
}

/** Turns a one-time link into a session. */
function openSession(exchange: Exchange, sessions: Sessions): void {
  const session = sessions.redeem(exchange.query.get('ticket') ?? '');
  if (!session) {
    return sendPage(
      exchange,
      401,
      'This link was used already',
      'Each link opens the console once. Make a new one with: sutaz console',
    );
  }
  exchange.res.writeHead(303, {
    location: '/console/',
    'set-cookie': setSession(exchange, session.token, 'Strict'),
    'cache-control': 'no-store',
    'referrer-policy': 'no-referrer',
  });
  exchange.res.end();
}

export function sendPage(
  exchange: Exchange,
  status: number,
  title: string,
  detail: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  exchange.res.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'x-sutaz-trace-id': exchange.traceId,
    ...headers,
  });
  exchange.res.end(plainPage(title, detail));
}
