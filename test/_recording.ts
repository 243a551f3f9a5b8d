import { isDeepStrictEqual } from 'node:util';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';

/** One request of a conversation with a real server, and what that answered. */
export interface Exchange {
  /** `POST /v1/chat/completions` */
  readonly asked: string;
  readonly body?: unknown;
  readonly status: number;
  readonly type?: string;
  /** The answer as it came, in the pieces it came in. */
  readonly pieces: readonly string[];
  /** The client left before its end: these are the pieces it had by then, and there would have been more. */
  readonly left?: true;
}

/** What was recorded, and how the suite must ask for it again. */
export interface Recording {
  readonly server: string;
  /** How the server was run, so that it can be recorded again. */
  readonly run: string;
  /** The engine of the catalogue that speaks to it. */
  readonly engine: 'ollama' | 'upstream';
  readonly model: string;
  readonly contextTokens: number;
  readonly embeddings: boolean;
  readonly cutsPrompts: boolean;
}

export interface Proxy {
  readonly url: string;
  readonly exchanges: readonly Exchange[];
  close(): Promise<void>;
}

/** Stands before a real server, passes everything on, and writes down what was said. Headers with keys are not. */
export async function recordingProxy(to: string): Promise<Proxy> {
  const exchanges: Exchange[] = [];
  const server = createServer((req, res) => void record(req, res, to, (one) => exchanges.push(one)));
  return { url: await listen(server), exchanges, close: () => close(server) };
}

async function record(req: IncomingMessage, res: ServerResponse, to: string, keep: (one: Exchange) => void) {
  const text = await textOf(req);
  const asked = askedOf(req);
  const { host: _, ...headers } = req.headers;
  const onward = request(`${to}${req.url ?? ''}`, { method: req.method, headers }, (answer) => {
    const { statusCode: status = 502, headers: given } = answer;
    const type = given['content-type'];
    res.writeHead(status, type === undefined ? {} : { 'content-type': type });
    const pieces: Buffer[] = [];
    answer.on('data', (piece: Buffer) => (pieces.push(piece), res.write(piece)));
    answer.on('end', () => res.end());
    answer.on('error', () => res.destroy());
    res.on('close', () => {
      const body = text === '' ? {} : { body: JSON.parse(text) as unknown };
      const left = res.writableFinished ? {} : { left: true as const };
      const kept = { asked, ...body, status, ...(type !== undefined && { type }), ...left };
      keep({ ...kept, pieces: pieces.map((piece) => scrub(piece.toString())) });
    });
  });
  res.on('close', () => onward.destroy());
  onward.on('error', () => res.destroy());
  onward.end(text);
}

/** What is another each time, or is of the machine it was recorded on. Tests must not come to depend on it. */
const scrubbed: readonly (readonly [RegExp, string])[] = [
  [/"created":\d+/g, '"created":1'],
  [/"(\w+_at)":"[^"]*"/g, '"$1":"2026-01-01T00:00:00Z"'],
  [/"(\w+_duration)":\d+/g, '"$1":1'],
  [/"(chatcmpl|cmpl|embd|modelperm)-[\w-]+"/g, '"$1-1"'],
  [/"root":"[^"]*"/g, '"root":"/models/recorded"'],
];
export const scrub = (text: string): string =>
  scrubbed.reduce((rest, [pattern, instead]) => rest.replaceAll(pattern, instead), text);

/** One exchange a line, each of them once, in the order in which they came. */
export async function writeExchanges(path: string, exchanges: readonly Exchange[]): Promise<void> {
  const lines = new Set(exchanges.map((one) => JSON.stringify(one)));
  await writeFile(path, [...lines, ''].join('\n'));
}

export const readExchanges = async (path: string): Promise<Exchange[]> =>
  (await readFile(path, 'utf8'))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Exchange);

