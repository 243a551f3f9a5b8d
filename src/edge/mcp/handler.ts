import { Fault } from '#kernel/faults';
import { nameHost } from '#security/hosts';
import type { Identity } from '../auth.ts';
import { header } from '../exchange.ts';
import type { Exchange } from '../exchange.ts';
import type { GatheredDeps } from './gathered.ts';
import type { ToolDeps } from './tools.ts';

export interface McpDeps extends ToolDeps, GatheredDeps {
  readonly identity: Pick<Identity, 'hosts'>;
  readonly limits: () => { readonly body: number };
}

export interface McpServing {
  serve(exchange: Exchange): Promise<void>;
  /** Ends what only waits for changes, so that the door can drain. */
  endSubscriptions(): void;
  /** Ends what runs, too. */
  close(): Promise<void>;
}

/** `/mcp`. What speaks the protocol is loaded by the first who asks: it takes several megabytes. */
export function createMcp(deps: McpDeps): McpServing {
  let serving: McpServing | undefined;
  return {
    async serve(exchange) {
      demandOwnOrigin(exchange, deps.identity.hosts());
      const { createServing } = await import('./serve.ts');
      serving ??= createServing(deps);
      await serving.serve(exchange);
    },
    endSubscriptions: () => serving?.endSubscriptions(),
    close: async () => serving?.close(),
  };
}

/** A page elsewhere may not use what runs here, whatever key it was given: the protocol asks for this. */
function demandOwnOrigin({ req }: Exchange, hosts: readonly string[]): void {
  const origin = header(req, 'origin');
  if (origin === undefined || nameHost(hostOf(origin), hosts).kind === 'door') return;
  throw new Fault('FORBIDDEN', `Pages of ${origin} may not use this.`);
}

function hostOf(origin: string): string | undefined {
  try {
    return new URL(origin).host;
  } catch {
    return undefined;
  }
}
