import { createHash } from 'node:crypto';
import { Fault } from '#kernel/faults';

/** Longer names would not fit a file name once encoded: the usual limit is 255 bytes. */
const longest = 200;

/**
 * A model's name as one file name, the same on every file system: lower-case letters, digits, `-`, `_` and inner dots
 * stand, every other byte is written `%XX`. Upper case is encoded too, since `A` and `a` are one file on some systems.
 * Throws BAD_REQUEST for an empty name and one that is too long.
 */
export function fileNameOf(name: string): string {
  let encoded = '';
  for (const byte of Buffer.from(name, 'utf8')) {
    const char = String.fromCharCode(byte);
    const safe = /[a-z0-9_-]/.test(char) || (char === '.' && encoded !== '');
    encoded += safe ? char : `%${byte.toString(16).padStart(2, '0').toUpperCase()}`;
  }
  if (encoded === '' || encoded.length > longest) {
    throw new Fault(
      'BAD_REQUEST',
      `"${name.slice(0, 80)}" can not be a model's name: it is ${encoded ? 'too long' : 'empty'}.`,
    );
  }
  return encoded;
}

/** The name that `fileNameOf` wrote; null when the text is not of its making. */
export function nameOf(fileName: string): string | null {
  if (!/^(?:[a-z0-9_.-]|%[0-9A-F]{2})+$/.test(fileName)) return null;
  const bytes = Buffer.from(
    fileName.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16))),
    'latin1',
  );
  const name = bytes.toString('utf8');
  return encodes(name, fileName) ? name : null;
}

const encodes = (name: string, fileName: string): boolean => {
  try {
    return fileNameOf(name) === fileName;
  } catch {
    return false;
  }
};

export const isSha256 = (text: string): boolean => /^[0-9a-f]{64}$/.test(text);

/** The file name of a download in progress: the same for the same origin of bytes, and telling nothing of its address. */
export const partialName = (identity: string): string =>
  `${createHash('sha256').update(identity).digest('hex').slice(0, 32)}.part`;
