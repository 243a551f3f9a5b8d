import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { Fault } from '#kernel/faults';
import { readGguf } from './gguf.ts';

/** What a file is by its first bytes. `unknown` is anything that nothing here speaks for or against. */
export type Format = 'gguf' | 'safetensors' | 'zip' | 'pickle' | 'text' | 'empty' | 'unknown';

const headBytes = 4096;

/** Names of files that are pickles where their content is nothing known. */
const pickleName = /\.(?:bin|pt|pth|ckpt|pkl|pickle|joblib)$/i;

/**
 * Looks at a file that is about to become a model. Throws BAD_REQUEST for what cannot be one (empty, a text such as an
 * error page, a GGUF file with a broken header) and FORBIDDEN for a pickle, unless those are allowed. `name` is what the
 * file was called where it came from.
 */
export async function checkFormat(path: string, name: string, allowPickle: boolean): Promise<Format> {
  const { format, head } = await sniff(path);
  const shown = basename(name) || name;
  if (format === 'gguf') await readGguf(path, shown);
  if (format === 'empty') throw new Fault('BAD_REQUEST', `${shown} is not a model: it is empty.`);
  if (format === 'text') {
    const begins = JSON.stringify(head.toString('utf8', 0, 40));
    throw new Fault('BAD_REQUEST', `${shown} is not a model: it is a text that begins with ${begins}.`);
  }
  const evidence = await pickleEvidence(path, shown, format);
  if (evidence !== null && !allowPickle) {
    throw new Fault(
      'FORBIDDEN',
      `${shown} is refused: ${evidence}, and loading a pickle runs whatever code is in it. Take the model as GGUF or ` +
        'safetensors, or set models.allowPickle in sutaz.yaml if you trust where it comes from.',
      { details: { file: shown, evidence } },
    );
  }
  return evidence === null ? format : 'pickle';
}

async function sniff(path: string): Promise<{ readonly format: Format; readonly head: Buffer }> {
  const handle = await open(path, 'r');
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(headBytes), 0, headBytes, 0);
    const head = buffer.subarray(0, bytesRead);
    return { format: formatOf(head, (await handle.stat()).size), head };
  } finally {
    await handle.close();
  }
}

export function formatOf(head: Buffer, fileBytes: number): Format {
  if (head.length === 0) return 'empty';
  const magic = head.toString('latin1', 0, 4);
  if (magic === 'GGUF') return 'gguf';
  if (magic === 'PK\x03\x04') return 'zip';
  if (isSafetensors(head, fileBytes)) return 'safetensors';
  if (isPickle(head)) return 'pickle';
  return isText(head) ? 'text' : 'unknown';
}

/** Eight bytes with the length of a JSON object that follows (https://github.com/huggingface/safetensors#format). */
function isSafetensors(head: Buffer, fileBytes: number): boolean {
  if (head.length < 9) return false;
  const length = head.readBigUInt64LE(0);
  return length >= 2n && length <= BigInt(fileBytes - 8) && head[8] === 0x7b;
}

/**
 * From protocol 2 on a pickle begins with its PROTO opcode. An older one has no mark: it begins with a container, or with
 * the GLOBAL opcode that names what will be called (`cos\nsystem\n`).
 */
function isPickle(head: Buffer): boolean {
  if (head[0] === 0x80 && (head[1] ?? 0) >= 2 && (head[1] ?? 0) <= 5) return true;
  const text = head.toString('latin1');
  return /^[(\])}lt]*c[A-Za-z_][\w.]*\n[A-Za-z_][\w.]*\n/.test(text) || /^\((?:[dl]p\d*\n|[dl][p.])/.test(text);
}

/** No byte that a text does not have, and some that a text has. */
function isText(head: Buffer): boolean {
  for (const byte of head) if (byte < 0x20 && ![0x09, 0x0a, 0x0c, 0x0d].includes(byte)) return false;
  return /^\s*[<{[#"\w]/.test(head.toString('latin1', 0, 64));
}

async function pickleEvidence(path: string, name: string, format: Format): Promise<string | null> {
  if (format === 'gguf' || format === 'safetensors') return null;
  if (format === 'pickle') return 'it begins as a pickle does';
  const member = format === 'zip' ? await pickleMember(path) : null;
  if (member !== null) return `it is an archive with the pickle ${member}`;
  return pickleName.test(name) ? `${name.slice(name.lastIndexOf('.'))} files are pickles` : null;
}

/** A model's archive has thousands of members at most; the pickle is among the first. */
const mostMembers = 10_000;

async function pickleMember(path: string): Promise<string | null> {
  const { openPromise } = await import('yauzl');
  const zip = await openPromise(path, { autoClose: false, lazyEntries: true }).catch(() => null);
  if (!zip) return null;
  try {
    let seen = 0;
    for await (const { fileName } of zip.eachEntry()) {
      if (/\.(?:pkl|pickle)$/i.test(fileName)) return fileName;
      if (++seen >= mostMembers) break;
    }
    return null;
  } catch {
    // An archive that cannot be read is no evidence: whoever loads it will fail, and its name is judged yet.
    return null;
  } finally {
    zip.close();
  }
}
