/** What can be connected to a network: TARGET of `netloom connect NET TARGET`, and its network namespace. */
import { isName } from '../cni/config.ts';
import { messageOf, NetloomError } from '../error.ts';
import { fnv1a } from '../fnv.ts';
import { type Netns, openNetns, ownNetns, tryOpenNetns } from '../netns/namespace.ts';
import type { RuntimeContext } from './context.ts';
import type { Engine, EngineContainer } from './engine/engine.ts';
import { enginesOf } from './engine/engines.ts';
import { findProcess, isSame, type ProcessId } from './process.ts';
import { findSandbox, openSandboxNetns, tryFindLost, tryFindSandbox } from './sandbox/store.ts';

/** Identifies a target. This is recorded with an endpoint. */
export interface TargetId {
  /** sandbox, docker, podman, containerd, pid, netns */
  readonly kind: string;
  /** Its name for plugins: CNI_CONTAINERID. */
  readonly containerId: string;
  /** Its name for people, without the kind. */
  readonly name: string;
}

/** A target with its namespace held open, which therefore stays the same whatever ends meanwhile. */
export class Target implements Disposable {
  readonly id: TargetId;
  readonly netns: Netns;
  /** The process that the namespace was found by. */
  readonly process: ProcessId | undefined;

  constructor(id: TargetId, netns: Netns, process?: ProcessId) {
    this.id = id;
    this.netns = netns;
    this.process = process;
  }

  /** `docker:web` */
  get words(): string {
    return wordsOf(this.id);
  }

  /** Refuses a target whose process has ended, or whose path now leads elsewhere. @throws NetloomError target-ended */
  refuseEnded(): void {
    using now = tryOpen(this.netns.path);
    if ((this.process === undefined || isSame(this.process)) && now?.isSameAs(this.netns) === true) return;
    throw new NetloomError('target-ended', `${this.words} ended while it was being connected`);
  }

  [Symbol.dispose](): void {
    this.netns[Symbol.dispose]();
  }
}

export function wordsOf({ kind, name }: TargetId): string {
  return `${kind}:${name}`;
}

/** Kinds of targets that do not belong to an engine. */
const KINDS = ['sandbox', 'pid', 'netns'];

export interface TargetOptions {
  /** Allow a namespace that several containers share. */
  readonly shared?: boolean;
}

/**
 * Finds a target by its words.
 * @throws NetloomError unknown-target, target-not-running, target-ended, ambiguous-target, shared-namespace,
 * own-namespace, engine-no-answer
 */
export function openTarget(context: RuntimeContext, words: string, options: TargetOptions = {}): Target {
  const target = open(context, words, options);
  using own = ownNetns();
  if (!target.netns.isSameAs(own)) return target;
  target[Symbol.dispose]();
  throw new NetloomError('own-namespace', `Cannot connect ${target.words}: its network is that of the host`, {
    hint: 'start the container with --network none',
  });
}

/**
 * A target as a person names it: the kind and the rest, or only a name.
 * @throws NetloomError unknown-target for an unknown kind
 */
export function readWords(words: string): { readonly kind?: string; readonly word: string } {
  const colon = words.indexOf(':');
  const kind = words.slice(0, colon);
  const word = words.slice(colon + 1);
  const kinds = [...KINDS, ...enginesOf({}).map(({ name }) => name)];
  if (colon >= 0 && !kinds.includes(kind)) {
    throw new NetloomError('unknown-target', `"${words}" is not a target: "${kind}" is not one of ${kinds.join(', ')}`);
  }
  if (word === '') throw new NetloomError('unknown-target', `"${words}" is not a target: it names nothing`);
  return colon < 0 ? { word } : { kind, word };
}

function open(context: RuntimeContext, words: string, options: TargetOptions): Target {
  const { kind, word } = readWords(words);
  if (kind === 'pid') return openProcess(word);
  if (kind === 'netns') return openPath(word);
  if (kind === 'sandbox') return openSandbox(context, word, options);
  const engines = enginesOf(context.environment);
  if (kind === undefined) return search(context, engines, word, options);
  const engine = engines.find(({ name }) => name === kind) as Engine; // readWords() has checked the kind
  const found = engine.find(word);
  if (found === undefined) throw new NetloomError('unknown-target', `${kind} has no container "${word}"`);
  return openContainer(engine, found, options);
}

function openProcess(word: string): Target {
  const pid = /^\d{1,10}$/.test(word) ? Number(word) : 0;
  if (pid === 0)
    throw new NetloomError('unknown-target', `"pid:${word}" is not a target: "${word}" is not a process number`);
  const process = findProcess(pid);
  if (process === undefined) throw new NetloomError('unknown-target', `There is no process ${pid}`);
  const id = { kind: 'pid', containerId: `pid-${pid}-${process.started}`, name: word };
  return openProcessNetns(id, process);
}

