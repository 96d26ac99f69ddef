/** The programs that make proxies: Debian's mma and fluidsynth. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { type Font, findFonts, fontsBySplit } from './fonts.ts';

const execute = promisify(execFile);

/** What runs, and what it said of its version. */
export interface Tools {
  readonly versions: { readonly mma?: string; readonly fluidsynth: string };
  readonly fonts: readonly Font[];
  /** mma's folder of style files. */
  readonly styles?: string;
}

/** Something that makes proxies is not installed: the message has the line that installs it. */
export class MissingProgram extends Error {
  constructor(what: readonly string[], packages: readonly string[]) {
    super(
      `${what.join(' and ')} ${what.length > 1 ? 'are' : 'is'} not there; on Debian and Ubuntu:\n` +
        `  apt-get install --no-install-recommends ${packages.join(' ')}`,
    );
    this.name = 'MissingProgram';
  }
}

/** Milliseconds after which a program that runs is ended: a batch takes seconds. */
const LIMIT = 10 * 60 * 1000;

/** Runs a program. @throws Error with the end of what it said when it fails. */
export async function runProgram(name: string, args: readonly string[], cwd?: string): Promise<string> {
  try {
    const { stdout } = await execute(name, args, { cwd, maxBuffer: 2 ** 26, timeout: LIMIT });
    return stdout;
  } catch (cause) {
    const { stdout = '', stderr = '', message } = cause as Error & { stdout?: string; stderr?: string };
    const said = `${stdout}\n${stderr}`.trim().split('\n').slice(-4).join('\n  ');
    throw new Error(`${name} failed: ${said || message}`, { cause });
  }
}

async function versionOf(name: string, option: string): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await execute(name, [option]);
    return /\d+(\.\d+)+/.exec(`${stdout}${stderr}`)?.[0] ?? 'unknown';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

const styleFolders = ['/usr/share/mma/lib/stdlib', '/usr/local/share/mma/lib/stdlib'];

/**
 * Looks for the programs and fonts that a proxy needs.
 *
 * @param needs whether songs are made, which needs mma
 * @throws MissingProgram that says what to install.
 */
export async function findTools(needs: {
  songs: boolean;
  fonts?: readonly string[];
  lineages?: readonly string[];
}): Promise<Tools> {
  const missing: string[] = [];
  const packages: string[] = [];
  const want = (there: boolean, what: string, name: string) => {
    if (there) return;
    missing.push(what);
    packages.push(name);
  };
  const fluidsynth = await versionOf('fluidsynth', '--version');
  want(fluidsynth !== undefined, 'fluidsynth', 'fluidsynth');
  const mma = needs.songs ? await versionOf('mma', '-v') : undefined;
  const styles = needs.songs ? styleFolders.find((folder) => existsSync(folder)) : undefined;
  if (needs.songs) want(mma !== undefined && styles !== undefined, 'mma with its style files', 'mma');
  const fonts = findFonts(needs.fonts).filter(({ lineage }) => needs.lineages?.includes(lineage) ?? true);
  const { train, test } = fontsBySplit(fonts);
  want(train.length > 0, 'a sound font to train on (FluidR3’s lineage)', 'fluidr3mono-gm-soundfont');
  want(test.length > 0, 'a sound font of another lineage to test on', 'timgm6mb-soundfont');
  if (missing.length > 0) throw new MissingProgram(missing, packages);
  return { versions: { ...(mma && { mma }), fluidsynth: fluidsynth as string }, fonts, ...(styles && { styles }) };
}
