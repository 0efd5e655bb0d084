/** Sandboxes: network namespaces without an engine, pinned below /run, with what was asked for them remembered beyond a boot. */
import * as v from 'valibot';
import { object } from '../../cni/schema.ts';
import { NetloomError } from '../../error.ts';
import type { RuntimeContext } from '../context.ts';
import { Records } from '../records.ts';

const SCHEMA = () =>
  object({
    format: v.literal(1),
    name: v.string(),
    /** `own`, `host`, or the words of the target whose namespace it shares: `container:sandbox:db`. */
    mode: v.string(),
    /** Gone when its command ends: made by `netloom run`. */
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

export function sandboxRecords({
  paths,
  warn,
}: Pick<RuntimeContext, 'paths' | 'warn'>): Records<ReturnType<typeof SCHEMA>> {
  return new Records(`${paths.state}/sandboxes`, SCHEMA, warn);
}

export function tryFindSandbox(context: RuntimeContext, name: string): Sandbox | undefined {
  return sandboxRecords(context).get(name);
}

/** @throws NetloomError no-sandbox */
export function findSandbox(context: RuntimeContext, name: string): Sandbox {
  const found = tryFindSandbox(context, name);
  if (found !== undefined) return found;
  throw new NetloomError('no-sandbox', `There is no sandbox "${name}"`, { hint: '"netloom sandbox ls" lists them' });
}

/** Where a sandbox's namespace is pinned. */
export function sandboxNetns({ paths }: Pick<RuntimeContext, 'paths'>, name: string): string {
  return `${paths.run}/netns/${name}`;
}
