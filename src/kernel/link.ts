import type { Server } from 'node:net';

/** A two-way line to another process of ours. What goes over it is JSON, and perhaps a listener. */
export interface Link {
  /** A line that is closed takes nothing, and says nothing. */
  send(message: object, listener?: Server): void;
  /** `listener` is one that the other side sent along; it takes connections from now on. */
  onMessage(take: (message: unknown, listener: Server | null) => void): () => void;
  /** Called at once where it is closed already. */
  onClose(closed: () => void): () => void;
  close(): void;
}

/** What both `process` and a `ChildProcess` are, where they have a line. */
export interface IpcProcess {
  readonly connected?: boolean;
  send?(message: object, handle: Server | undefined, sent: (error: Error | null) => void): boolean;
  disconnect?(): void;
  on(event: 'message', take: (message: unknown, handle: unknown) => void): unknown;
  on(event: 'disconnect', closed: () => void): unknown;
  off(event: 'message', take: (message: unknown, handle: unknown) => void): unknown;
  off(event: 'disconnect', closed: () => void): unknown;
}

/** The line that Node keeps to a child that was spawned with `ipc`, and such a child to its parent. */
export function ipcLink(other: IpcProcess): Link {
  const isOpen = () => other.connected === true;
  return {
    send(message, listener) {
      // That it closed meanwhile is told by `disconnect`.
      if (isOpen()) other.send?.(message, listener, () => undefined);
    },
    onMessage(take) {
      const onMessage = (message: unknown, handle: unknown) => take(message, (handle as Server | undefined) ?? null);
      other.on('message', onMessage);
      return () => void other.off('message', onMessage);
    },
    onClose(closed) {
      if (!isOpen()) {
        closed();
        return () => undefined;
      }
      other.on('disconnect', closed);
      return () => void other.off('disconnect', closed);
    },
    close() {
      if (isOpen()) other.disconnect?.();
    },
  };
}
