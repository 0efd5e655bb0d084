/** `netloom doctor` */
import { buildCommand, type CommandContext } from '@stricli/core';
import { messageOf } from '../error.ts';
import { examine } from '../inspect/doctor/doctor.ts';
import type { Finding } from '../inspect/doctor/finding.ts';
import { runtimeContext } from './context.ts';
import { EXIT } from './errors.ts';
import { jsonFlag, printJson } from './print.ts';

interface Flags {
  readonly fix: boolean;
  readonly json: boolean;
}

/** A finding for people and programs, with the outcome of its fix. */
type Told = Omit<Finding, 'fix'> & { readonly fixed: boolean; readonly failed?: string };

export const doctorCommand = buildCommand({
  docs: {
    brief: 'Find faults, and fix them',
    fullDescription: `Looks for
  - conflists that cannot be read, and misspelt keys in them
  - attachments and sandboxes whose namespace or record is gone
  - links, addresses and nftables elements that belong to no attachment
  - attachments that have lost a route, an address or another part
  - forwarding that is off, firewalls that drop packets, MTUs that are too
    large, and reverse path filters that are too strict
and prints each fault with its evidence, its effect and a fix.

--fix applies the fixes that need no decision.

Exit status: 0 if no fault is left, 1 if there is one.

Examples:
  netloom doctor
  netloom doctor --fix`,
  },
  parameters: {
    flags: { fix: { kind: 'boolean', default: false, brief: 'Apply the fixes that need no decision' }, json: jsonFlag },
  },
  func(this: CommandContext, { fix, json }: Flags) {
    const all = examine(runtimeContext()).map((finding) => treated(finding, fix));
    if (json) printJson(this, all);
    else this.process.stdout.write(all.length === 0 ? 'No faults found\n' : all.map(words).join('\n'));
    if (all.some(({ fixed }) => !fixed)) process.exitCode = EXIT.failed;
  },
});

function treated({ fix, ...finding }: Finding, isWanted: boolean): Told {
  if (!isWanted || fix === undefined) return { ...finding, fixed: false };
  try {
    fix();
    return { ...finding, fixed: true };
  } catch (error) {
    return { ...finding, fixed: false, failed: messageOf(error) };
  }
}

function words({ what, evidence, effect, mend, fixed, failed }: Told): string {
  const end = fixed ? 'fixed' : `fix: ${mend}`;
  const lines = [what, `  evidence: ${evidence}`, `  effect: ${effect}`, `  ${end}`];
  return `${[...lines, ...(failed === undefined ? [] : [`  it could not be fixed: ${failed}`])].join('\n')}\n`;
}
