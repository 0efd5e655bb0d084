/**
 * Finds out what an ADD does by doing it where it does no harm: in two new namespaces, one that plays the host and one
 * that plays the container, with files of its own. The plugins' own code runs, so what is printed is what would be
 * done. Everything is removed afterwards.
 */
import { type Deed, hearing, type Told } from '../deed.ts';
import { removeDirectory, tryList } from '../ffi/directory.ts';
import { isDirectory, makeDirectories, O, readText, tryReadlink, tryStat, unlink, writeText } from '../ffi/file.ts';
import { libc } from '../ffi/libc.ts';
import { type Netns, netnsIdAt, nsfsName, OWN_NETNS, openNetns } from '../netns/namespace.ts';
import { pinNew, unpin } from '../netns/pin.ts';
import { withNetns } from '../netns/within.ts';
import { pathsOf } from '../paths.ts';
import * as link from '../rtnl/link.ts';
import { openRoute } from '../rtnl/socket.ts';
import { addChain } from '../runtime/chain.ts';
import type { Conflist, Json } from '../runtime/conflist.ts';
import type { RuntimeContext } from '../runtime/context.ts';
import { type Endpoint, isOwn } from '../runtime/invoke.ts';
import { isAlive } from '../runtime/process.ts';
import { copyOverlays, withOwnStores } from './overlay-props.ts';
import { buildStage } from './stage.ts';
import { namesInTable } from './standing.ts';

const PREFIX = 'rehearsal-';

/** One attachment to be made. */
export interface Part {
  readonly list: Conflist;
  readonly endpoint: Endpoint;
}

/** Changes that take effect together. */
export interface Step {
  readonly where: 'host' | 'container';
  readonly told: readonly Told[];
}

export interface Rehearsal {
  readonly steps: readonly Step[];
  /** The result of each part. */
  readonly results: readonly Json[];
  /** Plugins of others; what they do is not known. */
  readonly foreign: readonly string[];
  /** Sentences about what is not among the steps. */
  readonly notes?: readonly string[];
  readonly run?: CommandRun;
}

/** A command to run after all steps. */
export interface CommandRun {
  readonly command: readonly string[];
  /** Whether it runs in the container's namespace, not in the host's. */
  readonly isInside: boolean;
  /** Contents that it sees in place of the machine's files, by path. */
  readonly files: Readonly<Record<string, string>>;
}

export interface RehearsalOptions {
  /**
   * Starts from nothing: nothing is forwarded yet, and these links of the host do not exist yet. If missing, the
   * rehearsal starts from the host as it is.
   */
  readonly without?: readonly string[];
  /** Attached before the rehearsal begins, to make what only the first attachment of a network makes. */
  readonly before?: readonly Part[];
  /** Called at the end, in the namespace that plays the host. */
  readonly after?: (results: readonly Json[]) => void;
}

/** @throws NetloomError the error that the ADD would fail with */
export function rehearse(context: RuntimeContext, asked: readonly Part[], options: RehearsalOptions = {}): Rehearsal {
  removeAbandoned(context.paths.run);
  const root = `${context.paths.run}/${PREFIX}${libc.getpid()}`;
  using undo = new DisposableStack();
  undo.defer(() => removeTree(root));
  const host = pinned(`${root}/host`, undo);
  const container = pinned(`${root}/container`, undo);
  const play: RuntimeContext = {
    ...context,
    paths: pathsOf({ NETLOOM_ROOT: root }),
    environment: { ...context.environment, NETLOOM_ROOT: root },
  };
  copyOverlays(context.paths, play.paths);
  const withStores = (part: Part): Part => ({ ...part, list: withOwnStores(part.list, `${root}/stores`) });
  const parts = asked.map(withStores);
  const before = (options.before ?? []).map(withStores);
  const played = ({ list, endpoint }: Part) => addChain(play, list, { ...endpoint, netns: container.path });
  const standing = namesInTable();
  const setBack = buildStage(host, { without: new Set(options.without), isFresh: options.without !== undefined });
  return withNetns(host, () => {
    for (const [i, { list, endpoint }] of before.entries()) {
      addChain(play, list, { ...endpoint, netns: pinned(`${root}/other-${i}`, undo).path });
    }
    // Devices may exist without the rules of an attachment: an agent makes those of its overlays before the first one.
    if (!namesInTable().isSubsetOf(standing)) setBack();
    // Leases come after the attachments made before: those must not have taken an address that the real one would get.
    const owners = new Set(parts.map(({ endpoint }) => endpoint.containerId));
    for (const { list } of parts) copyLeases(context.paths.leases, play.paths.leases, list.name, owners);
    const listener = new Listener(host, container);
    const results = hearing(
      (deed) => listener.hear(deed),
      () => parts.map(played),
    );
    options.after?.(results);
    const foreign = new Set(
      parts.flatMap(({ list }) => list.plugins.map(({ type }) => type)).filter((type) => !isOwn(type)),
    );
    return { steps: listener.steps, results, foreign: [...foreign] };
  });
}

