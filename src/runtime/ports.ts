import { createServer } from 'node:net';

/**
 * A loopback port that is free now, from the range the kernel hands out. Between this and the service's own bind another
 * program may take it: then the start fails and is tried again with another one.
 */
export function freePort(host = '127.0.0.1'): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen({ port: 0, host, exclusive: true }, () => {
      const address = server.address();
      server.close((error) => {
        if (error || typeof address !== 'object' || address === null) reject(error ?? new Error('no address'));
        else resolve(address.port);
      });
    });
  });
}
