import Negotiator from 'negotiator';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import type { Transform } from 'node:stream';

/** The codings that browsers and the usual clients know, by the names of HTTP. */
export type Coding = 'br' | 'zstd' | 'gzip';

/** Its types are of a release in which a server could prefer nothing. */
interface Preferring {
  encodings(available: readonly string[], options?: { readonly preferred: readonly string[] }): string[];
}

/**
 * The coding that a client likes best of these, which are given in the order that the server prefers; null where it wants the
 * plain bytes, or says nothing (RFC 9110, section 12.5.3).
 */
export function codingFor(accept: string | undefined, among: readonly Coding[]): Coding | null {
  if (!accept) return null;
  const liked = new Negotiator({ headers: { 'accept-encoding': accept } }) as Preferring;
  const [best] = liked.encodings([...among, 'identity'], { preferred: among });
  return among.find((one) => one === best) ?? null;
}

/** Whether there is something to gain: what else there is, is small or packed in its own way. */
export const isCompressible = (type: string): boolean => {
  const name = type.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  // What comes event by event must arrive so: packed, it would be held until there is more of it.
  if (name === 'text/event-stream' || name.endsWith('ndjson')) return false;
  return /^(text\/.+|application\/(.*\+)?(json|xml)|application\/(javascript|wasm)|image\/svg\+xml|font\/[ot]tf)$/.test(
    name,
  );
};

interface Effort {
  readonly br: number;
  readonly zstd: number;
  readonly gzip: number;
}

/** For what is packed once and sent often, and for what is sent once: there more would cost more than it spares. */
const once: Effort = { br: 9, zstd: 15, gzip: 9 };
const each: Effort = { br: 4, zstd: 3, gzip: 4 };

const { constants } = zlib;
const optionsOf = {
  br: (effort: number) => ({ params: { [constants.BROTLI_PARAM_QUALITY]: effort } }),
  zstd: (effort: number) => ({ params: { [constants.ZSTD_c_compressionLevel]: effort } }),
  gzip: (effort: number) => ({ level: effort }),
};

const br = promisify<Buffer, zlib.BrotliOptions, Buffer>(zlib.brotliCompress);
const zstd = promisify<Buffer, zlib.ZstdOptions, Buffer>(zlib.zstdCompress);
const gzip = promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.gzip);

/** Packs it in a thread of Node's pool. */
export function pack(body: Buffer, coding: Coding, times: 'once' | 'each'): Promise<Buffer> {
  const effort = (times === 'once' ? once : each)[coding];
  if (coding === 'br') return br(body, optionsOf.br(effort));
  return coding === 'zstd' ? zstd(body, optionsOf.zstd(effort)) : gzip(body, optionsOf.gzip(effort));
}

/** Packs what comes bit by bit. With `flushes` each bit leaves when it came: whoever sends it so means it to be seen so. */
export function createPacker(coding: Coding, flushes: boolean): Transform {
  const effort = each[coding];
  if (coding === 'br') {
    const flush = flushes ? constants.BROTLI_OPERATION_FLUSH : constants.BROTLI_OPERATION_PROCESS;
    return zlib.createBrotliCompress({ ...optionsOf.br(effort), flush });
  }
  if (coding === 'zstd') {
    return zlib.createZstdCompress({
      ...optionsOf.zstd(effort),
      flush: flushes ? constants.ZSTD_e_flush : constants.ZSTD_e_continue,
    });
  }
  return zlib.createGzip({ ...optionsOf.gzip(effort), flush: flushes ? constants.Z_SYNC_FLUSH : constants.Z_NO_FLUSH });
}
