/**
 * The agent's part in overlays: it follows the stores and the kernel. A node that joins, leaves or moves is applied
 * within a second; what somebody has removed is restored; what is as it should be is not written. It looks after the
 * networks that have containers here, and so a bridge, which an ADD has made and the last DEL removes.
 */
import { readHeader } from '../cni/config.ts';
import { messageOf } from '../error.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { amended } from '../overlay/amended.ts';
import { hasDevices, isInUse } from '../overlay/devices.ts';
import { DirectoryFeed } from '../overlay/directory-feed.ts';
import type { Feed } from '../overlay/feed.ts';
import { touch } from '../overlay/file-store.ts';
import type { Intent } from '../overlay/intent.ts';
import { type Carried, type Kept as KeptForCalls, printOf } from '../overlay/keeping.ts';
import { withOverlayLock } from '../overlay/lock.ts';
import { amend } from '../overlay/memory.ts';
import { MemoryFeed } from '../overlay/memory-feed.ts';
import { follow, reconcile, replacePeers } from '../overlay/reconcile.ts';
import type { Change, NodeRecord } from '../overlay/record.ts';
import { homeOf, overlayMtu } from '../overlay/underlay.ts';
import type { Paths } from '../paths.ts';
import { checkConf, type OverlayConf, schema } from '../plugins/overlay/conf.ts';
import { intentOf } from '../plugins/overlay/intent.ts';
import { readNetworks } from '../runtime/conf-directory.ts';
import { collectGarbage } from './garbage.ts';

/**
 * How often everything is compared, with or without notifications, in ms. Shortened by up to a tenth, so that nodes
 * that booted together do not all do it at once.
 */
const FULL = 60_000;
/** A reading of a store that takes this long, in ms, has read thousands of nodes. */
const LONG = 50;
/** How often a node says in its store that it is alive, in ms. */
const ALIVE = 30_000;

/** One network as it was last applied. */
interface Kept {
  readonly intent: Intent;
  readonly tunnel: number | undefined;
  /** The link of the node's own address. */
  readonly home: number | undefined;
  readonly bridge: number;
  readonly conf: OverlayConf;
  readonly fullAt: number;
  /** Whether the nodes were read without a warning. Otherwise each call reads them itself, and warns. */
  readonly isSound: boolean;
}

/** What was read for the first container of a network, which has no devices yet. */
type Prepared = Pick<Kept, 'intent' | 'conf' | 'isSound'>;

export class OverlayKeeper {
  readonly #paths: Paths;
  readonly #say: (message: string) => void;
  readonly #isWanted: (network: string) => boolean;
  readonly #kept = new Map<string, Kept>();
  readonly #prepared = new Map<string, Prepared>();
  #confs: readonly OverlayConf[] = [];
  readonly #aliveAt = new Map<string, number>();
  /** The feed of each network, and the store that it follows. */
  readonly #feeds = new Map<string, { readonly store: string; readonly feed: Feed }>();
  /** The last message about each network: it is repeated only where it has changed. */
  readonly #said = new Map<string, string>();

  /** @param isWanted whether a call is about to attach the first container to a network */
  constructor(paths: Paths, say: (message: string) => void, isWanted: (network: string) => boolean = () => false) {
    this.#paths = paths;
    this.#say = say;
    this.#isWanted = isWanted;
  }

