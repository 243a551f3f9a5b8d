import { ProtocolError, ProtocolErrorCode, Server } from '@modelcontextprotocol/server';
import type { CallToolResult, ServerContext, Tool } from '@modelcontextprotocol/server';
import type { ApiProgress } from '#contracts/api';
import { isAbort, toFault } from '#kernel/faults';
import { didYouMean } from '#kernel/nearest';
import { allows } from '#security/scopes';
import type { Exchange } from '../exchange.ts';
import { permitted } from '../permitted.ts';
import { rightsOf } from './call.ts';
import type { ToolCall } from './call.ts';
import type { Gathered } from './gathered.ts';
import { ownTools } from './tools.ts';
import type { ToolDeps } from './tools.ts';

export interface ServerDeps extends ToolDeps {
  readonly version: string;
  /** The tools of a service are others than those that were listed. */
  readonly onToolsChanged: () => void;
}

/** A server for one request: what it lists and does is what that caller may. */
export function serverFor(exchange: Exchange, gathered: Gathered, deps: ServerDeps): Server {
  const server = new Server(
    { name: 'sutazai', title: 'SutazAI', version: deps.version },
    { capabilities: { tools: { listChanged: true } }, instructions },
  );
  const shown = permitted(deps, rightsOf(exchange));
  const reaches = (service: string) => allows(rightsOf(exchange), 'services:use', service);
  const own = Object.entries(ownTools).filter(([, { may }]) => may(rightsOf(exchange)));
  const list = (): Tool[] => [
    ...own.map(([name, { description, inputSchema, readOnly }]) => ({
      ...{ name, description, inputSchema, annotations: { readOnlyHint: readOnly } },
    })),
    ...gathered.list(reaches),
  ];
  server.setRequestHandler('tools/list', () => ({ tools: list() }));
  server.setRequestHandler('tools/call', async ({ params }, context) => {
    const { name, arguments: given = {} } = params;
    const call = callOf(exchange, context);
    const mine = own.find(([known]) => known === name)?.[1];
    const service = gathered.serviceOf(name);
    if (!mine && !(service && reaches(service.service))) throw unknownTool(name, list());
    const onChange = () => {
      deps.onToolsChanged();
      context.mcpReq.notify({ method: 'notifications/tools/list_changed' }).catch(() => undefined);
    };
    try {
      return await answered(() =>
        mine ? runOwn(() => mine.run(given, call, shown)) : gathered.call(name, given, call, onChange),
      );
    } finally {
      deps.limiter.settle(call.exchange);
    }
  });
  return server;
}

const instructions =
  'The services and models of one machine. What is asleep is woken by being used, which may take a while: ask for progress. ' +
  'Tools of other servers have the name of their service in front.';

/** What a caller may not use is not there for it. */
function unknownTool(name: string, tools: readonly Tool[]): ProtocolError {
  const near = didYouMean(
    name,
    tools.map((tool) => tool.name),
  );
  return new ProtocolError(ProtocolErrorCode.InvalidParams, `There is no tool ${name}.${near}`);
}

async function runOwn(run: () => Promise<unknown>): Promise<CallToolResult> {
  const result = await run();
  if (typeof result === 'string') return { content: [{ type: 'text', text: result }] };
  return {
    content: [{ type: 'text', text: JSON.stringify(result) }],
    structuredContent: result as Record<string, unknown>,
  };
}

/** A tool that fails has a result that says so, for the model that called it; the client's own leaving has none. */
async function answered(run: () => Promise<CallToolResult>): Promise<CallToolResult> {
  try {
    return await run();
  } catch (error) {
    const { code, message, retryAfter } = toFault(error);
    if (code === 'CANCELLED' || isAbort(error) || error instanceof ProtocolError) throw error;
    const facts = { 'sutaz/code': code, ...(retryAfter === undefined ? {} : { 'sutaz/retry-after': retryAfter }) };
    return { isError: true, content: [{ type: 'text', text: `${code}: ${message}` }], _meta: facts };
  }
}

function callOf(exchange: Exchange, { mcpReq }: ServerContext): ToolCall {
  const token = mcpReq._meta?.progressToken;
  const signal = AbortSignal.any([exchange.signal, mcpReq.signal]);
  let told = 0;
  return {
    // What limits let it take is its own: the request that brought it has an account of its own, too.
    exchange: { ...exchange, signal, admission: null },
    tell(progress) {
      if (token === undefined || signal.aborted) return;
      // It must grow with each word, whatever a wake's own percent does.
      const params = { progressToken: token, progress: ++told, message: textOf(progress) };
      mcpReq.notify({ method: 'notifications/progress', params }).catch(() => undefined);
    },
  };
}

const textOf = ({ phase, what, percent, position, estimateMs }: ApiProgress): string =>
  [
    phase,
    what,
    percent === undefined ? undefined : `${Math.round(percent)} %`,
    position === undefined ? undefined : `place ${position} in the queue`,
    estimateMs === undefined ? undefined : `about ${Math.ceil(estimateMs / 1000)} s left`,
  ]
    .filter((part) => part !== undefined)
    .join(', ');