export interface Replay {
  readonly url: string;
  /** Requests that were never recorded, each with the nearest that was. */
  readonly unknown: readonly string[];
  readonly seen: readonly { readonly asked: string; readonly body: unknown }[];
  /** Answers without an end that their clients have not left yet. */
  open(): number;
  close(): Promise<void>;
}

/**
 * Answers as the real server did, and nothing else. A request is matched by its method, its path and its whole body, since with the
 * temperature at 0 and a seed the suite asks the same each time. What is not the same each time is how often and when:
 * - The same request again gets the next answer that was recorded for it, and from the last on that one: how often a model is told to stay
 *   depends on how requests overlap.
 * - An answer that its client left is given as far as it came, and is then held until this client leaves, too. What the client that left
 *   frees in the real server cannot be seen here: that its leaving reaches the server can (`open`).
 */
export async function replayServer(exchanges: readonly Exchange[]): Promise<Replay> {
  const unknown: string[] = [];
  const seen: { asked: string; body: unknown }[] = [];
  const held = new Set<ServerResponse>();
  const given = new Map<string, number>();
  const next = (asked: string, body: unknown): Exchange | undefined => {
    const fitting = exchanges.filter((one) => one.asked === asked && isDeepStrictEqual(one.body, body));
    const key = `${asked} ${JSON.stringify(body)}`;
    const count = given.get(key) ?? 0;
    given.set(key, count + 1);
    return fitting[Math.min(count, fitting.length - 1)];
  };
  const answer = async (req: IncomingMessage, res: ServerResponse) => {
    const text = await textOf(req);
    const [asked, body] = [askedOf(req), text === '' ? undefined : (JSON.parse(text) as unknown)];
    seen.push({ asked, body });
    const found = next(asked, body);
    if (!found) {
      const message = `${asked} was never recorded like this. ${nearest(asked, body, exchanges)}`;
      unknown.push(message);
      res.writeHead(501, { 'content-type': 'application/json' });
      return void res.end(JSON.stringify({ error: { message } }));
    }
    res.writeHead(found.status, found.type === undefined ? {} : { 'content-type': found.type });
    for (const piece of found.pieces) {
      res.write(piece);
      // So that pieces stay pieces on their way.
      await turn();
    }
    if (!found.left) return void res.end();
    held.add(res);
    res.on('close', () => held.delete(res));
  };
  const server = createServer((req, res) => void answer(req, res));
  return { url: await listen(server), unknown, seen, open: () => held.size, close: () => close(server) };
}

/** The recorded request that is most like it, and in what it differs. */
function nearest(asked: string, body: unknown, exchanges: readonly Exchange[]): string {
  const same = exchanges.filter((one) => one.asked === asked);
  const [first] = same
    .map((one) => differences(one.body, body))
    .sort((a, b) => a.length - b.length || a.join().length - b.join().length);
  if (first) return `The nearest differs in ${first.join(', ')}.`;
  return `Recorded are ${[...new Set(exchanges.map((one) => one.asked))].join(', ')}.`;
}

function differences(recorded: unknown, body: unknown): string[] {
  const [before, now] = [fieldsOf(recorded), fieldsOf(body)];
  return [...new Set([...Object.keys(before), ...Object.keys(now)])]
    .filter((name) => !isDeepStrictEqual(before[name], now[name]))
    .map((name) => `${name} (${short(now[name])} instead of ${short(before[name])})`);
}

const fieldsOf = (body: unknown): Record<string, unknown> =>
  typeof body === 'object' && body !== null ? { ...body } : { body };
const short = (value: unknown): string => (JSON.stringify(value) ?? 'nothing').slice(0, 80);

const askedOf = ({ method, url }: IncomingMessage): string => `${method ?? ''} ${url ?? ''}`;

async function textOf(req: IncomingMessage): Promise<string> {
  let text = '';
  for await (const piece of req.setEncoding('utf8')) text += String(piece);
  return text;
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
}

function close(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((done) => void server.close(() => done()));
}
