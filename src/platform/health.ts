import type { ClientRequest, IncomingMessage } from 'node:http';
import { certificateAt, placeOf } from '#edge/transport/place';
import type { Clock } from '#kernel/clock';
import { nodeHttp } from '#kernel/node-http';
import type { HealthPolicy, Target } from '#routing/policy';

/** Asks an upstream whether it is well; null when it is, else why not. Never rejects, and ends within the time it is given. */
export function checkHealth(
  { origin, basePath, key, tls }: Target,
  { path, timeoutMs }: HealthPolicy,
  clock: Clock,
  signal: AbortSignal,
): Promise<string | null> {
  const { host, port, secure } = placeOf(origin);
  const { request } = secure ? process.getBuiltinModule('node:https') : nodeHttp;
  return new Promise((resolve) => {
    const headers = key === null ? {} : { authorization: `Bearer ${key}` };
    // A connection of its own: that requests still pass over a kept one says little of who listens now.
    const options = {
      ...{ host, port, headers, signal, agent: false, path: basePath + path },
      ...certificateAt(host, tls),
    };
    const asked: ClientRequest = request(options, (answer: IncomingMessage) => {
      const status = answer.statusCode ?? 0;
      settle(status >= 200 && status < 300 ? null : `${path} answers ${status}`);
    });
    const cancel = clock.after(timeoutMs, () => settle(`${path} did not answer within ${timeoutMs} ms`));
    const settle = (why: string | null) => {
      cancel();
      resolve(why);
      asked.destroy();
    };
    asked.on('error', (error) => settle(`${path} cannot be asked: ${error.message}`));
    asked.end();
  });
}
