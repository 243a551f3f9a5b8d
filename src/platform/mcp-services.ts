import type { CatalogSource } from '#catalog/source';
import type { McpService } from '#edge/mcp/gathered';
import { unitId } from '#kernel/ids';

/** The capability of a service that is an MCP server with the streamable HTTP transport at `/mcp`. */
const capability = 'mcp';

/** The catalogue's MCP servers, as it is when they are asked for. */
export const mcpServicesOf = (catalog: Pick<CatalogSource, 'current'>) => (): readonly McpService[] =>
  [...catalog.current().services.values()]
    .filter(({ definition }) => definition.provides.includes(capability))
    .map(({ definition: { id, name } }) => ({ service: id, title: name, unit: unitId('service', id) }));
