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
    const asked = request(url, { headers: { accept: 'application/json' }, signal: controller.signal });
    const { statusCode, body } = await asked.catch((error: unknown) => {
      if (controller.signal.aborted) throw error;
      throw new Error(`${url} cannot be reached: ${reasonOf(error)}`, { cause: error });
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
    return parsed(url, Buffer.concat(chunks).toString('utf8'));
  } finally {
    clearTimeout(timer);
  }
};

function parsed(url: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new Error(`${url} answered with something else than JSON`, { cause: error });
  }
}

/** Of several addresses of a name, each has failed. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
