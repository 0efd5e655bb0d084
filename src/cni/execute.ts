/** A plugin as the whole program: what src/main.ts starts for a type. */
import { libc } from '../ffi/libc.ts';
import type { NetConf } from './call.ts';
import type { Plugin } from './plugin.ts';
import { serve } from './serve.ts';
import { stdio } from './stdio.ts';

/**
 * Serves the call that this process was executed for, and ends the process at once: the engine's own way to end takes 1
 * ms more, and there is nothing left to flush.
 */
export function execute<C extends NetConf>(plugin: Plugin<C>): never {
  libc._exit(serve(plugin, stdio(process.env)));
  throw new Error('_exit returned');
}
