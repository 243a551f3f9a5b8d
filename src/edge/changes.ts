import type { IncomingMessage, Server, ServerResponse } from 'node:http';

/** The calls of the control API that are changing something now, but for `besides`: how long they take is theirs. */
export function trackChanges(server: Server, besides: string): () => readonly string[] {
  const running = new Set<string>();
  server.on('request', ({ method, url = '' }: IncomingMessage, res: ServerResponse) => {
    if (!url.startsWith('/sutaz/v1/') || method === 'GET' || method === 'HEAD' || url === besides) return;
    const call = `${method ?? ''} ${url.replace(/\?.*$/, '')}`;
    running.add(call);
    res.once('close', () => running.delete(call));
  });
  return () => [...running];
}
