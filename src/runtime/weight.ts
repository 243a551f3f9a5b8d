import { isRecord } from '#kernel/json';

/** Milliseconds for the answer. */
const askMs = 2_000;

/** Asks an instance for the bytes it takes outside of its own processes. Throws when it gives no number. */
export async function askWeight(path: string, at: { readonly host: string; readonly port: number }): Promise<number> {
  const response = await fetch(`http://${at.host}:${at.port}${path}`, { signal: AbortSignal.timeout(askMs) });
  const body: unknown = await response.json();
  const bytes = isRecord(body) ? body['bytes'] : undefined;
  if (response.ok && typeof bytes === 'number' && Number.isSafeInteger(bytes) && bytes >= 0) return bytes;
  throw new Error(`${path} answers ${response.status} without a number of bytes`);
}
