import { stat } from 'node:fs/promises';
import type Dockerode from 'dockerode';
import type { ContainerSpec } from '#contracts/runtime';
import { giveTo } from '#kernel/ownership';
import { isGone } from './_docker-engine.ts';

/**
 * Gives the folders that a container writes to whoever it runs as, who may be nobody here. Only root can give anything away;
 * a container's root needs none of it.
 */
export async function giveMounts(
  { mounts, user: asked }: ContainerSpec,
  imageUser: string,
  container: Dockerode.Container,
): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const user = await numbersOf(asked ?? imageUser, (path) => fileIn(container, path));
  if (user === null || user.uid === 0) return;
  for (const { source, readOnly } of mounts) {
    if (!readOnly && (await stat(source)).uid !== user.uid) await giveTo(source, user.uid, user.gid);
  }
}

/**
 * The numbers of `1000`, `1000:1000` or `node`, as the image's own list of users has them; root where there is no name.
 * Null for one that is not in there, which the engine tells of.
 */
export async function numbersOf(
  user: string,
  read: (path: string) => Promise<string>,
): Promise<{ readonly uid: number; readonly gid: number } | null> {
  const [name = '', group = ''] = user.split(':');
  if (name === '') return { uid: 0, gid: 0 };
  const isNumber = (text: string) => /^\d+$/.test(text);
  const known = isNumber(name) ? [] : (lineOf(name, await read('/etc/passwd')) ?? null);
  if (known === null) return null;
  const [, , uid = name, ownGid] = known;
  const gid = group === '' || isNumber(group) ? group : lineOf(group, await read('/etc/group'))?.[2];
  return { uid: Number(uid), gid: Number(gid || (ownGid ?? uid)) };
}

const lineOf = (name: string, text: string): readonly string[] | undefined =>
  text
    .split('\n')
    .map((line) => line.split(':'))
    .find(([first]) => first === name);

/** The text of a small file, which the engine gives as a tape archive of it alone; empty where there is none. */
async function fileIn(container: Dockerode.Container, path: string): Promise<string> {
  try {
    const pieces: Buffer[] = [];
    for await (const piece of await container.getArchive({ path })) pieces.push(piece as Buffer);
    const archive = Buffer.concat(pieces);
    return archive.subarray(tarHead, tarHead + Number.parseInt(archive.toString('latin1', 124, 136), 8)).toString();
  } catch (error) {
    if (isGone(error)) return '';
    throw error;
  }
}

/** Bytes of a head of an archive; the size of what follows is in it, in octal. */
const tarHead = 512;
