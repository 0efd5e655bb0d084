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

/** A finding for people and programs, with what has become of it. */
type Told = Omit<Finding, 'fix'> & { readonly fixed: boolean; readonly failed?: string };

export const doctorCommand = buildCommand({
  docs: {
    brief: 'Find what is not as it should be, and mend it',
    fullDescription: `Looks for links, leases and elements of attachments that are none any more, for attachments that have lost something, for forwarding that is off, firewalls that drop, MTUs that are too large and reverse path filters that are too strict, and for keys in conflists that look like slips of the pen. Each finding has its evidence, its effect and what mends it.

With --fix, what can be mended without a decision is mended. Leaves with 1 where something is left.

Examples:
  netloom doctor
  netloom doctor --fix`,
  },
  parameters: {
    flags: { fix: { kind: 'boolean', default: false, brief: 'Mend what can be mended' }, json: jsonFlag },
  },
  func(this: CommandContext, { fix, json }: Flags) {
    const all = examine(runtimeContext()).map((finding) => treated(finding, fix));
    if (json) printJson(this, all);
    else this.process.stdout.write(all.length === 0 ? 'Nothing is found to be wrong\n' : all.map(words).join('\n'));
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
  const end = fixed ? 'mended' : `mend: ${mend}`;
  const lines = [what, `  evidence: ${evidence}`, `  effect: ${effect}`, `  ${end}`];
  return `${[...lines, ...(failed === undefined ? [] : [`  it could not be mended: ${failed}`])].join('\n')}\n`;
}
