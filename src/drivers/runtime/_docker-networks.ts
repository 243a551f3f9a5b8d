import type Dockerode from 'dockerode';
import { Fault } from '#kernel/faults';
import type { NetworkPlace } from './_docker-gateways.ts';
import { labels } from './_docker-container.ts';
import { statusOf, wordsOf } from './_docker-engine.ts';

/**
 * The networks of one platform: one for each group of services that may reach one another, and one whose members reach
 * nobody of it. A network is made for the first container in it and goes with the last.
 */
export interface Networks {
  /** Makes it where it is missing. It stays until as many `release`s have come. */
  acquire(group: string | undefined): Promise<string>;
  /** Counts a container that an earlier platform put there. */
  hold(name: string): void;
  release(name: string): Promise<void>;
  /** Removes those that could not be when their last container went. */
  tidy(): Promise<void>;
  /** Where this machine is in it. */
  place(name: string): Promise<NetworkPlace>;
}

export function createNetworks(docker: Dockerode, owner: string): Networks {
  const users = new Map<string, number>();
  const left = new Set<string>();
  /** One at a time: a network must not go between its being found and its first container. */
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = turn.then(work);
    turn = mine.catch(() => undefined);
    return mine;
  };
  // One with a container of an earlier platform in it stays, and goes with that.
  const drop = (name: string) =>
    docker
      .getNetwork(name)
      .remove()
      .catch((error: unknown) => {
        if (![403, 404].includes(statusOf(error) ?? 0)) throw error;
      });
  const count = (name: string, by: number) => users.set(name, (users.get(name) ?? 0) + by);
  return {
    acquire: (group) =>
      inTurn(async () => {
        const name = networkName(owner, group);
        await make(docker, name, owner, group !== undefined);
        count(name, 1);
        return name;
      }),
    hold: (name) => void count(name, 1),
    release: (name) =>
      inTurn(async () => {
        count(name, -1);
        if ((users.get(name) ?? 0) > 0) return;
        users.delete(name);
        left.add(name);
        await drop(name);
        left.delete(name);
      }),
    tidy: () =>
      inTurn(async () => {
        for (const name of left) {
          if ((users.get(name) ?? 0) === 0) await drop(name);
          left.delete(name);
        }
      }),
    async place(name) {
      const { IPAM } = (await docker.getNetwork(name).inspect()) as Dockerode.NetworkInspectInfo;
      const at = IPAM?.Config?.find(({ Gateway, Subnet }) => Gateway?.includes('.') && Subnet?.includes('.'));
      if (!at?.Gateway || !at.Subnet) throw new Fault('START_FAILED', `The network ${name} has no address of its own.`);
      // Some engines write it as it stands in the network: 172.18.0.1/16.
      return { name, gateway: at.Gateway.replace(/\/.*$/, ''), subnet: at.Subnet };
    },
  };
}

/** A group is written as its definition has it; the network of those without one cannot be mistaken for a group's. */
export const networkName = (owner: string, group: string | undefined): string =>
  group === undefined ? `sutaz-${owner}` : `sutaz-${owner}-${group}`;

async function make(docker: Dockerode, name: string, owner: string, together: boolean): Promise<void> {
  const found = await docker.listNetworks({ filters: { name: [name] } });
  // The filter finds parts of names, too.
  if (found.some((one) => one.Name === name)) return;
  try {
    await docker.createNetwork({
      ...{ Name: name, CheckDuplicate: true, Driver: 'bridge', Labels: { [labels.owner]: owner } },
      Options: { 'com.docker.network.bridge.enable_icc': String(together) },
    });
  } catch (error) {
    throw new Fault('START_FAILED', `The network ${name} could not be made: ${wordsOf(error)}.`, { cause: error });
  }
}
