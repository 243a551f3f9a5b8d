import type { Server } from 'node:net';
import type { Link } from './link.ts';

/** Both ends of a line within one process. What is sent arrives in a later turn, as JSON would. */
export function fakeLinks(): readonly [Link, Link] {
  const open = { is: true };
  const closers = new Set<() => void>();
  const close = () => {
    if (!open.is) return;
    open.is = false;
    for (const closed of [...closers]) closed();
  };
  const takers = [new Set<Taker>(), new Set<Taker>()] as const;
  const end = (mine: Set<Taker>, theirs: Set<Taker>): Link => ({
    send(message, listener) {
      if (!open.is) return;
      const sent: unknown = JSON.parse(JSON.stringify(message));
      queueMicrotask(() => {
        for (const take of [...theirs]) take(sent, listener ?? null);
      });
    },
    onMessage(take) {
      mine.add(take);
      return () => void mine.delete(take);
    },
    onClose(closed) {
      if (open.is) closers.add(closed);
      else closed();
      return () => void closers.delete(closed);
    },
    close,
  });
  return [end(...takers), end(takers[1], takers[0])];
}

type Taker = (message: unknown, listener: Server | null) => void;
