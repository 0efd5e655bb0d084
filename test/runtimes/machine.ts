/**
 * A private machine for a container runtime: a network namespace, mounts and process ids of its own, with empty
 * directories where runtimes and plugins keep their files. When the test file's process ends, however it ends, nothing
 * of it is left on disk or running.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { becomeHost } from '../support/host.ts';
import { until } from '../support/until.ts';

/** Where the plugins come from: dist/bin, or another suite's directory to compare with. */
export const PLUGINS = process.env['NETLOOM_TEST_PLUGINS'] ?? fileURLToPath(new URL('../../dist/bin', import.meta.url));
/** Whether they are netloom's. */
export const OURS = process.env['NETLOOM_TEST_PLUGINS'] === undefined;

const CONFLISTS = fileURLToPath(new URL('../../cni-conf', import.meta.url));

const NETLOOM = fileURLToPath(new URL('../../dist/netloom', import.meta.url));

/** Generous, because runtimes wait for locks. A hang must become a failure. */
const TIMEOUT_MS = 60_000;

/** Directories of runtimes and plugins, which the real machine may use, too. */
const PRIVATE = ['/run', '/var/lib/cni', '/var/lib/netloom', '/etc/cni', '/opt/cni'];

export class Machine {
  /** A tmpfs. */
  readonly root: string;
  /** A root file system for containers: static busybox. */
  readonly rootfs: string;
  /** Process 1 of the private machine; its PID outside. */
  readonly #init: number;
  readonly #end: () => Promise<unknown>;

  private constructor(root: string, rootfs: string, init: number, end: () => Promise<unknown>) {
    this.root = root;
    this.rootfs = rootfs;
    this.#init = init;
    this.#end = end;
  }

  static async start(): Promise<Machine> {
    becomeHost();
    // becomeHost() mounts a fresh /sys over the real one; runc needs the real one, with the cgroups.
    mount('umount', '/sys');
    const root = mkdtempSync(join(tmpdir(), 'netloom-machine-'));
    mount('mount', '-t', 'tmpfs', 'tmpfs', root);
    for (const path of PRIVATE) makePrivate(path, join(root, 'stage'));
    mkdirSync('/etc/cni/net.d');
    mkdirSync('/opt/cni/bin');
    for (const type of readdirSync(PLUGINS)) symlinkSync(join(PLUGINS, type), join('/opt/cni/bin', type));
    // Debian's runtimes look there too. They would silently take the reference plugin if ours were missing.
    if (OURS) makePrivate('/usr/lib/cni', join(root, 'stage'));
    const rootfs = makeRootfs(join(root, 'rootfs'));

    // Process 1 reaps the orphans of runtimes. When it dies, so do all other processes. It dies with unshare, which
    // dies with this process.
    const holder = spawn(
      'setpriv',
      ['--pdeathsig', 'KILL', 'unshare', '--pid', '--fork', '--kill-child', '--mount-proc'].concat(
        ['sh', '-c', 'echo ready; sleep infinity & wait'], //
      ),
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    await once(holder.stdout, 'data');
    const init = readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8').trim();
    return new Machine(root, rootfs, Number(init), () => {
      holder.kill('SIGKILL');
      return once(holder, 'exit');
    });
  }

  /** Runs a program to its end. @returns what it printed */
  run(program: string, ...args: string[]): string {
    return execFileSync('nsenter', this.#enter(program, args), {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: TIMEOUT_MS,
      env: this.#environment(),
    });
  }

