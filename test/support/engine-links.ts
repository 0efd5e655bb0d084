/**
 * Plugins on a given engine: netloom-cni is QuickJS, netloom is Bun. The shim that dist/bin links to uses the first.
 */
import { mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BIN } from './lab.ts';

export type Engine = 'netloom-cni' | 'netloom';

/** Makes a directory of plugins that are all links to one program. @returns its path */
export function linksTo(root: string, engine: Engine): string {
  const path = join(root, engine);
  mkdirSync(path, { recursive: true });
  for (const type of readdirSync(BIN)) symlinkSync(join(dirname(BIN), engine), join(path, type));
  return path;
}