  /**
   * Looks at every network once.
   * @param now in ms, by a clock that is never set back
   * @param isSuspect whether something has happened to devices, so that everything has to be compared
   */
  look(nl: NetlinkSocket, now: number, isSuspect: boolean): void {
    const confs = overlayConfs(this.#paths);
    this.#confs = confs;
    for (const name of new Set([...this.#kept.keys(), ...this.#prepared.keys(), ...this.#feeds.keys()])) {
      if (!confs.some((conf) => conf.name === name)) this.#forget(name);
    }
    for (const conf of confs) {
      try {
        this.#lookAt(nl, conf, now, isSuspect);
        this.#said.delete(conf.name);
      } catch (error) {
        this.#tell(conf.name, messageOf(error));
        // The error must not make it forget what has happened: the next look compares everything.
        const kept = this.#kept.get(conf.name);
        if (kept !== undefined) this.#kept.set(conf.name, { ...kept, fullAt: 0 });
      }
    }
  }

  /** Descriptors that become readable when a store may have news: then call hear(). */
  get tellers(): number[] {
    return [...this.#feeds.values()].flatMap(({ feed }) => feed.fd ?? []);
  }

  /** Whether a store has to be asked again and again, because it does not notify. */
  get isAsking(): boolean {
    return [...this.#kept].some(([name, { conf }]) => conf.store.type === 'etcd' && this.#isSilent(name));
  }

  /**
   * Applies the changes of single nodes that stores report.
   * @returns whether something requires a look at everything
   */
  hear(nl: NetlinkSocket): boolean {
    let isDue = false;
    for (const [name, { feed }] of this.#feeds) {
      const changes = told(() => feed.news());
      const kept = this.#kept.get(name);
      // NB: the changes make what was read for the first container out of date, and are reported only once.
      if (changes?.length !== 0) this.#prepared.delete(name);
      if (kept === undefined || this.#carryOver(nl, kept, changes)) continue;
      this.#kept.set(name, { ...kept, fullAt: 0 });
      isDue = true;
    }
    return isDue;
  }

  /** Whether a link is known to lead to other nodes. */
  usesLink(index: number): boolean {
    return [...this.#kept.values()].some(({ home }) => home === index);
  }

  /**
   * What calls can build upon, after a look. With the store `static` they have all they need in their configuration.
   */
  get carried(): Readonly<Record<string, KeptForCalls>> {
    return Object.fromEntries(
      this.#confs.flatMap((conf) => {
        const { network, source } = checkConf(conf);
        if ('nodes' in source) return [];
        return [[printOf(this.#paths, network, source, conf.mtu), this.#carriedOf(conf)]];
      }),
    );
  }

  #carriedOf(conf: OverlayConf): KeptForCalls {
    const carried = ({ own, mtu }: Intent): Carried => ({ own: own as NodeRecord, mtu });
    const kept = this.#kept.get(conf.name);
    if (kept !== undefined) {
      const { intent, bridge, tunnel } = kept;
      if (!kept.isSound || kept.fullAt === 0 || !isSame(kept.conf, conf)) return 'pending';
      return { ...carried(intent), devices: { bridge, ...(tunnel !== undefined && { tunnel }) } };
    }
    const prepared = this.#prepared.get(conf.name);
    return prepared?.isSound === true ? carried(prepared.intent) : 'pending';
  }

  #lookAt(nl: NetlinkSocket, conf: OverlayConf, now: number, isSuspect: boolean): void {
    const { name } = conf;
    if (!isInUse(nl, name)) {
      this.#kept.delete(name);
      if (conf.store.type === 'static' || !this.#isWanted(name)) this.#forget(name);
      else this.#prepare(nl, conf);
      return;
    }
    const kept = this.#kept.get(name);
    const feed = this.#feedOf(conf);
    const isDue =
      kept === undefined ||
      !isSame(kept.conf, conf) ||
      isSuspect ||
      now >= kept.fullAt ||
      !hasDevices(nl, name, kept.tunnel);
    if (!isDue && this.#carryOver(nl, kept, feed === undefined ? [] : told(() => feed.catchUp()))) {
      this.#stayAlive(conf, kept.intent, now);
      return;
    }
    const known = kept === undefined ? this.#preparedFor(conf) : undefined;
    const { intent, isSound } = known ?? this.#read(nl, conf, isDue ? undefined : kept.intent);
    this.#prepared.delete(name);
    withOverlayLock(this.#paths, () => {
      // NB: once more, under the lock: the last DEL may have removed everything.
      if (!isInUse(nl, name)) return;
      const canFollow = !isDue && isSameButPeers(kept.intent, intent);
      if (canFollow) follow(nl, kept.intent, intent, kept.tunnel);
      const devices = canFollow ? undefined : reconcile(nl, intent);
      const tunnel = canFollow ? kept.tunnel : devices?.tunnel?.index;
      const bridge = canFollow ? kept.bridge : (devices?.bridge.index ?? 0);
      const fullAt = canFollow ? kept.fullAt : now + FULL * (1 - Math.random() / 10);
      this.#kept.set(name, { intent, tunnel, bridge, home: homeOf(nl, intent.own), conf, fullAt, isSound });
    });
    this.#stayAlive(conf, intent, now);
  }

  #read(nl: NetlinkSocket, conf: OverlayConf, before?: Intent): Prepared {
    let isSound = true;
    const warn = (message: string) => {
      isSound = false;
      this.#tell(conf.name, message);
    };
    const feed = this.#feedOf(conf);
    const call = { conf, paths: this.#paths, warn, ...(feed && { records: () => feed.records(warn) }) };
    const begin = performance.now();
    const intent = intentOf(nl, call, true, before);
    // So that the heap need not grow over the garbage of thousands of nodes.
    if (performance.now() - begin > LONG) collectGarbage();
    return { intent, conf, isSound };
  }

  /**
   * Reads the members of a network before it has devices here. The call that waits for this makes the devices; its
   * undo, or the last DEL, removes them.
   */
  #prepare(nl: NetlinkSocket, conf: OverlayConf): void {
    if (this.#preparedFor(conf) !== undefined) return;
    this.#prepared.delete(conf.name);
    this.#prepared.set(conf.name, this.#read(nl, conf));
  }

  /** What was read, where nothing has changed since. */
  #preparedFor(conf: OverlayConf): Prepared | undefined {
    const prepared = this.#prepared.get(conf.name);
    const feed = this.#feedOf(conf);
    if (prepared === undefined || feed === undefined || !isSame(prepared.conf, conf)) return undefined;
    return told(() => feed.catchUp())?.length === 0 ? prepared : undefined;
  }

  /** Applies changes of single nodes. @returns false where they require a look at everything */
  #carryOver(nl: NetlinkSocket, kept: Kept, changes: readonly Change[] | undefined): boolean {
    if (changes === undefined || changes.length === 0) return changes !== undefined;
    const { conf, intent, tunnel } = kept;
    const next = amended(intent, changes);
    if (next === undefined) return false;
    const { gone, come } = next;
    try {
      const isThere = withOverlayLock(this.#paths, () => {
        if (!hasDevices(nl, conf.name, tunnel)) return false;
        replacePeers(nl, next.intent, gone, come, tunnel);
        return true;
      });
      // The entries are in place by now. A peer that lowers the MTU is rare, and takes a look at everything.
      const isRoom = overlayMtu(nl, intent.network, intent.own, come, conf.mtu, { before: intent.mtu }) === intent.mtu;
      if (!isThere || !isRoom) return false;
    } catch {
      return false; // the look at everything reports the error
    }
    this.#kept.set(conf.name, { ...kept, intent: next.intent });
    if (conf.store.type === 'file') amend(this.#paths, conf.name, changes);
    return true;
  }

  #feedOf({ name, store }: OverlayConf): Feed | undefined {
    const print = JSON.stringify(store);
    const known = this.#feeds.get(name);
    if (known?.store === print && !(store.type === 'etcd' && this.#isSilent(name))) return known.feed;
    known?.feed[Symbol.dispose]();
    this.#feeds.delete(name);
    if (store.type === 'static') return undefined;
    const feed = store.type === 'file' ? new DirectoryFeed(store.path ?? '') : new MemoryFeed(this.#paths, name);
    this.#feeds.set(name, { store: print, feed });
    return feed;
  }

  #isSilent(name: string): boolean {
    return this.#feeds.get(name)?.feed.fd === undefined;
  }

  #forget(name: string): void {
    this.#kept.delete(name);
    this.#prepared.delete(name);
    this.#feeds.get(name)?.feed[Symbol.dispose]();
    this.#feeds.delete(name);
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

/** The overlays in this machine's conflists. One with an error is left out: its next ADD says what is wrong. */
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

/**
 * The changes of a store; undefined where it cannot be read. Then everything is read again, which says why it fails, or
 * goes on with what is remembered.
 */
function told(tell: () => readonly Change[] | undefined): readonly Change[] | undefined {
  try {
    return tell();
  } catch {
    return undefined;
  }
}

function isSame(one: OverlayConf, other: OverlayConf): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}

/** Whether two intents differ in their peers only, so that the devices stay. */
function isSameButPeers(one: Intent, other: Intent): boolean {
  const rest = ({ network, own, mtu }: Intent) => JSON.stringify([network, own, mtu]);
  return rest(one) === rest(other);
}
