import { request } from 'node:http';
import { rawPaths } from './world.ts';

/** Milliseconds after which a request that has not come to its end hangs. */
export const mostMs = 30_000;

/** How a request ended: with a whole answer, left by its client, broken off after it began, or without any answer. */
export interface Ended {
  readonly path: string;
  readonly at: number;
  readonly ms: number;
  readonly how: 'answered' | 'left' | 'broken' | 'unanswered' | 'hung';
  readonly status: number;
}

interface At {
  readonly port: number;
  readonly key: string;
}

/** Never rejects. `leaves`: the client goes with the first byte. */
function ask({ port, key }: At, path: string, leaves = false): Promise<Ended> {
  const at = performance.now();
  return new Promise((resolve) => {
    let status = 0;
    const end = (how: Ended['how']) => {
      clearTimeout(timer);
      resolve({ path, at, ms: performance.now() - at, how, status });
    };
    const headers = { authorization: `Bearer ${key}` };
    const req = request({ host: '127.0.0.1', port, path, headers, agent: false }, (res) => {
      status = res.statusCode ?? 0;
      res.on('error', () => undefined).on('close', () => end(res.complete ? 'answered' : leaves ? 'left' : 'broken'));
      res.once('data', () => leaves && req.destroy());
      res.resume();
    });
    const timer = setTimeout(() => (end('hung'), req.destroy()), mostMs);
    req.on('error', () => end(status === 0 ? 'unanswered' : 'broken')).end();
  });
}

/** One request of those that are asked, as chance has it. */
export function askAny(at: At, random: () => number): Promise<Ended> {
  const draw = random();
  const raw = rawPaths[Math.floor(random() * rawPaths.length)] ?? '';
  if (draw < 0.3) return ask(at, '/services/echo/x');
  if (draw < 0.45) return ask(at, '/services/echo/sse?count=20&every=20');
  if (draw < 0.55) return ask(at, '/services/echo/sse?count=500&every=10', true);
  if (draw < 0.75) return ask(at, '/services/many/');
  if (draw < 0.97) return ask(at, `/services/raw${raw}`);
  return ask(at, '/sutaz/v1/state');
}
