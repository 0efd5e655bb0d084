/** What a command has of the world. */
import { contextOf, type RuntimeContext } from '../runtime/context.ts';

/**
 * The runtime's surroundings for this process; what it warns of goes to stderr, once: what is read for each network is
 * read again and again.
 */
export function runtimeContext(): RuntimeContext {
  const said = new Set<string>();
  return contextOf(process.env, process.execPath, (message) => {
    if (said.has(message)) return;
    said.add(message);
    process.stderr.write(`netloom: ${message}\n`);
  });
}
