import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Where the system's own programs are. Not PATH: what runs as root is not looked for where others may write. */
const folders = ['/usr/bin', '/bin', '/usr/sbin', '/sbin'];

/** The path of a program that comes with the system; null without it. */
export const systemTool = (name: string): string | null =>
  folders.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? null;
