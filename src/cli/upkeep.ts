/** `netloom gc`, `netloom restore` and `netloom check`. */
import { buildCommand, type CommandContext } from '@stricli/core';
import { collect, type Deed, restore, verify } from '../runtime/upkeep.ts';
import { networkNames, sandboxNames } from './completion.ts';
import { TARGETS } from './connect/targets.ts';
import { runtimeContext } from './context.ts';
import { EXIT } from './errors.ts';
import { jsonFlag, printJson } from './print.ts';

export const gcCommand = buildCommand({
  docs: {
    brief: 'Remove what ended containers and commands left behind',
    fullDescription: `Removes
  - sandboxes whose "netloom run" was killed
  - connections whose container, process or namespace has ended
  - what the plugins of each network find to belong to no attachment: links,
    addresses and rules

Attachments are listed in /var/lib/cni/results, where container runtimes write
too. A network is passed over if a container on it may be in use that is not
listed, as with a runtime that keeps no results. To collect it anyway, name it:
containers that are not listed then lose it.

Examples:
  netloom gc
  netloom gc web`,
    customUsage: ['[--json] [NET]...'],
  },
  parameters: {
    flags: { json: jsonFlag },
    positional: {
      kind: 'array',
      parameter: {
        parse: String,
        proposeCompletions: networkNames,
        placeholder: 'NET',
        brief: 'Collect these networks only, and do not pass them over; default: all',
      },
    },
  },
  func(this: CommandContext, { json }: { readonly json: boolean }, ...names: string[]) {
    report(this, json, (tell) => collect(runtimeContext(), names, tell));
  },
});

export const restoreCommand = buildCommand({
  docs: {
    brief: 'Restore sandboxes and connections after a boot or a crash',
    fullDescription: `Makes missing sandboxes again, and reconnects what was connected and is not now,
such as containers that were restarted. Addresses stay the same if they are
still free. A container that has not been started yet is reported as "waits":
run the command again when it has.

Example: netloom restore`,
  },
  parameters: { flags: { json: jsonFlag } },
  func(this: CommandContext, { json }: { readonly json: boolean }) {
    report(this, json, (tell) => restore(runtimeContext(), tell));
  },
});

export const checkCommand = buildCommand({
  docs: {
    brief: 'Check that connections are as they were made',
    fullDescription: `Checks the connections of TARGET, or without TARGET all that netloom has made:
it calls CHECK of every plugin, and prints a line for each connection.

Exit status: 0 if all are as they were made, 1 if something differs.

${TARGETS}

Examples:
  netloom check
  netloom check docker:app`,
  },
  parameters: {
    flags: { json: jsonFlag },
    positional: {
      kind: 'tuple',
      parameters: [
        {
          parse: String,
          optional: true,
          proposeCompletions: sandboxNames,
          placeholder: 'TARGET',
          brief: 'What to check; default: everything that netloom has connected',
        },
      ],
    },
  },
  func(this: CommandContext, { json }: { readonly json: boolean }, words?: string) {
    report(this, json, (tell) => verify(runtimeContext(), words, tell));
  },
});

/** Prints each deed as soon as it is done: many of them together take a while. */
function report(context: CommandContext, json: boolean, run: (tell: (deed: Deed) => void) => void): void {
  const deeds: Deed[] = [];
  run((deed) => {
    deeds.push(deed);
    const { what, did, why } = deed;
    if (json || did === 'collected') return;
    context.process.stdout.write(`${what}: ${did}${why === undefined ? '' : `, ${why}`}\n`);
  });
  if (json) printJson(context, deeds);
  if (deeds.some(({ did }) => did === 'failed')) process.exitCode = EXIT.failed;
}
