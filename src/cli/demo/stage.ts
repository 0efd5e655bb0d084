/**
 * What a demo runs in: network namespaces and a directory of its own, so that the machine stays unchanged. Disposing of
 * the stage removes all of it.
 */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { begin } from '../../activity.ts';
import { NetloomError } from '../../error.ts';
import { run } from '../../ffi/spawn.ts';
import { Ip } from '../../net/ip.ts';
import { type Netns, openNetns } from '../../netns/namespace.ts';
import { pinNew, unpin } from '../../netns/pin.ts';
import { withNetns } from '../../netns/within.ts';
import { plugins } from '../../plugins/registry.ts';
import * as link from '../../rtnl/link.ts';
import { openRoute } from '../../rtnl/socket.ts';
import { built, linkTarget } from '../programs.ts';
import { ping } from './ping.ts';

/** A plugin's configuration. */
export type Conf = Readonly<Record<string, unknown>> & { readonly type: string };

/** A namespace that plays a host or a container. */
export interface Role {
  readonly name: string;
  readonly netns: Netns;
}

/** The addresses that a container got. */
export interface Attached {
  readonly ip: Ip;
  /** The host, as the container sees it. */
  readonly gateway: Ip;
}

/**
 * The signals by which people end a program. A demo is synchronous, so their handler runs only after it has finished
 * and cleaned up, which takes a moment. Plugins that it runs get the signal themselves.
 */
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

export class Stage implements Disposable {
  readonly #print: (line: string) => void;
  readonly #cleanup = new DisposableStack();
  readonly #root: string;
  /** A directory with every plugin type under its name, as /opt/cni/bin is. */
  readonly #bin: string;

  constructor(print: (line: string) => void) {
    this.#print = print;
    const program = built(linkTarget());
    for (const [signal, number] of Object.entries(SIGNALS)) process.once(signal, () => process.exit(128 + number));
    this.#root = mkdtempSync(join(tmpdir(), 'netloom-demo-'));
    this.#cleanup.defer(() => rmSync(this.#root, { recursive: true, force: true }));
    this.#bin = join(this.#root, 'bin');
    mkdirSync(this.#bin);
    for (const type of plugins.keys()) symlinkSync(program, join(this.#bin, type));
  }

  /** A new namespace. */
  role(name: string): Role {
    const path = join(this.#root, name);
    begin(`making a namespace that plays "${name}"`);
    pinNew(path);
    this.#cleanup.defer(() => unpin(path));
    const netns = this.#cleanup.use(openNetns(path));
    withNetns(netns, () => {
      using nl = openRoute();
      nl.execute(link.set({ name: 'lo' }, {}, { up: true }));
    });
    return { name, netns };
  }

  /** Attaches a container, and reports it. */
  add(host: Role, { name, netns }: Role, conf: Conf): Attached {
    const started = performance.now();
    const result = this.#call('ADD', host, { name, netns }, conf) as { ips: [{ address: string; gateway: string }] };
    const took = (performance.now() - started).toFixed(1);
    const [{ address, gateway }] = result.ips;
    this.#print(`ADD ${name.padEnd(6)} eth0 ${address}, gateway ${gateway} (${took} ms)`);
    return { ip: Ip.parse(address.slice(0, address.indexOf('/'))), gateway: Ip.parse(gateway) };
  }

  del(host: Role, container: Role, conf: Conf): void {
    this.#call('DEL', host, container, conf);
    this.#print(`DEL ${container.name}`);
  }

  /** Sends requests until one is answered. @throws NetloomError timed-out */
  reach({ name, netns }: Role, otherName: string, address: Ip): void {
    begin(`asking ${otherName} from ${name}`);
    const took = withNetns(netns, () => ping(address));
    if (took === undefined) throw new NetloomError('timed-out', `"${name}" does not reach ${otherName} at ${address}`);
    this.#print(`${name.padEnd(6)} → ${otherName.padEnd(8)} ${address}  ${took.toFixed(2)} ms`);
  }

  [Symbol.dispose](): void {
    this.#cleanup.dispose();
  }

  /**
   * Executes the plugin as a container runtime does, in the namespace of the host, with separate files for each host.
   */
  #call(command: 'ADD' | 'DEL', host: Role, { name, netns }: Role, conf: Conf): unknown {
    const environment = {
      PATH: process.env['PATH'] ?? '',
      CNI_COMMAND: command,
      CNI_CONTAINERID: name,
      CNI_NETNS: netns.path,
      CNI_IFNAME: 'eth0',
      CNI_PATH: this.#bin,
      NETLOOM_ROOT: join(this.#root, `files-${host.name}`),
    };
    const stdin = new TextEncoder().encode(JSON.stringify(conf));
    const plugin = join(this.#bin, conf.type);
    begin(`${command} of the plugin "${conf.type}" for ${name}`);
    const { status, stdout, stderr } = withNetns(host.netns, () => run(plugin, [plugin], environment, stdin));
    const [text, said] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    if (status !== 0) throw new NetloomError('plugin-failed', `${command} of "${name}" failed: ${text}${said}`);
    return text === '' ? undefined : JSON.parse(text ?? '');
  }
}

/** The names of a namespace's links. */
export function linksOf({ netns }: Role): string[] {
  using nl = withNetns(netns, () => openRoute());
  return link.list(nl).map(({ name }) => name);
}
