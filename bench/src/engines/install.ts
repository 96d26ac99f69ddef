import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** Peers live in a folder of their own, which git ignores, so that nobody has to install them. */
export const peersFolder = fileURLToPath(new URL('../../peers/', import.meta.url));
const versions: Record<string, string> = JSON.parse(readFileSync(`${peersFolder}package.json`, 'utf8')).dependencies;
export const requirePeer = createRequire(`${peersFolder}package.json`);

/** A peer that is not there. */
export class MissingPeer extends Error {}

/** @throws MissingPeer with how to install it. */
export function expectPeer(name: string): void {
  const file = `${peersFolder}node_modules/${name}/package.json`;
  const how = 'npm install --prefix bench/peers';
  if (!existsSync(file)) throw new MissingPeer(`${name} is not installed; to compare with it: ${how}`);
  const { version } = JSON.parse(readFileSync(file, 'utf8'));
  if (version !== versions[name]) {
    throw new MissingPeer(`${name} is ${version}, and ${versions[name]} is what this was written for: ${how}`);
  }
}

/** Versions of the peers that are installed. */
export function peerVersions(): Record<string, string> {
  const installed = Object.keys(versions).filter((name) =>
    existsSync(`${peersFolder}node_modules/${name}/package.json`),
  );
  return Object.fromEntries(installed.map((name) => [name, versions[name]]));
}

/** An ES module among the peers. */
export async function importPeer(name: string): Promise<unknown> {
  expectPeer(name);
  const { exports } = JSON.parse(readFileSync(`${peersFolder}node_modules/${name}/package.json`, 'utf8'));
  return import(pathToFileURL(`${peersFolder}node_modules/${name}/${exports['.'].import}`).href);
}
