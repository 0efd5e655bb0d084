/** `--plan` and `--script` of the commands that change something. */
import type { CommandContext } from '@stricli/core';
import { NetloomError } from '../../error.ts';
import { explainSandbox } from '../../inspect/explain.ts';
import type { Rehearsal } from '../../inspect/rehearse.ts';
import { planOf, scriptOf } from '../../inspect/script.ts';
import type { RuntimeContext } from '../../runtime/context.ts';
import { planSandbox, type SandboxOptions } from '../../runtime/sandbox/sandbox.ts';
import { printJson } from '../print.ts';

export interface PlanFlags {
  readonly plan: boolean;
  readonly script: boolean;
}

export const planFlags = {
  plan: { kind: 'boolean', default: false, brief: 'Only print the steps; change nothing' },
  script: { kind: 'boolean', default: false, brief: 'Only print the steps, as a bash script' },
} as const;

/** @throws NetloomError invalid-option where both are given */
export function isPlanned({ plan, script }: PlanFlags): boolean {
  if (plan && script)
    throw new NetloomError('invalid-option', 'Cannot combine --plan and --script, expected one of them');
  return plan || script;
}

/** Prints what making a sandbox would do. @param words the command that would make it */
export function printSandboxPlan(
  command: CommandContext,
  context: RuntimeContext,
  options: SandboxOptions,
  flags: PlanFlags & { readonly json: boolean },
  words: string,
): void {
  const plan = planSandbox(context, options);
  const rehearsal = explainSandbox(context, plan);
  if (!plan.isNew && !flags.json) {
    context.warn(`"${plan.name}" has the network of the host or of another container: nothing is attached`);
  }
  printRehearsal(command, rehearsal, flags, `What "netloom ${words}" does`, plan.netns ?? '');
}

export function printRehearsal(
  context: CommandContext,
  rehearsal: Rehearsal,
  { script, json }: { readonly script: boolean; readonly json: boolean },
  title: string,
  netns: string,
): void {
  if (json) printJson(context, rehearsal);
  else context.process.stdout.write(script ? scriptOf(rehearsal, title, netns) : planOf(rehearsal));
}
