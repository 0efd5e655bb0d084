/**
 * The few files needed before the root file system: busybox, the modules of 9p and overlayfs in the order of their
 * dependencies, and `init`. It depends on the kernel alone, so there is one per kernel, which is kept.
 */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CACHE } from './kernel.mjs';

const INIT = fileURLToPath(new URL('init', import.meta.url));
const MODULES = ['virtio_pci', '9pnet_virtio', '9p', 'overlay'];

/** @returns the path of the initramfs */
export function initramfs({ version, modules }) {
  const path = join(CACHE, `initramfs-${version}`);
  if (existsSync(path) && statSync(path).mtimeMs > statSync(INIT).mtimeMs) return path;
  const work = mkdtempSync(join(CACHE, 'initramfs-'));
  try {
    const root = join(work, 'root');
    mkdirSync(join(root, 'modules'), { recursive: true });
    copyFileSync(busybox(), join(root, 'busybox'));
    copyFileSync(INIT, join(root, 'init'));
    const order = loadOrder(readFileSync(join(modules, 'modules.dep'), 'utf8'));
    for (const file of order) writeFileSync(join(root, 'modules', plainName(file)), plain(join(modules, file)));
    writeFileSync(join(root, 'order'), order.map((file) => `${plainName(file)}\n`).join(''));
    const archive = execFileSync('sh', ['-c', 'find . | cpio --quiet -o -H newc'], { cwd: root, maxBuffer: 2 ** 28 });
    writeFileSync(join(work, 'archive'), archive);
    renameSync(join(work, 'archive'), path);
    return path;
  } finally {
    rmSync(work, { recursive: true });
  }
}

/** The modules in modules.dep, each with those that it needs, in loading order. Built-in ones are not listed there. */
function loadOrder(dependencies) {
  const order = [];
  const lines = dependencies.split('\n').map((line) => line.split(':'));
  for (const name of MODULES) {
    const [file, needs = ''] = lines.find(([file]) => basename(file).split('.')[0] === name) ?? [];
    if (file !== undefined) order.push(...needs.split(' ').filter(Boolean).reverse(), file);
  }
  return [...new Set(order)];
}

/** busybox's insmod reads no compressed modules. */
function plain(file) {
  return file.endsWith('.xz') ? execFileSync('xz', ['-dc', file], { maxBuffer: 2 ** 28 }) : readFileSync(file);
}

function plainName(file) {
  return basename(file).replace(/\.xz$/, '');
}

function busybox() {
  const found = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path));
  if (found === undefined) throw new Error('busybox is missing (scripts/setup-test installs it)');
  return found;
}
