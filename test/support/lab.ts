/**
 * A small network to try plugins in: sandboxes, a root directory for their files, and the executables of dist/bin,
 * called as a container runtime calls them, or through an agent (lab-agents.ts). For test files that have become a host
 * (host.ts). https://www.cni.dev/docs/spec/#section-2-execution-protocol
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { ip, makeRoot, Sandbox, snapshot } from './host.ts';
import { LabAgents } from './lab-agents.ts';
import { PATIENCE } from './patience.ts';

/** Where `npm run build` puts the plugins. */
export const BIN = fileURLToPath(new URL('../../dist/bin', import.meta.url));
/** Where Debian's package puts the reference plugins. */
export const REFERENCE = '/usr/lib/cni';

/** Runs a plugin as if the kernel lacked the netlink family that the plugin asks for first, such as nf_tables. */
export const WITHOUT_NETLINK =
  'strace -f -qqq -o /dev/null -e trace=socket -e inject=socket:error=EPROTONOSUPPORT'.split(' ');

export type Json = Record<string, unknown>;

/** A result of spec 0.3.0 or later, or an error object; only the keys that tests look at. */
export interface Output {
  readonly cniVersion: string;
  readonly interfaces?: readonly { name: string; mac?: string; mtu?: number; sandbox?: string }[];
  readonly ips?: readonly { address: string; gateway?: string; interface?: number }[];
  readonly routes?: readonly { dst: string; gw?: string }[];
  readonly dns?: Json;
  readonly code?: number;
  readonly msg?: string;
  readonly details?: string;
}

export interface End {
  /** Null if a signal ended it. */
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  /** stdout, parsed; an empty object if stdout is empty. */
  readonly output: Output;
}

/** The attachment that a call is for. */
export interface Target {
  readonly sandbox?: Sandbox;
  /** Instead of the sandbox's path. */
  readonly netns?: string;
  readonly containerId?: string;
  readonly ifname?: string;
  readonly args?: string;
}

export interface ExecOptions {
  /** The directory of the executable, and the default of CNI_PATH. */
  readonly bin?: string;
  readonly path?: string;
  /** Variables that differ from what a runtime sets; undefined removes one. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** A program, with arguments, to run the plugin with. */
  readonly wrap?: readonly string[];
  /** The plugin gets its configuration only when this promise is settled. */
  readonly gate?: Promise<void>;
  /** Instead of the configuration. */
  readonly stdin?: string | Uint8Array;
}

/** A configuration of bridge with a gateway and host-local. */
export function bridgeConf(more: Json = {}): Json {
  return {
    cniVersion: '1.1.0',
    name: 'net',
    type: 'bridge',
    isDefaultGateway: true,
    ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }]] },
    ...more,
  };
}

export class Lab {
  readonly root: string;
  readonly agents = new LabAgents();
  readonly #sandboxes: Sandbox[] = [];
  readonly #removeRoot: () => void;

  /** @param t the test; everything in the lab is removed when it ends */
  constructor(t: Pick<ExecutionContext, 'teardown'>) {
    const { path, remove } = makeRoot();
    this.root = path;
    this.#removeRoot = remove;
    t.teardown(() => this.#remove());
  }

  sandbox(name: string): Sandbox {
    const made = new Sandbox(this.root, name);
    this.#sandboxes.push(made);
    return made;
  }

  /** Calls a plugin, and waits for its end. */
  exec(command: string, conf: Json, target: Target = {}, options: ExecOptions = {}): End {
    const [file = '', ...args] = this.#argv(conf, options);
    const { status, signal, stdout, stderr } = spawnSync(file, args, {
      env: this.environment(command, target, options),
      input: options.stdin ?? JSON.stringify(conf),
      encoding: 'utf8',
      timeout: PATIENCE,
      killSignal: 'SIGKILL',
    });
    return endOf(status, signal, stdout, stderr);
  }

  /** exec() without waiting, for calls at the same time. */
  start(command: string, conf: Json, target: Target = {}, options: ExecOptions = {}): Promise<End> {
    const [file = '', ...args] = this.#argv(conf, options);
    const child = spawn(file, args, { env: this.environment(command, target, options), stdio: 'pipe' });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (data) => (stdout += data));
    child.stderr.on('data', (data) => (stderr += data));
    child.stdin.on('error', () => {}); // the plugin left without reading
    void (options.gate ?? Promise.resolve()).then(() => child.stdin.end(JSON.stringify(conf)));
    return new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (status, signal) => resolve(endOf(status, signal, stdout, stderr)));
    });
  }

  /** An ADD that must succeed. */
  add(conf: Json, target: Target, options: ExecOptions = {}): Output {
    return succeeded('ADD', this.exec('ADD', conf, target, options));
  }

  del(conf: Json, target: Target, options: ExecOptions = {}): void {
    succeeded('DEL', this.exec('DEL', conf, target, options));
  }

  check(conf: Json, target: Target, prevResult: Output): void {
    succeeded('CHECK', this.exec('CHECK', { ...conf, prevResult }, target));
  }

  gc(conf: Json, valid: readonly { containerID: string; ifname: string }[]): void {
    succeeded('GC', this.exec('GC', { ...conf, 'cni.dev/valid-attachments': valid }));
  }

  environment(command: string, target: Target, { bin = BIN, path = bin, environment = {} }: ExecOptions) {
    const { sandbox, netns = sandbox?.path ?? '', containerId = sandbox?.name ?? '', ifname = 'eth0', args } = target;
    const isEndpoint = sandbox !== undefined || target.containerId !== undefined;
    const variables: Record<string, string | undefined> = {
      PATH: process.env['PATH'],
      NETLOOM_ROOT: this.root,
      CNI_COMMAND: command,
      CNI_PATH: path,
      ...(isEndpoint && { CNI_CONTAINERID: containerId, CNI_NETNS: netns, CNI_IFNAME: ifname }),
      ...(args !== undefined && { CNI_ARGS: args }),
      ...environment,
    };
    return Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== undefined));
  }

  /** Everything that an attachment could leave behind. */
  snapshot(): string {
    return snapshot(this.root);
  }

  #argv(conf: Json, { bin = BIN, wrap = [], environment = {} }: ExecOptions): string[] {
    this.agents.ensure(environment['NETLOOM_ROOT'] ?? this.root, wrap);
    return [...wrap, `${bin}/${conf['type']}`];
  }

  #remove(): void {
    this.agents.endAll();
    for (const sandbox of this.#sandboxes) sandbox[Symbol.dispose]();
    for (const { ifname } of ip<{ ifname: string }>('link')) {
      if (ifname !== 'lo') spawnSync('ip', ['link', 'del', ifname]); // the other end of a pair is gone already
    }
    execFileSync('nft', ['flush', 'ruleset']);
    rmSync(`${this.root}/netns`, { recursive: true, force: true });
    this.#removeRoot();
  }
}

function endOf(status: number | null, signal: string | null, stdout: string, stderr: string): End {
  return {
    status,
    signal,
    stdout,
    stderr,
    get output() {
      return JSON.parse(stdout || '{}') as Output;
    },
  };
}

function succeeded(command: string, { status, signal, stdout, stderr, output }: End): Output {
  if (status !== 0) throw new Error(`${command} left with ${status ?? signal}: ${stdout}${stderr}`);
  return output;
}
