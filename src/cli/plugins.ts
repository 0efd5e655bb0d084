import { buildCommand, type CommandContext } from '@stricli/core';
import { plugins } from '../plugins/registry.ts';

/** `netloom plugins`: one plugin type per line, for the build and other scripts. */
export const pluginsCommand = buildCommand({
  docs: {
    brief: 'List the plugin types',
    fullDescription: 'Prints one type per line. --json adds what each type is for.\n\nExample: netloom plugins --json',
  },
  parameters: {
    flags: { json: { kind: 'boolean', default: false, brief: 'Print JSON, with what each type is for' } },
  },
  func(this: CommandContext, { json }: { json: boolean }) {
    const all = [...plugins.values()].map(({ type, about }) => ({ type, about }));
    this.process.stdout.write(json ? `${JSON.stringify(all, null, 2)}\n` : all.map(({ type }) => `${type}\n`).join(''));
  },
});
