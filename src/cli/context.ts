/** What commands need from outside. */
import { contextOf, type RuntimeContext } from '../runtime/context.ts';

/**
 * The runtime context of this process. Each warning is printed on stderr only once, because the same files are read for
 * each network.
 */
export function runtimeContext(): RuntimeContext {
  const said = new Set<string>();
  return contextOf(process.env, process.execPath, (message) => {
    if (said.has(message)) return;
    said.add(message);
    process.stderr.write(`netloom: ${message}\n`);
  });
}
