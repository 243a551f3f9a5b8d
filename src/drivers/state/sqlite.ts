import { chmodSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Json } from '#contracts/driver';
import { defineDriver } from '#contracts/driver';
import type { StateStore, StateTable } from '#contracts/state';
import { openDatabase } from '#kernel/database';
import { placeFault } from '#kernel/place-fault';

/**
 * One SQLite file, one row a value. WAL with synchronous=FULL, so that what was put survives a power cut; the writes are
 * few (an instance starts, a key is made), so that a commit's fsync is not on any hot path.
 */
export const sqliteState = defineDriver({
  id: 'state.sqlite',
  async open({ path }: { readonly path: string }): Promise<StateStore> {
    const db = openDatabase(path);
    try {
      // It holds hashes of keys and the tokens of instances.
      chmodSync(path, 0o600);
      db.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=5000');
      db.exec(
        'CREATE TABLE IF NOT EXISTS state (tab TEXT, key TEXT, value TEXT NOT NULL, PRIMARY KEY (tab, key)) WITHOUT ROWID',
      );
    } catch (error) {
      db.close();
      throw placeFault(dirname(path), error, path);
    }
    const get = db.prepare('SELECT value FROM state WHERE tab = ? AND key = ?');
    const put = db.prepare('INSERT OR REPLACE INTO state (tab, key, value) VALUES (?, ?, ?)');
    const remove = db.prepare('DELETE FROM state WHERE tab = ? AND key = ?');
    const list = db.prepare('SELECT key, value FROM state WHERE tab = ? ORDER BY key');
    let open = true;
    return {
      table<T extends Json>(tab: string): StateTable<T> {
        const parse = (row: Record<string, unknown>) => JSON.parse(row.value as string) as T;
        return {
          get: (key) => {
            const row = get.get(tab, key);
            return row ? parse(row) : null;
          },
          put: (key, value) => void put.run(tab, key, JSON.stringify(value)),
          delete: (key) => void remove.run(tab, key),
          list: () => list.all(tab).map((row) => ({ key: row.key as string, value: parse(row) })),
        };
      },
      async close() {
        if (open) db.close();
        open = false;
      },
    };
  },
});
