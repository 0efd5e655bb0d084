/**
 * The one executable. Under the name of a plugin type it is that plugin, as a container runtime executes it; under any other name it is the command line.
 */

import { serve } from './cni/serve.ts';
import { stdio } from './cni/stdio.ts';
import { libc } from './ffi/libc.ts';
import { plugins } from './plugins/registry.ts';

const name = process.argv0.slice(process.argv0.lastIndexOf('/') + 1);
const plugin = plugins.get(name);

if (plugin !== undefined) {
  // Straight out: the runtime's own way to end takes 1 ms more, and there is nothing left to flush.
  libc._exit(serve(plugin, stdio(process.env)));
}

// NB: no top-level await, bytecode cannot have it.
import('./cli/main.ts').then(({ main }) => main(process.argv.slice(2)));
