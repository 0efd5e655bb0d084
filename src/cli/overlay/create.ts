/**
 * `netloom overlay create NETWORK`: says that a directory is an overlay's store, once, before the first machine joins.
 */
import { buildCommand, type CommandContext } from '@stricli/core';
import { NetloomError } from '../../error.ts';
import { mark } from '../../overlay/store-mark.ts';
import { checkConf } from '../../plugins/overlay/conf.ts';
import { confOf } from './conf-of.ts';

export const createCommand = buildCommand({
  docs: {
    brief: "Mark a directory as an overlay's store",
    fullDescription:
      'Once for each overlay whose nodes are in a directory, on one machine, before any other has joined. Without it none joins an empty directory: that is what is left where a mount is missing.\n\nExample: netloom overlay create lab',
  },
  parameters: {
    positional: {
      kind: 'tuple',
      parameters: [{ brief: 'The network', parse: String, placeholder: 'NETWORK' }],
    },
    flags: {},
  },
  func(this: CommandContext, _flags: Record<never, never>, network: string) {
    const { source } = checkConf(confOf(network));
    if (!('file' in source)) {
      throw new NetloomError('invalid-value', `The nodes of "${network}" are in no directory: there is none to mark`);
    }
    const { path } = source.file;
    const isNew = mark(path, network);
    this.process.stdout.write(`${path} ${isNew ? 'is now' : 'was already'} the store of ${network}\n`);
  },
});
