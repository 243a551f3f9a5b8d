import type { ApiJob, ApiJobAsk, ApiJobOutput } from '#contracts/jobs-api';
import { controlBase } from '#contracts/operations';
import { Fault } from '#kernel/faults';
import type { Principal } from '#security/principal';
import { noteForAudit } from './audited.ts';
import { route, streamEvents } from './control-route.ts';
import type { ControlDeps, FieldsOf, Route } from './control-route.ts';
import { drained, parseObject, readBody } from './exchange.ts';
import type { Exchange } from './exchange.ts';
import { flag, given, list, read, required, text } from './fields.ts';
import type { EventStream } from './sse.ts';

/** What the control API does with tools that are run. Whoever asks sees their own runs; of others', as if there were none. */
export interface JobDesk {
  start(caller: Principal, ask: ApiJobAsk): Promise<ApiJob>;
  /** The newest first. */
  list(caller: Principal): readonly ApiJob[];
  read(caller: Principal, id: string): ApiJob;
  /** Does nothing to one that has ended. */
  cancel(caller: Principal, id: string): ApiJob;
  output(caller: Principal, id: string, signal: AbortSignal): AsyncIterable<ApiJobOutput>;
}

const starting: FieldsOf<'startJob'> = {
  ...{ tool: text, args: list(text), folder: text, copy: flag, cwd: text, model: text, stdin: text },
  ...{ timeLimit: text, memoryLimit: text },
};

/** A tool's input goes along. */
const longestBody = 4 * 2 ** 20;

const callerOf = ({ principal }: Exchange): Principal => {
  if (principal) return principal;
  throw new Fault('UNAUTHENTICATED', 'A key is needed.');
};

export const jobRoutes: readonly Route[] = [
  route('listJobs', (exchange, { control }) => ({ jobs: control.jobs.list(callerOf(exchange)) })),
  route('startJob', async (exchange, { control }) => {
    const body = read(parseObject(await readBody(exchange, longestBody)), starting);
    required(body.tool, 'tool');
    const job = await control.jobs.start(callerOf(exchange), given(body) as unknown as ApiJobAsk);
    // Not its arguments: what people ask of tools is theirs.
    noteForAudit(exchange, { target: job.id, details: { folder: job.folder, model: job.model } });
    exchange.res.setHeader('location', `${controlBase}/jobs/${job.id}`);
    return job;
  }),
  route('readJob', (exchange, { control }, id) => control.jobs.read(callerOf(exchange), id)),
  route('cancelJob', (exchange, { control }, id) => control.jobs.cancel(callerOf(exchange), id)),
  route('readJobOutput', sendOutput),
];

/** Milliseconds between the events that say how far a run is. */
const progressEveryMs = 1_000;

async function sendOutput(exchange: Exchange, { control, clock }: ControlDeps, id: string): Promise<void> {
  const caller = callerOf(exchange);
  const pieces = control.jobs.output(caller, id, exchange.signal);
  let told = '';
  const tell = (stream: EventStream) => {
    const { state, progress } = control.jobs.read(caller, id);
    const now = JSON.stringify({ phase: state, ...progress });
    if (state === 'ended' || now === told) stream.comment();
    else stream.send('progress', JSON.parse(now));
    told = now;
  };
  await streamEvents(exchange, { clock, everyMs: progressEveryMs, tell }, async (stream) => {
    for await (const piece of pieces) {
      // Nothing of it is left out: a reader that is behind slows only itself, since the run writes to its files.
      while (!stream.send('output', piece)) {
        if (exchange.res.destroyed) return;
        await drained(exchange.res);
      }
    }
    if (!exchange.signal.aborted) stream.send('done', control.jobs.read(caller, id));
  });
}
