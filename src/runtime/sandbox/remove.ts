/** Removing a sandbox by name, also one whose record is lost. */
import { NetloomError } from '../../error.ts';
import type { RuntimeContext } from '../context.ts';
import { EndpointStore } from '../endpoints.ts';
import { exclusively } from '../lock.ts';
import { processesIn, type RunningProcess } from '../process.ts';
import { removeLocked, sandboxProcesses } from './sandbox.ts';
import {
  findSandbox,
  type LostSandbox,
  type Sandbox,
  sandboxNetns,
  sandboxRecords,
  tryFindLost,
  tryFindSandbox,
  tryOpenPin,
} from './store.ts';

/**
 * Removes a sandbox.
 * @throws NetloomError no-sandbox; sandbox-in-use while processes run in it, unless `force` kills them
 */
export function removeSandbox(context: RuntimeContext, name: string, { force = false } = {}): void {
  exclusively(context, () => {
    const lost = tryFindSandbox(context, name) === undefined ? tryFindLost(context, name) : undefined;
    const sandbox = lost === undefined ? findSandbox(context, name) : undefined;
    const running = sandbox === undefined ? processesOfLost(context, name) : sandboxProcesses(context, sandbox);
    if (running.length > 0 && !force) {
      throw new NetloomError(
        'sandbox-in-use',
        `Cannot remove the sandbox "${name}": ${running.length === 1 ? 'a process runs' : `${running.length} processes run`} in it`,
        { details: wordsOf(running), hint: 'end them first, or use --force' },
      );
    }
    refuseShared(context, name);
    if (sandbox !== undefined) removeLocked(context, sandbox);
    else removeLost(context, name, running);
  });
}

/**
 * Removes what gc may remove: a namespace without a record in which nothing runs. NB: a record that was set aside
 * stays, for a person to read.
 */
export function removeIdle(context: RuntimeContext, { name }: LostSandbox): void {
  refuseShared(context, name);
  removeLocked(context, asSandbox(context, name));
}

/** The processes in the namespace of a sandbox without a record, even if they belong to others. */
export function processesOfLost(context: RuntimeContext, name: string): RunningProcess[] {
  using netns = tryOpenPin(sandboxNetns(context, name));
  return netns === undefined ? [] : processesIn(netns);
}

function removeLost(context: RuntimeContext, name: string, running: readonly RunningProcess[]): void {
  const sandbox = asSandbox(context, name);
  removeLocked(context, sandbox);
  sandboxRecords(context).removeDamaged(name);
  if (sandbox.mode === 'own' || running.length === 0) return;
  context.warn(
    `not killed: ${wordsOf(running)}; without the record of "${name}" they may be those of another container, which shared its network`,
  );
}

/** As far as known: a sandbox with networks of its own has a namespace of its own. In any other nothing is killed. */
function asSandbox(context: RuntimeContext, name: string): Pick<Sandbox, 'name' | 'mode'> {
  const isWired = new EndpointStore(context).of(name).some(({ target }) => target.kind === 'sandbox');
  return { name, mode: isWired ? 'own' : 'unknown' };
}

/** Refuses to remove a sandbox whose namespace others share: they would lose their network. */
function refuseShared(context: RuntimeContext, name: string): void {
  const modes = [`container:${name}`, `container:sandbox:${name}`];
  const others = sandboxRecords(context)
    .list()
    .filter(({ mode }) => modes.includes(mode));
  if (others.length === 0) return;
  throw new NetloomError('sandbox-in-use', `Cannot remove the sandbox "${name}": others share its network`, {
    details: others.map((other) => other.name).join(', '),
    hint: 'remove them first',
  });
}

function wordsOf(running: readonly RunningProcess[]): string {
  return running.map(({ pid, command }) => `${pid} ${command}`).join(', ');
}
