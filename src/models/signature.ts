import { createHash, createPublicKey, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { ModelSignature, OnProgress } from '#contracts/models';
import { Fault } from '#kernel/faults';

/** What stands before the 32 bytes of an Ed25519 key in its DER form (RFC 8410). */
const derPrefix = Buffer.from('302a300506032b6570032100', 'hex');

interface Parsed {
  readonly keyId: string;
  readonly signature: Buffer;
  readonly comment: string;
  readonly commentSignature: Buffer;
}

/**
 * Checks a file against a minisign signature: Ed25519 over the file's BLAKE2b-512, and over the signature with its trusted
 * comment. Throws FORBIDDEN when the file, the comment or the key is another, BAD_REQUEST when the definition's key or
 * signature is none.
 */
export async function checkSignature(
  path: string,
  shown: string,
  { key: keyText, minisign }: ModelSignature,
  { signal, onProgress }: { readonly signal: AbortSignal; readonly onProgress: OnProgress },
): Promise<void> {
  const { id, key } = parseKey(keyText);
  const { keyId, signature, comment, commentSignature } = parseSignature(minisign);
  const refuse = (why: string): never => {
    throw new Fault('FORBIDDEN', `${shown} is refused: ${why}.`, { details: { file: shown, key: id } });
  };
  if (keyId !== id) refuse(`its signature is of the key ${keyId}, and the definition trusts ${id}`);
  const hash = createHash('blake2b512');
  let done = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20, signal })) {
    hash.update(chunk as Buffer);
    done += (chunk as Buffer).length;
    onProgress({ phase: 'verifying', what: `the signature of ${shown}`, done, unit: 'bytes' });
  }
  if (!verify(null, hash.digest(), key, signature)) refuse(`it is not the file that the key ${id} signed`);
  const signed = Buffer.concat([signature, Buffer.from(comment)]);
  if (!verify(null, signed, key, commentSignature)) refuse('the comment of its signature was altered');
}

const invalid = (why: string): Fault => new Fault('BAD_REQUEST', `The model's signature is not usable: ${why}.`);

/** `Ed`, eight bytes that name the key, and the key. */
function parseKey(text: string): { readonly id: string; readonly key: KeyObject } {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length !== 42 || bytes.toString('latin1', 0, 2) !== 'Ed') throw invalid('its key is no minisign key');
  const key = createPublicKey({ key: Buffer.concat([derPrefix, bytes.subarray(10)]), format: 'der', type: 'spki' });
  return { id: nameOfKey(bytes), key };
}

/** As minisign shows it: the bytes the other way round. */
const nameOfKey = (bytes: Buffer): string => Buffer.from(bytes.subarray(2, 10)).reverse().toString('hex').toUpperCase();

function parseSignature(text: string): Parsed {
  const lines = text
    .trim()
    .split(/\r?\n/)
    .map((line) => line.trim());
  const [untrusted = '', first = '', trusted = '', last = ''] = lines;
  if (lines.length !== 4 || !untrusted.startsWith('untrusted comment:') || !trusted.startsWith('trusted comment: ')) {
    throw invalid('it is not the text of a .minisig file');
  }
  const [bytes, commentSignature] = [Buffer.from(first, 'base64'), Buffer.from(last, 'base64')];
  const algorithm = bytes.toString('latin1', 0, 2);
  // Signing the file itself instead of its hash would need all of it in memory.
  if (algorithm === 'Ed') throw invalid('it is of the legacy kind: sign without -l');
  if (bytes.length !== 74 || commentSignature.length !== 64 || algorithm !== 'ED')
    throw invalid('it is cut or altered');
  return {
    keyId: nameOfKey(bytes),
    signature: bytes.subarray(10),
    comment: trusted.slice('trusted comment: '.length),
    commentSignature,
  };
}
