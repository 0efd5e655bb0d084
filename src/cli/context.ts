/** What a command has of the world. */
import { contextOf, type RuntimeContext } from '../runtime/context.ts';

/** The runtime's surroundings for this process; what it warns of goes to stderr. */
export function runtimeContext(): RuntimeContext {
  return contextOf(process.env, process.execPath, (message) => void process.stderr.write(`netloom: ${message}\n`));
}
