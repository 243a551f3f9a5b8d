import type { Policy } from '#routing/policy';
import { header } from './exchange.ts';
import type { Exchange } from './exchange.ts';

/** Bytes of a prompt that say which one it is: enough for instructions, and not the turns that come after them. */
const prefixBytes = 2_048;

/** What a hash among places goes by; null where there is nothing of it, or no hash. */
export function hashKeyOf(exchange: Exchange, body: Buffer | null, { balance, hashBy }: Policy): string | null {
  if (balance !== 'hash') return null;
  if (hashBy === 'key') return exchange.principal?.id ?? null;
  if (hashBy === 'prefix') return body ? prefixOf(body) : null;
  if (hashBy.startsWith('header:')) return header(exchange.req, hashBy.slice('header:'.length).toLowerCase()) ?? null;
  return header(exchange.req, 'x-sutaz-conversation') ?? (body ? conversationOf(body) : null);
}

const prefixOf = (body: Buffer): string => {
  // What comes before the first message is parameters, which may differ within one conversation.
  const at = Math.max(0, body.subarray(0, prefixBytes).indexOf('"messages"'));
  return body.toString('latin1', at, at + prefixBytes);
};

/** What OpenAI's API has for it, else how it begins: the messages of a conversation only become more. */
function conversationOf(body: Buffer): string {
  const named = /"(?:prompt_cache_key|conversation)"\s*:\s*"([^"\\]{1,256})"/.exec(body.toString('latin1'))?.[1];
  return named ?? prefixOf(body).slice(0, 512);
}
