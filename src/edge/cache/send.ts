import type { WaiterId } from '#kernel/ids';
import type { Exchange } from '../exchange.ts';
import { withTries } from '../attempts.ts';
import { askedOf, callerOf, serving, wakePlain } from '../forward.ts';
import type { ForwardDeps, Onward } from '../forward.ts';
import { serverTiming, traceparentOf } from '../headers.ts';
import { metered } from '../limits/metered.ts';
import { headerOf } from '../transport/fields.ts';
import type { HeaderList } from '../transport/fields.ts';
import type { AnswerSink } from '../transport/upstreams.ts';

/** What one caller's answer must not bring to another's, and what speaks of this one call. */
const ofOneCaller: ReadonlySet<string> = new Set([
  'set-cookie',
  'server-timing',
  'x-sutaz-trace-id',
  'cache-status',
  'age',
]);

/**
 * Sends a question to an engine as `forward` does, with none of the client's own headers: what comes back may be another
 * caller's answer too. The lease is given back when it is whole or broken off.
 */
export async function sendForAll(
  exchange: Exchange,
  onward: Onward & { readonly body: Buffer },
  deps: ForwardDeps,
  sink: AnswerSink,
  onQueued: (id: WaiterId) => void = () => undefined,
): Promise<void> {
  const { unit, stream, path, body } = onward;
  await withTries(exchange, askedOf(exchange, onward, deps), deps, async (one) => {
    const caller = { ...callerOf(exchange), signal: exchange.signal, onQueued, choice: one.choice };
    const awake = await (stream ? deps.waker.wake(unit, caller) : wakePlain(exchange, onward, deps, one));
    const { target, queueMs, wakeMs } = awake;
    one.at(awake.placed);
    const sent = deps.clock.now();
    const headers = ['content-type', 'application/json', 'traceparent', traceparentOf(exchange)];
    if (target.key !== null) headers.push('authorization', `Bearer ${target.key}`);
    const request = {
      ...{ origin: target.origin, method: 'POST', path: target.basePath + path, headers, body },
      ...{ signal: one.signal, tls: target.tls },
    };
    const taking: AnswerSink = {
      head(answer) {
        one.head(answer.status, (name) => headerOf(answer.headers, name));
        const timing = serverTiming(queueMs, wakeMs, deps.clock.now() - sent);
        sink.head({ ...answer, headers: [...forAll(answer.headers), 'server-timing', timing] });
      },
      data(chunk, resume) {
        one.data();
        const goesOn = sink.data(chunk, () => {
          one.data();
          resume();
        });
        if (!goesOn) one.held();
        return goesOn;
      },
    };
    await serving(awake, () => metered(exchange, deps.upstreams).send(request, taking));
  });
}

function forAll(headers: HeaderList): string[] {
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    if (!ofOneCaller.has(name)) kept.push(name, headers[i + 1] as string);
  }
  return kept;
}
