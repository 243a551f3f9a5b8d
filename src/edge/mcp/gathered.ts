import type { CallToolResult, Tool } from '@modelcontextprotocol/server';
import { Fault, toFault } from '#kernel/faults';
import type { UnitId } from '#kernel/ids';
import { isRecord } from '#kernel/json';
import type { Logger } from '#kernel/logger';
import { anyPlace } from '#routing/picker';
import { outcomeOf } from '../attempts.ts';
import { callerOf, serving } from '../forward.ts';
import type { ForwardDeps } from '../forward.ts';
import { whileWaking } from './call.ts';
import type { ToolCall } from './call.ts';
import { openPeer } from './peer.ts';
import type { OnProgress, Peer } from './peer.ts';

/** A service of the catalogue that provides `mcp`: a server with the streamable HTTP transport at `/mcp`. */
export interface McpService {
  readonly service: string;
  readonly title: string;
  readonly unit: UnitId;
}

export interface GatheredDeps extends ForwardDeps {
  readonly log: Logger;
  readonly version: string;
  readonly mcpServices: () => readonly McpService[];
}

/** The tools of other servers, each under the name of its service: `files__read_file`. */
export interface Gathered {
  /** Of the services that `may` lets through, without waking any: one never asked has `files__connect` in place of its tools. */
  list(may: (service: string) => boolean): readonly Tool[];
  /** The service that a tool's name begins with; null for a name that is none of these. */
  serviceOf(tool: string): McpService | null;
  /** Wakes the service and calls its tool. `onChange` says that it has other tools than those that were listed. */
  call(
    tool: string,
    given: Readonly<Record<string, unknown>>,
    call: ToolCall,
    onChange: () => void,
  ): Promise<CallToolResult>;
}

const separator = '__';
const connect = 'connect';
/** What one server may make the platform remember, and hand on to every client. */
const mostTools = 200;
const mostBytes = 1 << 20;
const longestName = 128;
/** Milliseconds for which what a server listed is taken for what it has, as long as nothing speaks against it. */
const freshMs = 60_000;

interface Known {
  readonly tools: readonly Tool[];
  /** The instance that listed them. */
  readonly origin: string;
  readonly at: number;
}

export function createGathered(deps: GatheredDeps): Gathered {
  const known = new Map<string, Known>();

  /** One connection a call: a server that sleeps meanwhile has lost nothing, and no connection keeps it awake. */
  const withServer = async <T>(
    { unit }: McpService,
    call: ToolCall,
    use: (peer: Peer, origin: string) => Promise<T>,
  ): Promise<T> => {
    const { signal } = call.exchange;
    const awake = await whileWaking(unit, call, deps, async () =>
      deps.waker.wake(unit, { ...callerOf(call.exchange), signal, choice: anyPlace }),
    );
    const { target, placed } = awake;
    return serving(awake, async () => {
      try {
        const result = await asking(await openPeer({ ...deps, target, signal }), (peer) => use(peer, target.origin));
        placed.settle('ok');
        return result;
      } catch (error) {
        // A tool that refuses what it is given has answered.
        placed.settle(outcomeOf(error, true), toFault(error).message);
        throw error;
      }
    });
  };
  /** Returns whether it has other tools than those that were listed. */
  const learn = async (service: string, peer: Peer, origin: string): Promise<boolean> => {
    const tools = bounded(service, await peer.listTools(), deps.log);
    const changed = JSON.stringify(known.get(service)?.tools) !== JSON.stringify(tools);
    known.set(service, { tools, origin, at: deps.clock.now() });
    return changed;
  };
  const isFresh = (service: string, origin: string, tool: string): boolean => {
    const facts = known.get(service);
    const listed = facts?.tools.some(({ name }) => name === tool) === true;
    return listed && facts.origin === origin && deps.clock.now() < facts.at + freshMs;
  };
  const serviceOf = (tool: string): McpService | null =>
    deps.mcpServices().find(({ service }) => tool.startsWith(service + separator)) ?? null;
  return {
    list: (may) =>
      deps
        .mcpServices()
        .filter(({ service }) => may(service))
        .flatMap((one) => known.get(one.service)?.tools ?? [connectTool(one)]),
    serviceOf,
    async call(tool, given, call, onChange) {
      const found = serviceOf(tool);
      if (!found) throw new Fault('NOT_FOUND', `There is no tool ${tool}.`);
      const { service } = found;
      // Before it is woken: who may ask no more of it wakes nothing.
      deps.limiter.admitCall(call.exchange, service);
      return withServer(found, call, async (peer, origin) => {
        if (!isFresh(service, origin, tool) && (await learn(service, peer, origin))) onChange();
        const tools = known.get(service)?.tools ?? [];
        const own = tool.slice(service.length + separator.length);
        if (own === connect && !tools.some(({ name }) => name === tool)) return connected(found, tools);
        const result = await peer.callTool(own, given, (progress) => call.tell(progressOf(progress)));
        if (peer.changed() && (await learn(service, peer, origin))) onChange();
        return result;
      });
    },
  };
}

async function asking<T>(peer: Peer, use: (peer: Peer) => Promise<T>): Promise<T> {
  try {
    return await use(peer);
  } finally {
    await peer.close();
  }
}

const progressOf = ({ progress, total, message }: Parameters<OnProgress>[0]) => ({
  phase: 'working',
  ...(message === undefined ? {} : { what: message }),
  ...(total === undefined || total <= 0 ? {} : { percent: Math.min(100, (progress / total) * 100) }),
});

/** Clients refuse a list as a whole where one of its tools is none: what one server lists must not hide all the others. */
const isTool = (value: unknown): value is Tool =>
  isRecord(value) &&
  typeof value.name === 'string' &&
  value.name !== '' &&
  isRecord(value.inputSchema) &&
  value.inputSchema.type === 'object';

function bounded(service: string, tools: readonly Tool[], log: Logger): readonly Tool[] {
  const kept: Tool[] = [];
  let bytes = 0;
  for (const tool of tools.filter(isTool)) {
    const name = `${service}${separator}${tool.name}`;
    bytes += JSON.stringify(tool).length;
    if (name.length > longestName) continue;
    if (kept.length === mostTools || bytes > mostBytes) break;
    kept.push({ ...tool, name });
  }
  const left = tools.length - kept.length;
  if (left > 0) log.warn('not all tools of an MCP server are offered', { service, left });
  return kept;
}

const connectTool = ({ service, title }: McpService): Tool => ({
  name: `${service}${separator}${connect}`,
  description: `Wakes ${title} and lists its tools, which are there from then on.`,
  inputSchema: { type: 'object', properties: {}, additionalProperties: false },
});

const connected = ({ title }: McpService, tools: readonly Tool[]): CallToolResult => ({
  content: [
    {
      type: 'text',
      text: `${title} has these tools now:\n${tools.map(({ name, description = '' }) => `${name}: ${description}`).join('\n')}`,
    },
  ],
});
