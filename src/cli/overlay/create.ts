/** `netloom overlay create NETWORK`: marks a directory as an overlay's store, once, before the first machine joins. */
import { buildCommand, type CommandContext } from '@stricli/core';
import { NetloomError } from '../../error.ts';
import { mark } from '../../overlay/store-mark.ts';
import { checkConf } from '../../plugins/overlay/conf.ts';
import { confOf } from './conf-of.ts';

export const createCommand = buildCommand({
  docs: {
    brief: 'Mark a directory as the store of an overlay',
    fullDescription: `Marks the directory that an overlay keeps its nodes in. Run it once for each
such overlay, on one machine, before the first machine joins. No machine joins
an empty directory without the mark, because a mount may be missing there.

The network must exist on this machine: see "netloom network create".

Example: netloom overlay create lab`,
  },
  parameters: {
    positional: {
      kind: 'tuple',
      parameters: [{ brief: 'Name of the overlay', parse: String, placeholder: 'NETWORK' }],
    },
    flags: {},
  },
  func(this: CommandContext, _flags: Record<never, never>, network: string) {
    const { source } = checkConf(confOf(network));
    if (!('file' in source)) {
      throw new NetloomError(
        'invalid-value',
        `Cannot mark a directory for "${network}": its nodes are not in a directory`,
      );
    }
    const { path } = source.file;
    const isNew = mark(path, network);
    this.process.stdout.write(`${path} ${isNew ? 'is now' : 'was already'} the store of ${network}\n`);
  },
});
