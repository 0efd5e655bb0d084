import { buildCommand, type CommandContext } from '@stricli/core';
import { createSandbox } from '../../runtime/sandbox/sandbox.ts';
import { wordsOfConnected } from '../connect/describe.ts';
import { runtimeContext } from '../context.ts';
import { isPlanned, type PlanFlags, planFlags, printSandboxPlan } from '../explain/flags.ts';
import { jsonFlag, printJson } from '../print.ts';
import { describeSandbox } from './describe.ts';
import { optionsOf, type SandboxFlags, sandboxAliases, sandboxFlags } from './flags.ts';

export const createCommand = buildCommand({
  docs: {
    brief: 'Create a sandbox',
    fullDescription: `Creates a sandbox: a network namespace without a container. It stays until
"netloom sandbox rm"; after a boot, "netloom restore" brings it back. "netloom
exec" runs commands in it, "netloom connect" connects it to more networks.
Without --network there is only lo.

Examples:
  netloom sandbox create --name db --network db,ip=10.91.0.20
  netloom sandbox create --name db --network db --script`,
  },
  parameters: { flags: { ...sandboxFlags, ...planFlags, json: jsonFlag }, aliases: sandboxAliases },
  func(this: CommandContext, { json, plan, script, ...flags }: SandboxFlags & PlanFlags & { readonly json: boolean }) {
    const context = runtimeContext();
    if (isPlanned({ plan, script })) {
      return printSandboxPlan(this, context, optionsOf(flags), { plan, script, json }, 'sandbox create');
    }
    const { sandbox, connected } = createSandbox(context, optionsOf(flags));
    if (json) printJson(this, describeSandbox(context, sandbox));
    else {
      this.process.stdout.write(`sandbox ${sandbox.name}\n`);
      for (const made of connected) this.process.stdout.write(`${wordsOfConnected(made)}\n`);
    }
  },
});
