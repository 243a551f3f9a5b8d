import type { FetchJson } from './issuer-keys.ts';

/** Bytes of a description or a set of keys. */
const most = 256 * 1024;

/** No redirects are followed: the address that was configured is the one that is trusted. */
export const fetchJson: FetchJson = async (url, timeoutMs) => {
  const controller = new AbortController();
  const timer = setTimeout(
    () => controller.abort(new Error(`${url} did not answer within ${timeoutMs} ms`)),
    timeoutMs,
  );
  try {
    // Only who has configured an issuer pays for its memory.
    const { request } = await import('undici');
    const { statusCode, body } = await request(url, {
      headers: { accept: 'application/json' },
      signal: controller.signal,
    });
    if (statusCode !== 200) {
      body.destroy();
      throw new Error(`${url} answered with ${statusCode}`);
    }
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.byteLength;
      if (bytes > most) throw new Error(`${url} sent more than ${most} bytes`);
      chunks.push(chunk);
    }
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
  } finally {
    clearTimeout(timer);
  }
};
