/**
 * The agent's part in overlays: it follows the stores and the kernel. A node that joins, leaves or moves is carried over within a second; what somebody has removed comes
 * back; what is as it should be is not written. It looks after networks that have containers here, whose bridge is there: what an ADD has made and the last DEL takes away.
 */
import { readHeader } from '../cni/config.ts';
import { messageOf } from '../error.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { hasDevices, isInUse } from '../overlay/devices.ts';
import { stampOf, touch } from '../overlay/file-store.ts';
import type { Intent } from '../overlay/intent.ts';
import { withOverlayLock } from '../overlay/lock.ts';
import { memoryOf } from '../overlay/memory.ts';
import { follow, reconcile } from '../overlay/reconcile.ts';
import { homeOf } from '../overlay/underlay.ts';
import type { Paths } from '../paths.ts';
import { checkConf, type OverlayConf, schema } from '../plugins/overlay/conf.ts';
import { intentOf } from '../plugins/overlay/intent.ts';
import { readNetworks } from '../runtime/conf-directory.ts';

/** How often everything is compared, whatever was heard or not, in ms. Shifted by up to a tenth, so that nodes that booted together do not all do it at once. */
const FULL = 60_000;
/** How often a node says in its store that it is there, in ms. */
const ALIVE = 30_000;

/** One network as it was last carried out. */
interface Kept {
  readonly intent: Intent;
  readonly tunnel: number | undefined;
  /** The link of the node's own address. */
  readonly home: number | undefined;
  /** The configuration, and what the store was like before it was read. */
  readonly configuration: string;
  readonly stamp: string;
  readonly fullAt: number;
}

export class OverlayKeeper {
  readonly #paths: Paths;
  readonly #say: (message: string) => void;
  readonly #kept = new Map<string, Kept>();
  readonly #aliveAt = new Map<string, number>();
  /** What the memory of each network was like when it was looked at, where the agent itself writes it down. */
  readonly #read = new Map<string, string>();
  /** What was said last of each network: said again only where it is something else. */
  readonly #said = new Map<string, string>();

  constructor(paths: Paths, say: (message: string) => void) {
    this.#paths = paths;
    this.#say = say;
  }

  /**
   * Looks at every network once.
   * @param now in ms, of a clock that is never set back
   * @param isSuspect whether something has happened to devices, so that all is to be compared
   */
  look(nl: NetlinkSocket, now: number, isSuspect: boolean): void {
    const confs = overlayConfs(this.#paths);
    for (const name of this.#read.keys()) if (!confs.some((conf) => conf.name === name)) this.#read.delete(name);
    for (const conf of confs) {
      try {
        this.#lookAt(nl, conf, now, isSuspect);
        this.#said.delete(conf.name);
      } catch (error) {
        this.#tell(conf.name, messageOf(error));
        // What has happened is not forgotten over it: the next look compares everything.
        const kept = this.#kept.get(conf.name);
        if (kept !== undefined) this.#kept.set(conf.name, { ...kept, fullAt: 0 });
      }
    }
  }

  /** Whether there is a network whose news are written down on this machine, so that looking for them often costs nothing. */
  get hasMemories(): boolean {
    return this.#read.size > 0;
  }

  /** Whether something was written down since the last look. */
  hasNews(): boolean {
    return [...this.#read].some(([name, stamp]) => stampOf(memoryOf(this.#paths, name)) !== stamp);
  }

  /** Whether the way to other nodes begins at a link, as far as is known. */
  usesLink(index: number): boolean {
    return [...this.#kept.values()].some(({ home }) => home === index);
  }

  #lookAt(nl: NetlinkSocket, conf: OverlayConf, now: number, isSuspect: boolean): void {
    const { name } = conf;
    if (!isInUse(nl, name)) {
      this.#kept.delete(name);
      this.#read.delete(name);
      return;
    }
    const kept = this.#kept.get(name);
    const configuration = JSON.stringify(conf);
    const stamp = this.#stampOf(conf);
    const isDue =
      kept?.configuration !== configuration || isSuspect || now >= kept.fullAt || !hasDevices(nl, name, kept.tunnel);
    if (!isDue && stamp === kept.stamp) {
      this.#stayAlive(conf, kept.intent, now);
      return;
    }
    const call = { conf, paths: this.#paths, warn: (message: string) => this.#tell(name, message) };
    const intent = intentOf(nl, call, true, isDue ? undefined : kept.intent);
    withOverlayLock(this.#paths, () => {
      // NB: once more, under the lock. The last DEL may have taken everything away.
      if (!isInUse(nl, name)) return;
      const canFollow = !isDue && isSameButPeers(kept.intent, intent);
      if (canFollow) follow(nl, kept.intent, intent, kept.tunnel);
      const tunnel = canFollow ? kept.tunnel : reconcile(nl, intent).tunnel?.index;
      const fullAt = canFollow ? kept.fullAt : now + FULL * (1 - Math.random() / 10);
      this.#kept.set(name, { intent, tunnel, home: homeOf(nl, intent.own), configuration, stamp, fullAt });
    });
    this.#stayAlive(conf, intent, now);
  }

  #stampOf({ name, store }: OverlayConf): string {
    if (store.type === 'file') return stampOf(store.path ?? '');
    if (store.type !== 'etcd') return '';
    const stamp = stampOf(memoryOf(this.#paths, name));
    this.#read.set(name, stamp);
    return stamp;
  }

  #stayAlive({ name, store }: OverlayConf, { own }: Intent, now: number): void {
    if (store.type !== 'file' || now < (this.#aliveAt.get(name) ?? 0)) return;
    if (touch(store.path ?? '', own)) this.#aliveAt.set(name, now + ALIVE);
  }

  #tell(network: string, message: string): void {
    if (this.#said.get(network) === message) return;
    this.#said.set(network, message);
    this.#say(`overlay "${network}": ${message}`);
  }
}

/** The overlays that the conflists of this machine are about. What is wrong with a conflist, its next ADD says. */
export function overlayConfs({ conf: directory }: Paths): OverlayConf[] {
  return readNetworks(directory).networks.flatMap(({ list: { name, cniVersion, plugins } }) =>
    plugins.flatMap(({ type, conf }) => {
      if (type !== 'overlay') return [];
      try {
        const read = schema.read(readHeader(JSON.stringify({ ...conf, name, cniVersion })));
        checkConf(read);
        return [read];
      } catch {
        return [];
      }
    }),
  );
}

/** Whether only peers have come, gone or changed: nothing of the devices. */
function isSameButPeers(one: Intent, other: Intent): boolean {
  const rest = ({ network, own, mtu }: Intent) => JSON.stringify([network, own, mtu]);
  return rest(one) === rest(other);
}
