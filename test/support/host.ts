/**
 * A private network namespace that plays the host for a whole test file. AVA gives each file a process of its own and
 * runs it on the main thread, so moving that thread moves the programs that the tests start, and nothing else.
 */
import { type ExecFileSyncOptionsWithStringEncoding, execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { adapter } from '#ffi';
import { pinAtPath } from '../../src/netns/mounts.ts';
import { pinNew, unpin } from '../../src/netns/pin.ts';
import { inOrder } from './in-order.ts';

/** What a program writes to stderr goes into the error that is thrown, and so does not disturb the tests' report. */
const QUIETLY: ExecFileSyncOptionsWithStringEncoding = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] };
const CLONE_NEWNET = 0x40000000;
const CLONE_NEWNS = 0x00020000;
const MS_REC_PRIVATE = 0x4000 | 0x40000;

const lib = adapter.load({
  unshare: { args: ['i32'], returns: 'i32' },
  mount: { args: ['ptr', 'ptr', 'ptr', 'size', 'ptr'], returns: 'i32' },
});

/** Leaves the machine's network namespace for a new one, with mounts of its own, for the rest of the process's life. */
export function becomeHost(): void {
  if (lib.unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) throw new Error('Cannot unshare: these tests run as root');
  const root = new TextEncoder().encode('/\0');
  if (lib.mount(null, root, null, MS_REC_PRIVATE, null) < 0) throw new Error('Cannot make the mounts private');
  // `ip` and other programs read from /sys what netlink does not report.
  execFileSync('mount', ['-t', 'sysfs', 'sysfs', '/sys']);
  execFileSync('ip', ['link', 'set', 'lo', 'up']);
}

/** A directory for one test file; the programs under test keep their files below it. */
export function makeRoot(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'netloom-test-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** A container's namespace, pinned. */
export class Sandbox implements Disposable {
  readonly name: string;
  readonly path: string;

  constructor(root: string, name: string) {
    this.name = name;
    this.path = join(root, 'netns', name);
    pinNew(this.path);
  }

  /** Runs a program inside. @returns what it printed */
  run(program: string, ...args: string[]): string {
    return execFileSync('nsenter', [`--net=${this.path}`, program, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  /** Runs `ip -j -d …` inside. @returns what it printed, parsed */
  ip<T = Record<string, unknown>>(...args: string[]): T[] {
    return JSON.parse(this.run('ip', '-j', '-d', ...args) || '[]') as T[];
  }

  /**
   * Whether the address answers one of three echo requests.
   * @param seconds how long to wait for an answer: a short time if none is expected
   */
  reaches(address: string, seconds = 10): boolean {
    try {
      this.run('ping', '-c', '3', '-i', '0.2', '-W', `${seconds}`, '-q', address);
      return true;
    } catch {
      return false;
    }
  }

  [Symbol.dispose](): void {
    // If the container shares another's network, a second pin covers its own.
    if (existsSync(this.path) && pinAtPath(this.path)?.covers) execFileSync('umount', [this.path]);
    unpin(this.path);
  }
}

/** Runs `ip -j -d …` on the host. @returns what it printed, parsed */
export function ip<T = Record<string, unknown>>(...args: string[]): T[] {
  return JSON.parse(execFileSync('ip', ['-j', '-d', ...args], QUIETLY) || '[]') as T[];
}

/** Separates what two programs print. */
const MARK = '= and =\n';
/** The commands of a snapshot, all in one shell, because Node takes longer to start a program. */
const LISTING = [
  '-ec',
  ['ip -d -o link', 'ip -o addr', 'ip route show table all', 'tc qdisc show', 'nft list ruleset'].join(
    `; echo '${MARK.trim()}'; `,
  ),
];

/**
 * Everything that an attachment could leave behind: links, addresses, routes, queueing disciplines, the nft ruleset,
 * and the files below a directory. It leaves out counters, timers, and what the kernel does by itself as carriers come
 * and go: link states, link-local addresses, and their routes.
 */
export function snapshot(root: string): string {
  const ownDoing = /^.*\b(fe80::|ff00::\/8).*\n| linkdown|valid_lft \S+ preferred_lft \S+/gm;
  // The kernel adds these routes for an IPv6 address from a work queue, once the link is ready.
  const following = /^(local|anycast) [0-9a-f:]*:\S* .*\n/gm;
  const [links = '', addresses = '', routes = '', disciplines = '', rules = ''] = execFileSync(
    'sh',
    LISTING,
    QUIETLY,
  ).split(MARK);
  return [
    links.replace(
      /qlen \d+|promiscuity \d+|\w+_timer +[\d.]+|topology_change\w* \d|[gt]s?r?o_\w+ \d+|NO-CARRIER,|,LOWER_UP|state [A-Z]+/g,
      '',
    ),
    addresses.replace(ownDoing, ''),
    routes.replace(ownDoing, '').replace(following, ''), // of both families
    // Without those that the kernel adds to each link by itself, which have the handle 0.
    disciplines.replace(/^qdisc \w+ 0: .*\n|refcnt \d+ |direct_packets_stat \d+ /gm, ''),
    inOrder(rules),
    ...files(root),
  ].join('\n');
}

/** The mounts of this process. */
export function mounts(): string {
  return readFileSync('/proc/self/mountinfo', 'utf8');
}

/**
 * The files below a directory with their content, except bookkeeping files (locks, the last address allocated, the
 * index of leases).
 */
export function files(root: string): string[] {
  const found: string[] = [];
  for (const entry of readdirSync(root, { recursive: true, encoding: 'utf8' }).sort()) {
    const path = join(root, entry);
    if (
      /(^|\/)(netns\/|(agent\.)?lock$|last_reserved_ip\.|stamp)/.test(entry) ||
      !lstatSync(path, { throwIfNoEntry: false })?.isFile()
    )
      continue;
    found.push(`${entry}: ${readFileSync(path, 'utf8')}`);
  }
  return found;
}
