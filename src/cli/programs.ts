/** The programs of a build, which lie beside each other: scripts/build.mjs. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

export const EXECUTABLE = 'netloom';
/** What runtimes execute, and what that executes where no agent answers. Neither is there where the build had no C compiler. */
export const SHIM = 'netloom-shim';
export const CNI = 'netloom-cni';

/** Where the program with this name is, that of this build. */
export function built(name: string): string {
  return name === EXECUTABLE ? process.execPath : join(dirname(process.execPath), name);
}

/** The name of what plugin types are links to. */
export function linkTarget(): string {
  return existsSync(built(SHIM)) ? SHIM : EXECUTABLE;
}
