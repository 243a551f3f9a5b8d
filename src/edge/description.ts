import { hash } from 'node:crypto';
import { sendFixed } from './compression/fixed.ts';
import type { Fixed } from './compression/fixed.ts';
import { onlyTakes } from './exchange.ts';
import type { Exchange } from './exchange.ts';

/** What the control API says of itself: `docs/openapi.json` as it was written, and as a page. */
export interface Description {
  json(): Promise<Page>;
  html(): Promise<Page>;
}

interface Page extends Fixed {
  readonly headers: Readonly<Record<string, string>>;
}

/** Both are made when somebody first asks for them and kept: few ever do, and they never change. */
export function createDescription(read: () => Promise<Buffer>): Description {
  const text = once(read);
  return {
    json: once(async () => page(await text(), 'application/json; charset=utf-8')),
    html: once(async () => {
      const { renderDescription, styleHash } = await import('./description-page.ts');
      const body = Buffer.from(renderDescription(JSON.parse((await text()).toString('utf8'))));
      return page(body, 'text/html; charset=utf-8', { 'content-security-policy': policyWith(styleHash) });
    }),
  };
}

/** A page of words: no script, no image, no frame, and nothing that it could send to anybody. */
const policyWith = (styleHash: string): string =>
  `default-src 'none'; style-src '${styleHash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

function page(body: Buffer, type: string, more: Readonly<Record<string, string>> = {}): Page {
  const headers = {
    'cache-control': 'no-cache',
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    ...more,
  };
  return { body, type, etag: `"${hash('sha256', body).slice(0, 32)}"`, headers };
}

/** A failure is told and tried again the next time. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make().catch((error: unknown) => {
      made = undefined;
      throw error;
    });
    return made;
  };
}

/** Needs no key: the description is the same for everyone who has this version, and holds nothing of this platform. */
export async function sendDescription(exchange: Exchange, made: Promise<Page>): Promise<void> {
  const { method, path } = exchange;
  if (method !== 'GET' && method !== 'HEAD') throw onlyTakes(path, ['GET', 'HEAD']);
  const page = await made;
  return sendFixed(exchange, page, page.headers);
}
