import type { ServerResponse } from 'node:http';

/** One event of a server-sent stream (WHATWG HTML, section 9.2). JSON holds no line break, so one data line is enough. */
export const sseEvent = (data: unknown): string => `data: ${JSON.stringify(data)}\n\n`;
export const sseDone = 'data: [DONE]\n\n';

export interface EventStream {
  /** Resolves when the client can take more: a slow reader slows its own generation down, and fills no memory here. */
  send(data: unknown): Promise<void>;
  done(): void;
  /** Tells the failure in the stream and cuts the connection, so that no client takes what it has for the whole. */
  fail(body: unknown): void;
}

export function openEventStream(response: ServerResponse): EventStream {
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    'x-accel-buffering': 'no',
  });
  return {
    async send(data) {
      if (response.destroyed || response.write(sseEvent(data))) return;
      await new Promise<void>((resolve) => {
        const go = () => {
          response.off('drain', go);
          response.off('close', go);
          resolve();
        };
        response.on('drain', go);
        response.on('close', go);
      });
    },
    done() {
      response.end(sseDone);
    },
    fail(body) {
      // Destroyed only once the event is on its way: destroying at once would drop it.
      response.write(sseEvent(body), () => response.destroy());
    },
  };
}