/** Rewrites what it hears for use outside: names in place of indices, and the container in place of descriptors. */
class Listener {
  readonly steps: Step[] = [];
  readonly #places: readonly { readonly where: Step['where']; readonly netns: Netns; readonly id: string }[];
  readonly #names = new Map<string, ReadonlyMap<number, string>>();

  constructor(host: Netns, container: Netns) {
    this.#places = [
      { where: 'host', netns: host, id: host.id },
      { where: 'container', netns: container, id: container.id },
    ];
    this.#learn();
  }

  hear({ netns, steps }: Deed): void {
    const id = netns ?? netnsIdAt(OWN_NETNS);
    const place = this.#places.find((each) => each.id === id);
    if (place !== undefined) {
      // NB: with the names that the links had before the step.
      const told = steps.map(({ action, command }) => ({
        action: this.#named(action, place.id),
        command: this.#named(command, place.id),
      }));
      this.steps.push({ where: place.where, told });
    }
    this.#learn();
  }

  #learn(): void {
    for (const { netns, id } of this.#places) {
      using nl = withNetns(netns, () => openRoute());
      this.#names.set(id, new Map(link.list(nl).map(({ index, name }) => [index, name])));
    }
  }

  #named(text: string, id: string): string {
    const names = this.#names.get(id);
    return text
      .replace(/\bif(\d+)\b/g, (whole, index: string) => names?.get(Number(index)) ?? whole)
      .replace(/\blink (?:with index )?(\d+)\b/g, (whole, index: string) => {
        const name = names?.get(Number(index));
        return name === undefined ? whole : `link "${name}"`;
      })
      .replace(/\/proc\/(?:thread-)?self\/fd\/(\d+)/g, (whole, fd: string) => {
        const target = tryReadlink(`/proc/self/fd/${fd}`);
        const place = this.#places.find(({ netns }) => nsfsName(netns) === target || netns.path === target);
        return place === undefined ? whole : place.where === 'container' ? CONTAINER : HOST;
      });
  }
}

/** Placeholders for the namespaces in commands. */
export const CONTAINER = '"$CONTAINER"';
const HOST = '/proc/1/ns/net';

function pinned(path: string, undo: DisposableStack): Netns {
  makeDirectories(path.slice(0, path.lastIndexOf('/')), 0o700);
  pinNew(path);
  undo.defer(() => void unpin(path));
  return undo.use(openNetns(path));
}

/** Removes what killed rehearsals have left. */
function removeAbandoned(run: string): void {
  for (const name of tryList(run) ?? []) {
    if (!name.startsWith(PREFIX) || isAlive(Number(name.slice(PREFIX.length)))) continue;
    for (const pin of tryList(`${run}/${name}`) ?? []) unpin(`${run}/${name}/${pin}`);
    removeTree(`${run}/${name}`);
  }
}

/**
 * Copies the leases, so that the rehearsal gets the address that would be given next. NB: without those of the
 * containers that it attaches, which would be refused as duplicates.
 */
function copyLeases(from: string, to: string, network: string, owners: ReadonlySet<string>): void {
  removeTree(`${to}/${network}`);
  for (const name of tryList(`${from}/${network}`) ?? []) {
    if (name === 'lock') continue;
    const text = readText(`${from}/${network}/${name}`);
    if (owners.has(text.split(/\r?\n/)[0] ?? '')) continue;
    makeDirectories(`${to}/${network}`);
    writeText(`${to}/${network}/${name}`, text, O.WRONLY | O.CREAT | O.TRUNC);
  }
}

function removeTree(path: string): void {
  const stat = tryStat(path, { follow: false });
  if (stat === undefined) return;
  if (!isDirectory(stat)) return void unlink(path);
  for (const name of tryList(path) ?? []) removeTree(`${path}/${name}`);
  removeDirectory(path);
}
