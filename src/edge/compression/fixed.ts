import type { Exchange } from '../exchange.ts';
import { codingFor, isCompressible, pack } from './coding.ts';
import type { Coding } from './coding.ts';

/** Bytes that are the same for everyone and never change under their ETag. */
export interface Fixed {
  readonly body: Buffer;
  readonly type: string;
  /** A strong one, with its quotation marks. */
  readonly etag: string;
}

const codings: readonly Coding[] = ['br', 'zstd', 'gzip'];
/** Bytes below which packing spares nothing: it all goes in one packet. */
const smallest = 1_024;

/** The packed forms of a body, each made when it is first asked for and gone with the body. Null where it is no shorter. */
const forms = new WeakMap<Buffer, Map<Coding, Promise<Buffer | null>>>();

function packed(body: Buffer, coding: Coding): Promise<Buffer | null> {
  const known = forms.get(body) ?? new Map<Coding, Promise<Buffer | null>>();
  forms.set(body, known);
  let form = known.get(coding);
  if (!form) {
    form = pack(body, coding, 'once').then((bytes) => (bytes.byteLength < body.byteLength ? bytes : null));
    // It goes as it is this time; the next one tries again.
    form = form.catch(() => {
      known.delete(coding);
      return null;
    });
    known.set(coding, form);
  }
  return form;
}

/** Sends it in the coding that the client likes best, or 304 to who has it in that coding. */
export async function sendFixed(
  { req, res, method }: Exchange,
  { body, type, etag }: Fixed,
  headers: Readonly<Record<string, string>>,
): Promise<void> {
  const packs = body.byteLength >= smallest && isCompressible(type);
  const coding = packs ? codingFor(req.headers['accept-encoding'], codings) : null;
  const form = coding && (await packed(body, coding));
  const all = {
    ...headers,
    // Each form has its own: a strong one says that every byte is the same.
    etag: form ? etag.replace(/"$/, `-${coding}"`) : etag,
    ...(packs ? { vary: 'accept-encoding' } : {}),
  };
  if (hasIt(req.headers['if-none-match'], all.etag)) return void res.writeHead(304, all).end();
  const sent = form ?? body;
  res.writeHead(200, {
    ...all,
    ...(form && coding ? { 'content-encoding': coding } : {}),
    ...{ 'content-type': type, 'content-length': sent.byteLength },
  });
  res.end(method === 'HEAD' ? undefined : sent);
}

/** Whether `If-None-Match` names it: a list, compared weakly (RFC 9110, section 13.1.2). */
export function hasIt(given: string | undefined, etag: string): boolean {
  if (given === undefined) return false;
  if (given.trim() === '*') return true;
  const opaque = etag.replace(/^W\//, '');
  return [...given.matchAll(/(?:W\/)?("[\x21\x23-\x7e\x80-\xff]*")/g)].some(([, one]) => one === opaque);
}
