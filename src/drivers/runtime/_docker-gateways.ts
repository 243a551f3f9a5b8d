import { BlockList, connect, createServer, type Server, type Socket } from 'node:net';
import { pipeline } from 'node:stream';
import { Fault, systemCode } from '#kernel/faults';
import type { Logger } from '#kernel/logger';

/** Where this machine is within a network of containers, and who is in there with it. */
export interface NetworkPlace {
  readonly name: string;
  /** This machine's own address there. */
  readonly gateway: string;
  /** `172.18.0.0/16`. */
  readonly subnet: string;
}

/**
 * Ways from networks of containers to ports of this machine's loopback address, where the door and what services share
 * listen. A port is open while a container that was told of it lives, at the gateway of its network, for members of that.
 */
export interface Gateways {
  /**
   * Opens ports for an instance. Resolves with the address under which it finds them. Throws START_FAILED where somebody
   * else has one of them there; nothing is open for it then.
   */
  open(id: string, place: NetworkPlace, ports: readonly number[]): Promise<string>;
  /** It is gone, or was never there. What went through a port that nobody is told of any more is cut. */
  close(id: string): void;
  closeAll(): void;
}

/** What the engine itself has stand for this machine. */
const engineOwn = 'host-gateway';

export function createGateways(log: Logger, target = '127.0.0.1'): Gateways {
  const ways = new Map<string, Way>();
  const close = (id: string) => {
    for (const [key, way] of ways) {
      if (!way.users.delete(id) || way.users.size > 0) continue;
      ways.delete(key);
      way.close();
    }
  };
  return {
    close,
    async open(id, place, ports) {
      try {
        for (const port of ports) {
          const key = `${place.name} ${port}`;
          const way = ways.get(key) ?? createWay(place, port, { target, log });
          ways.set(key, way);
          way.users.add(id);
          await way.open;
        }
        return place.gateway;
      } catch (error) {
        close(id);
        // An engine within a virtual machine, or without root: its networks are not this machine's.
        if (systemCode(error) !== 'EADDRNOTAVAIL') throw error;
        log.warn('containers reach this machine by the way that their engine has', { network: place.name });
        return engineOwn;
      }
    },
    closeAll() {
      for (const way of ways.values()) way.close();
      ways.clear();
    },
  };
}

interface Way {
  /** The instances that were told of it. */
  readonly users: Set<string>;
  readonly open: Promise<void>;
  close(): void;
}

function createWay(
  { gateway, subnet }: NetworkPlace,
  port: number,
  { target, log }: { readonly target: string; readonly log: Logger },
): Way {
  const members = new BlockList();
  const [first = '', bits = '32'] = subnet.split('/');
  members.addSubnet(first, Number(bits));
  const sockets = new Set<Socket>();
  // One side may end its part and go on reading.
  const server = createServer({ allowHalfOpen: true }, (inside) => {
    // Who can route to the address may come from elsewhere: another network of the engine, the machine's own.
    if (!members.check(inside.remoteAddress ?? '')) return void inside.destroy();
    const outside = connect({ host: target, port, allowHalfOpen: true });
    for (const socket of [inside, outside]) {
      socket.setNoDelay(true);
      // A reset may come when all was said already, and nobody else listens for it any more.
      socket.on('error', () => undefined);
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    }
    join(inside, outside);
  });
  return {
    users: new Set(),
    open: listen(server, gateway, port).then(() => {
      // It has no more descriptors, say: that one connection is lost, and the platform goes on.
      server.on('error', (error) => log.warn('a container did not get through', { port, error: String(error) }));
    }),
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Each passes on what the other says, at the pace of who reads; an end goes on as an end, and a break breaks both. */
function join(one: Socket, other: Socket): void {
  const over = (error: NodeJS.ErrnoException | null | undefined) => {
    if (!error) return;
    one.destroy();
    other.destroy();
  };
  pipeline(one, other, over);
  pipeline(other, one, over);
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  try {
    // The platform that hands over listens there still when the next one begins.
    await listening(server, host, port, true);
  } catch (error) {
    if (systemCode(error) !== 'EADDRINUSE') throw error;
    if (await hasEveryAddress(port)) return;
    throw new Fault('START_FAILED', `${host}:${port}, by which containers reach this machine, is somebody else's.`, {
      cause: error,
    });
  }
}

/** Whether what listens on a port does so on all addresses of this machine: then containers reach it there without us. */
async function hasEveryAddress(port: number): Promise<boolean> {
  const probe = createServer();
  try {
    await listening(probe, '127.255.255.254', port, false);
    return false;
  } catch (error) {
    return systemCode(error) === 'EADDRINUSE';
  } finally {
    probe.close();
  }
}

const listening = (server: Server, host: string, port: number, reusePort: boolean): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, reusePort }, () => {
      server.off('error', reject);
      resolve();
    });
  });