/** NB: by the time its namespace is open, the number may be another process's, which started at another time. */
function openProcessNetns(id: TargetId, process: ProcessId): Target {
  using cleanup = new DisposableStack();
  try {
    const netns = cleanup.use(openNetns(`/proc/${process.pid}/ns/net`));
    if (isSame(process)) {
      cleanup.move();
      return new Target(id, netns, process);
    }
  } catch (error) {
    if (isSame(process)) throw error; // EACCES: it runs, but we lack the permission.
  }
  throw new NetloomError('target-ended', `${wordsOf(id)} ended while it was being connected`);
}

function openPath(path: string): Target {
  const netns = openNetns(path);
  const last = path.slice(path.lastIndexOf('/') + 1);
  const containerId = `netns-${isName(last) ? `${last}-` : ''}${fnv1a(path).slice(0, 8)}`;
  return new Target({ kind: 'netns', containerId, name: path }, netns);
}

/** @throws NetloomError exclusive-network for a sandbox whose network is not its own */
function openSandbox(context: RuntimeContext, name: string, { shared = false }: TargetOptions): Target {
  const sandbox = findSandbox(context, name);
  const id = { kind: 'sandbox', containerId: name, name };
  if (sandbox.mode === 'host' || (sandbox.mode !== 'own' && !shared)) {
    throw new NetloomError(
      'exclusive-network',
      `Cannot connect ${wordsOf(id)}: it has the network of ${sandbox.mode === 'host' ? 'the host' : `"${sandbox.mode.slice('container:'.length)}"`}, and cannot have another`,
    );
  }
  return new Target(id, openSandboxNetns(context, name));
}

/** Looks a name without a kind up everywhere. */
function search(context: RuntimeContext, engines: readonly Engine[], word: string, options: TargetOptions): Target {
  const silent: string[] = [];
  const found: [Engine, EngineContainer][] = [];
  const isSandbox = tryFindSandbox(context, word) !== undefined || tryFindLost(context, word)?.isPinned === true;
  if (isSandbox) return openSandbox(context, word, options);
  for (const engine of engines) {
    if (!engine.isHere()) continue;
    try {
      const container = engine.find(word);
      if (container !== undefined) found.push([engine, container]);
    } catch (error) {
      silent.push(messageOf(error));
    }
  }
  const [first, ...others] = found;
  if (others.length > 0) {
    throw new NetloomError('ambiguous-target', `Several engines have a container "${word}"`, {
      hint: `name one: ${found.map(([{ name }]) => `${name}:${word}`).join(', ')}`,
    });
  }
  if (first !== undefined) {
    for (const message of silent) context.warn(message);
    return openContainer(...first, options);
  }
  const asked = engines.filter((engine) => engine.isHere()).map(({ name }) => name);
  throw new NetloomError('unknown-target', `There is no sandbox or container "${word}"`, {
    details:
      silent.length > 0
        ? silent.join('; ')
        : `asked: ${asked.length > 0 ? asked.join(', ') : 'no engine, none has a socket here'}`,
    hint: 'for a process use pid:N, for a namespace netns:PATH',
  });
}

function openContainer(engine: Engine, { id, name, pid }: EngineContainer, { shared = false }: TargetOptions): Target {
  const target: TargetId = { kind: engine.name, containerId: id, name };
  const process = pid > 0 ? findProcess(pid) : undefined;
  if (process === undefined) {
    throw new NetloomError('target-not-running', `Cannot connect ${wordsOf(target)}: it is not running`, {
      hint: 'start it first: it has a network namespace only while it runs',
    });
  }
  const opened = openProcessNetns(target, process);
  const other = shared ? undefined : engine.running().find((each) => each.id !== id && isInside(each, opened.netns));
  if (other === undefined) return opened;
  opened[Symbol.dispose]();
  throw new NetloomError(
    'shared-namespace',
    `Cannot connect ${wordsOf(target)} alone: it shares its network namespace with "${other.name}"`,
    {
      hint: 'with --shared both get the network',
    },
  );
}

function isInside({ pid }: EngineContainer, netns: Netns): boolean {
  using its = pid > 0 ? tryOpen(`/proc/${pid}/ns/net`) : undefined;
  return its?.isSameAs(netns) === true;
}

/** As tryOpenNetns(), for paths in /proc: these fail with ESRCH or EACCES where the process has just ended. */
function tryOpen(path: string): Netns | undefined {
  try {
    return tryOpenNetns(path);
  } catch {
    return undefined;
  }
}
