import { access, constants, stat } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';

/** Whether a program can be run by its name alone. Entries of the path that are relative are left out: they depend on who asks. */
export async function isOnPath(program: string, path = ''): Promise<boolean> {
  const folders = path.split(delimiter).filter(isAbsolute);
  const found = await Promise.all(folders.map((folder) => canRun(join(folder, program))));
  return found.includes(true);
}

const canRun = async (file: string): Promise<boolean> =>
  access(file, constants.X_OK)
    .then(async () => (await stat(file)).isFile())
    .catch(() => false);
