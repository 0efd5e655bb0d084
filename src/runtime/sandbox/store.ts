/** Sandboxes: network namespaces without an engine, pinned under /run. Their options are remembered across boots. */
import * as v from 'valibot';
import { isName } from '../../cni/config.ts';
import { object } from '../../cni/schema.ts';
import { hasCode, NetloomError } from '../../error.ts';
import { tryList } from '../../ffi/directory.ts';
import { type Netns, tryOpenNetns } from '../../netns/namespace.ts';
import type { RuntimeContext } from '../context.ts';
import { Records } from '../records.ts';

const SCHEMA = () =>
  object({
    format: v.literal(1),
    name: v.string(),
    /** `own`, `host`, or the target whose namespace it shares: `container:sandbox:db`. */
    mode: v.string(),
    /** Made by `netloom run`: it is removed when its command ends. */
    isTransient: v.boolean(),
    nameservers: v.array(v.string()),
    search: v.array(v.string()),
    /** `NAME:ADDRESS` */
    hosts: v.array(v.string()),
    command: v.array(v.string()),
    /** The netloom that runs the command. */
    runner: v.exactOptional(object({ pid: v.number(), started: v.string() })),
  });

export type Sandbox = v.InferOutput<ReturnType<typeof SCHEMA>>;

type Surroundings = Pick<RuntimeContext, 'paths' | 'warn'>;

export function sandboxRecords({ paths, warn }: Surroundings): Records<ReturnType<typeof SCHEMA>> {
  return new Records(`${paths.state}/sandboxes`, SCHEMA, warn);
}

/** NB: an invalid name may be a path, and a file elsewhere is not a damaged record of ours. */
export function tryFindSandbox(context: RuntimeContext, name: string): Sandbox | undefined {
  return isName(name) ? sandboxRecords(context).get(name) : undefined;
}

/** @throws NetloomError no-sandbox, lost-sandbox */
export function findSandbox(context: RuntimeContext, name: string): Sandbox {
  const found = tryFindSandbox(context, name);
  if (found !== undefined) return found;
  const lost = tryFindLost(context, name);
  if (lost !== undefined) {
    throw new NetloomError('lost-sandbox', `Cannot use the sandbox "${name}": ${lost.why}`, {
      hint: `"netloom sandbox rm ${name}" removes what is left of it`,
    });
  }
  throw new NetloomError('no-sandbox', `There is no sandbox "${name}"`, { hint: '"netloom sandbox ls" lists them' });
}

/** The path where a sandbox's namespace is pinned. */
export function sandboxNetns({ paths }: Pick<RuntimeContext, 'paths'>, name: string): string {
  return `${paths.run}/netns/${name}`;
}

/** The namespace of a sandbox. @throws NetloomError missing-sandbox */
export function openSandboxNetns(context: Surroundings, name: string): Netns {
  const pin = tryOpenPin(sandboxNetns(context, name));
  if (pin !== undefined) return pin;
  throw new NetloomError('missing-sandbox', `The sandbox "${name}" has no namespace any more, as after a boot`, {
    hint: '"netloom restore" brings it back',
  });
}

/** Opens the pin of a sandbox; undefined where it is gone, as after a boot, which may leave an empty file. */
export function tryOpenPin(path: string): Netns | undefined {
  try {
    return tryOpenNetns(path);
  } catch (error) {
    if (hasCode(error, 'not-a-namespace')) return undefined;
    throw error;
  }
}

/** A sandbox without its record: its options are lost, and whether the namespace is its own. */
export interface LostSandbox {
  readonly name: string;
  /** Whether a namespace is pinned under its name. */
  readonly isPinned: boolean;
  /** What happened to the record, as the end of a sentence after a colon. */
  readonly why: string;
}

/** All lost sandboxes, by name. NB: a record is written before its pin is made, and removed after it. */
export function lostSandboxes(context: Surroundings): LostSandbox[] {
  const records = sandboxRecords(context);
  const pins = tryList(sandboxNetns(context, '')) ?? [];
  const present = new Set(records.names());
  const names = new Set([...pins, ...records.damaged()]);
  return [...names].sort().flatMap((name) => (present.has(name) ? [] : (tryFindLost(context, name) ?? [])));
}

export function tryFindLost(context: Surroundings, name: string): LostSandbox | undefined {
  if (!isName(name)) return undefined;
  const records = sandboxRecords(context);
  using pin = tryOpenPin(sandboxNetns(context, name));
  const isDamaged = records.damaged().includes(name);
  if (records.names().includes(name) || (pin === undefined && !isDamaged)) return undefined;
  const why = isDamaged
    ? `its record is damaged, and was set aside as "${records.fileOfDamaged(name)}"`
    : `it has a namespace at "${sandboxNetns(context, name)}", and no record`;
  return { name, isPinned: pin !== undefined, why };
}
