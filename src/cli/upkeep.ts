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
    brief: 'Remove what nobody needs any more',
    fullDescription:
      'Removes sandboxes whose "netloom run" was killed, endpoints whose container, process or namespace has ended, and lets the plugins of every network remove links, addresses and rules of attachments that are none any more. An attachment is valid if /var/lib/cni/results has it, whichever runtime put it there. Networks of which a container is attached that is not there, as with a runtime that keeps no results, are passed over unless they are named.\n\nExample: netloom gc',
  },
  parameters: {
    flags: { json: jsonFlag },
    positional: {
      kind: 'array',
      parameter: {
        parse: String,
        proposeCompletions: networkNames,
        placeholder: 'NET',
        brief: 'Collect these networks and no other, whoever may be attached',
      },
    },
  },
  func(this: CommandContext, { json }: { readonly json: boolean }, ...names: string[]) {
    report(this, json, (tell) => collect(runtimeContext(), names, tell));
  },
});

export const restoreCommand = buildCommand({
  docs: {
    brief: 'Bring back what was asked for, after a boot or a crash',
    fullDescription:
      'Makes sandboxes anew that are missing, and connects again what is recorded as connected and is not: containers that were started again, too. Addresses stay the same where they are free. What has not been started yet waits for the next time.\n\nExample: netloom restore',
  },
  parameters: { flags: { json: jsonFlag } },
  func(this: CommandContext, { json }: { readonly json: boolean }) {
    report(this, json, (tell) => restore(runtimeContext(), tell));
  },
});

export const checkCommand = buildCommand({
  docs: {
    brief: 'Compare what is connected with what was made',
    fullDescription: `Calls CHECK of every plugin for the endpoints of TARGET, or for all that netloom has made. Leaves with 1 where something differs, and says what. ${TARGETS}

Example: netloom check docker:app`,
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
          brief: 'Whose endpoints',
        },
      ],
    },
  },
  func(this: CommandContext, { json }: { readonly json: boolean }, words?: string) {
    report(this, json, (tell) => verify(runtimeContext(), words, tell));
  },
});

/** Tells of each thing when it is done: with many, all of them take their time. */
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