  /** Starts a program, and does not wait for it. @returns its end, with what it printed */
  start(program: string, ...args: string[]): Promise<string> {
    const child = spawn('nsenter', this.#enter(program, args), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: this.#environment(),
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
    return new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (status, signal) => resolve(`${output}\nleft with ${status ?? signal}`));
    });
  }

  /** Starts an agent, which the plugins find, and waits until it serves. It ends with the machine. */
  async startAgent(): Promise<void> {
    const end = this.start(NETLOOM, 'agent');
    await until('the agent answers', () => this.agentStatus().running, { end });
  }

  agentStatus(): AgentStatus {
    return JSON.parse(this.run(NETLOOM, 'status', '--json')) as AgentStatus;
  }

  /** Configures a network: a file of cni-conf/, with other keys for its first plugin. @returns its name */
  configure(conflist: string, keys: Record<string, unknown> = {}): string {
    const json = JSON.parse(readFileSync(join(CONFLISTS, conflist), 'utf8')) as { name: string; plugins: object[] };
    Object.assign(json.plugins[0] ?? {}, keys);
    writeFileSync(join('/etc/cni/net.d', conflist), JSON.stringify(json));
    return json.name;
  }

  /** configure(), and removes all other networks: for runtimes that take the first one. */
  configureOnly(conflist: string, keys: Record<string, unknown> = {}): void {
    for (const file of readdirSync('/etc/cni/net.d')) rmSync(join('/etc/cni/net.d', file));
    this.configure(conflist, keys);
  }

  /** What attachments can leave behind, except locks and the record of the last address. */
  state(): State {
    const json = (...args: string[]) => JSON.parse(this.run('ip', '-j', ...args) || '[]') as { ifname: string }[];
    return {
      links: json('link').map(({ ifname }) => ifname),
      routes: ['-4', '-6'].flatMap((family) => this.#routes(family)),
      rules: this.run('nft', 'list', 'ruleset').replace(/counter packets \d+ bytes \d+/g, 'counter'),
      files: ['/var/lib/cni', '/var/lib/netloom', '/run/netns', '/run/netloom'].flatMap(listFiles),
    };
  }

  async end(): Promise<void> {
    await this.#end();
    mount('umount', '--lazy', this.root);
    rmdirSync(this.root);
  }

  /**
   * Leaves out what changes by itself: a bridge without ports has no carrier, and its link-local address is then
   * tentative.
   */
  #routes(family: string): string[] {
    const lines = this.run('ip', family, 'route', 'show', 'table', 'all').split('\n');
    const lasting = lines
      .filter((line) => !line.includes('fe80::'))
      .map((line) => line.replace(' linkdown', '').trim());
    return [...new Set(lasting)].sort();
  }

  #enter(program: string, args: string[]): string[] {
    return [`--target=${this.#init}`, '--pid', '--mount', '--root', '--wd', program, ...args];
  }

  #environment(): NodeJS.ProcessEnv {
    const { PATH } = process.env;
    return { PATH, HOME: this.root, TMPDIR: this.root, CONTAINERS_CONF: join(this.root, 'containers.conf') };
  }
}

/** What `netloom status --json` prints. */
export interface AgentStatus {
  readonly running: boolean;
  readonly declined: number;
  readonly broken: number;
  readonly calls: readonly { readonly type: string; readonly command: string; readonly count: number }[];
}

export interface State {
  readonly links: readonly string[];
  readonly routes: readonly string[];
  readonly rules: string;
  readonly files: readonly string[];
}

function mount(...[program = 'mount', ...args]: string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
}

/**
 * Puts an empty directory over a path. If the path is missing, its parent is replaced by a copy made of bind mounts,
 * because nothing may be created on the real machine's disk.
 */
function makePrivate(path: string, stage: string): void {
  if (isDirectory(path)) {
    mount('mount', '-t', 'tmpfs', 'tmpfs', path);
    return;
  }
  const parent = dirname(path);
  if (!isDirectory(parent)) {
    makePrivate(parent, stage);
    mkdirSync(path);
    return;
  }
  mkdirSync(stage, { recursive: true });
  mount('mount', '-t', 'tmpfs', 'tmpfs', stage);
  for (const entry of readdirSync(parent, { withFileTypes: true })) {
    const [from, to] = [join(parent, entry.name), join(stage, entry.name)];
    if (entry.isSymbolicLink()) symlinkSync(readlinkSync(from), to);
    else if (entry.isDirectory()) mkdirSync(to);
    else writeFileSync(to, '');
    if (!entry.isSymbolicLink()) mount('mount', '--rbind', from, to);
  }
  mkdirSync(join(stage, basename(path)));
  mount('mount', '--move', stage, parent);
}

function isDirectory(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** Files below a directory, except bookkeeping files. */
function listFiles(path: string): string[] {
  if (!isDirectory(path)) return [];
  const names = readdirSync(path, { recursive: true, withFileTypes: true });
  return names
    .filter((entry) => entry.isFile() && !/^(lock|agent\.lock|last_reserved_ip\.\d+)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

function makeRootfs(path: string): string {
  for (const name of ['bin', 'dev', 'etc', 'proc', 'sys', 'tmp', 'www'])
    mkdirSync(join(path, name), { recursive: true });
  const busybox = execFileSync('which', ['busybox'], { encoding: 'utf8' }).trim();
  // ldd fails for a static program.
  if (spawnSync('ldd', [busybox]).status === 0) throw new Error('busybox is not static: Debian package busybox-static');
  cpSync(busybox, join(path, 'bin/busybox'));
  for (const applet of ['httpd', 'ip', 'ping', 'sh', 'sleep', 'wget'])
    symlinkSync('busybox', join(path, 'bin', applet));
  writeFileSync(join(path, 'www/index.html'), 'hello from the other container');
  return path;
}
