import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { link, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

/** When a process started, so that another one with its number is not taken for it; empty where that cannot be told. */
function startOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** How file systems refuse hard links that have none. */
const linkless = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

/** How often a lock without words is looked at before it is taken for one whose process was killed. */
const EMPTY_ATTEMPTS = 5;

/** Whether the process that wrote a lock may still run. */
function isHeld(text: string): boolean {
  const [host, pid, start] = text.split('\n');
  if (host !== hostname()) return true;
  return isAlive(Number(pid)) && startOf(Number(pid)) === start;
}

/** Whether a process may be at work in a folder, by its lock. */
export async function isLocked(folder: string): Promise<boolean> {
  const text = await readFile(join(folder, '.lock'), 'utf8').catch(() => undefined);
  // One without words is just being written.
  return text !== undefined && (text === '' || isHeld(text));
}

/** Takes away what processes left that were killed while they asked for the lock. */
async function removeRemains(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const pid = /^\.lock\.(\d+)\./.exec(name)?.[1];
    if (pid === undefined) continue;
    const text = await readFile(join(folder, name), 'utf8').catch(() => '');
    // One that was killed before it wrote anything is told by its number alone.
    if (text === '' ? !isAlive(Number(pid)) : !isHeld(text)) await rm(join(folder, name), { force: true });
  }
}

/**
 * Makes a folder this process's to write in, until the returned function is called. A lock that a killed process left is
 * taken over.
 *
 * @param doing what a process does that holds it, for the error of the other one.
 * @throws Error when another process holds it.
 */
export async function lockFolder(folder: string, doing: string): Promise<() => Promise<void>> {
  const path = join(folder, '.lock');
  const own = join(folder, `.lock.${process.pid}.${randomBytes(4).toString('hex')}`);
  const text = `${hostname()}\n${process.pid}\n${startOf(process.pid)}\n`;
  await writeFile(own, text).catch((cause: NodeJS.ErrnoException) => {
    const isFull = cause.code === 'ENOSPC' || cause.code === 'EDQUOT';
    const reason = isFull ? 'its disk or quota is full' : 'may not be written to';
    throw new Error(
      `${folder}: ${reason} (${cause.code}); ${isFull ? 'free some space' : 'change its permissions'} or choose another folder`,
      { cause },
    );
  });
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        // A link appears with its content, or not at all; some file systems have none.
        await link(own, path).catch((error: NodeJS.ErrnoException) => {
          if (!linkless.has(error.code ?? '')) throw error;
          return writeFile(path, text, { flag: 'wx' });
        });
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const found = await readFile(path, 'utf8').catch(() => '');
      if (attempt >= 10 || (found !== '' && isHeld(found))) {
        const [host, pid] = found.split('\n');
        throw new Error(
          `${folder}: process ${pid} on ${host} is ${doing} here; wait for it, or remove ${path} if it is gone`,
        );
      }
      // Where there are no links a lock is empty until its process has written it.
      if (found === '' && attempt < EMPTY_ATTEMPTS) {
        await setTimeout(20);
        continue;
      }
      const stale = `${own}.stale`;
      await rename(path, stale).catch(() => {});
      const moved = await readFile(stale, 'utf8').catch(() => found);
      // Another process was faster: what was moved away is its lock, and goes back.
      if (moved !== found) {
        await link(stale, path)
          .catch(() => writeFile(path, moved, { flag: 'wx' }))
          .catch(() => {});
      }
      await rm(stale, { force: true });
    }
  } finally {
    await rm(own, { force: true });
  }
  await removeRemains(folder);
  return () => rm(path, { force: true });
}
