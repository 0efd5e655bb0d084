/**
 * `netloom install` and `uninstall`: the executable and links to it in a runtime's plugin directory, and initial
 * conflists.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { buildCommand, type CommandContext } from '@stricli/core';
import { NetloomError } from '../error.ts';
import { plugins } from '../plugins/registry.ts';
import { loadConflist } from '../runtime/conf-directory.ts';
import { built, CNI, EXECUTABLE, linkTarget, SHIM } from './programs.ts';

/** The suffix of files that install moves aside, and uninstall moves back. */
const BEFORE = '.before-netloom';

interface Flags {
  readonly bin: string;
  readonly conf?: string;
}

const places = {
  bin: {
    kind: 'parsed',
    parse: String,
    default: '/opt/cni/bin',
    placeholder: 'DIRECTORY',
    brief: 'Directory of the CNI plugins',
  },
  conf: {
    kind: 'parsed',
    parse: String,
    optional: true,
    placeholder: 'DIRECTORY',
    brief: 'Directory of the conflists, usually /etc/cni/net.d; default: leave conflists alone',
  },
} as const;

export const installCommand = buildCommand({
  docs: {
    brief: 'Install the CNI plugins',
    fullDescription: `Copies netloom to the plugin directory, with netloom-shim and netloom-cni if the
build has them, and makes a link for every plugin type. A plugin that is already
there is kept as NAME.before-netloom; "netloom uninstall" puts it back.

With --conf it also installs conflists: those that come with netloom, except
where a file of that name exists. With --conflist it installs that file instead,
in place of a file of that name.

Examples:
  netloom install
  netloom install --bin /opt/cni/bin --conf /etc/cni/net.d
  netloom install --conf /etc/cni/net.d --conflist pods.conflist`,
  },
  parameters: {
    flags: {
      ...places,
      conflist: {
        kind: 'parsed',
        parse: String,
        optional: true,
        placeholder: 'FILE',
        brief: 'Install this conflist only; needs --conf',
      },
    },
  },
  func(this: CommandContext, { bin, conf, conflist }: Flags & { readonly conflist?: string }) {
    // Before anything is changed: with an invalid conflist a runtime would have no network at all.
    const checked = conflist === undefined ? undefined : checkedConflist(conflist, conf);
    const target = linkTarget();
    mkdirSync(bin, { recursive: true });
    // A program that another one executes is installed before it.
    const programs = target === SHIM ? [EXECUTABLE, CNI, SHIM] : [EXECUTABLE];
    for (const program of programs) copyProgram(built(program), join(bin, program));
    for (const type of plugins.keys()) {
      const link = join(bin, type);
      if (exists(link) && !isOurs(link)) renameSync(link, link + BEFORE);
      place(link, (beside) => symlinkSync(target, beside));
    }
    this.process.stdout.write(`installed ${plugins.size} plugins in ${bin}\n`);
    if (conf === undefined) return;
    mkdirSync(conf, { recursive: true });
    for (const file of checked === undefined ? conflists() : [checked]) {
      const name = basename(file);
      if (checked === undefined && existsSync(join(conf, name))) {
        this.process.stdout.write(`kept ${join(conf, name)}, which exists already\n`);
        continue;
      }
      place(join(conf, name), (beside) => copyFileSync(file, beside));
      this.process.stdout.write(`installed ${join(conf, name)}\n`);
    }
  },
});

export const uninstallCommand = buildCommand({
  docs: {
    brief: 'Uninstall the CNI plugins',
    fullDescription: `Removes netloom and its links from the plugin directory, and puts back the
plugins that "netloom install" set aside. With --conf it also removes the
conflists that come with netloom, except those that were changed.

Example: netloom uninstall --bin /opt/cni/bin --conf /etc/cni/net.d`,
  },
  parameters: { flags: places },
  func(this: CommandContext, { bin, conf }: Flags) {
    let removed = 0;
    for (const type of plugins.keys()) {
      const link = join(bin, type);
      if (exists(link) && isOurs(link)) {
        rmSync(link);
        removed++;
      }
      if (existsSync(link + BEFORE) && !exists(link)) renameSync(link + BEFORE, link);
    }
    for (const program of [EXECUTABLE, SHIM, CNI]) rmSync(join(bin, program), { force: true });
    this.process.stdout.write(
      removed > 0 ? `removed ${removed} plugins from ${bin}\n` : `none of the plugins in ${bin} is netloom's\n`,
    );
    for (const file of conf === undefined ? [] : conflists()) {
      const installed = join(conf ?? '', basename(file));
      if (existsSync(installed) && digest(installed) === digest(file)) rmSync(installed);
    }
  },
});

/** @throws NetloomError as loadConflist(), and no-directory where the target directory is missing */
function checkedConflist(file: string, conf: string | undefined): string {
  if (conf === undefined) {
    throw new NetloomError('no-directory', `Cannot install "${file}": --conf DIRECTORY is missing`);
  }
  loadConflist(file);
  return file;
}

function copyProgram(from: string, to: string): void {
  place(to, (beside) => {
    copyFileSync(from, beside);
    chmodSync(beside, 0o755);
    // Otherwise a power loss could leave an empty program under the right name.
    const file = openSync(beside, 'r');
    fsyncSync(file);
    closeSync(file);
  });
}

/**
 * Makes a file beside its place and renames it, so that a runtime that executes it meanwhile gets either the old or the
 * new one.
 */
function place(path: string, make: (beside: string) => void): void {
  const beside = `${path}.${process.pid}.tmp`;
  rmSync(beside, { force: true });
  try {
    make(beside);
    renameSync(beside, path);
  } finally {
    rmSync(beside, { force: true });
  }
}

/** Whether something is at a path, even a dangling link. */
function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function isOurs(path: string): boolean {
  return lstatSync(path).isSymbolicLink() && [EXECUTABLE, SHIM].includes(readlinkSync(path));
}

function digest(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

/** The conflists that come with netloom: beside the executable, or in the project where that was built. */
function conflists(): string[] {
  const here = dirname(process.execPath);
  const directory = [join(here, 'cni-conf'), join(here, '../cni-conf')].find((path) => existsSync(path));
  if (directory === undefined) return [];
  return readdirSync(directory)
    .filter((name) => name.endsWith('.conflist'))
    .map((name) => join(directory, name));
}
