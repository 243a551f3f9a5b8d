import { createHash, timingSafeEqual } from 'node:crypto';

const digest = (value: string) => createHash('sha256').update(value).digest();

/** Checks an Authorization header against the key, in a time that tells nothing of the key or its length. */
export function createKeyCheck(key: string): (authorization: string | undefined) => boolean {
  const wanted = digest(key);
  return (authorization) => {
    const given = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1];
    return given !== undefined && timingSafeEqual(digest(given), wanted);
  };
}
