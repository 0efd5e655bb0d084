/**
 * containerd, read from what its shims keep on disk: `STATE/io.containerd.runtime.v2.task/NAMESPACE/ID/init.pid`. Its
 * API is gRPC, and a client for that is larger than the rest of netloom's command line (docs/decisions.md).
 */
import { NetloomError } from '../../error.ts';
import { tryList } from '../../ffi/directory.ts';
import { tryReadText, tryStat } from '../../ffi/file.ts';
import { isAlive } from '../process.ts';
import type { Engine, EngineContainer } from './engine.ts';

const TASKS = 'io.containerd.runtime.v2.task';

interface Task extends EngineContainer {
  readonly namespace: string;
}

/**
 * @param state containerd's `--state`
 * @param hidden namespaces whose containers belong to another engine; these are found only when the namespace is named
 */
export function containerd(state: string, hidden: readonly string[] = ['moby']): Engine {
  const root = `${state}/${TASKS}`;
  const tasks = (): Task[] =>
    (tryList(root) ?? []).sort().flatMap((namespace) =>
      (tryList(`${root}/${namespace}`) ?? []).sort().map((id) => {
        const pid = Number(tryReadText(`${root}/${namespace}/${id}/init.pid`) ?? 0);
        return { namespace, id, name: id, pid: pid > 0 && isAlive(pid) ? pid : 0 };
      }),
    );
  return {
    name: 'containerd',
    isHere: () => tryStat(root) !== undefined,
    find(word) {
      const slash = word.indexOf('/');
      const namespace = slash < 0 ? undefined : word.slice(0, slash);
      const id = word.slice(slash + 1);
      const inNamespace = tasks().filter((task) =>
        namespace === undefined ? !hidden.includes(task.namespace) : task.namespace === namespace,
      );
      const exact = inNamespace.filter((task) => task.id === id);
      const found = exact.length > 0 ? exact : inNamespace.filter((task) => task.id.startsWith(id));
      if (found.length < 2) return found[0];
      throw new NetloomError('ambiguous-target', `"${word}" matches several containers of containerd`, {
        hint: `name one: ${found.map((task) => `containerd:${task.namespace}/${task.id}`).join(', ')}`,
      });
    },
    running: () => tasks().filter(({ pid, namespace }) => pid > 0 && !hidden.includes(namespace)),
  };
}
