import { buildCommand, type CommandContext } from '@stricli/core';
import { createSandbox, endSandbox } from '../../runtime/sandbox/sandbox.ts';
import { runtimeContext } from '../context.ts';
import { sentencesOf } from '../errors.ts';
import { isPlanned, type PlanFlags, planFlags, printSandboxPlan } from '../explain/flags.ts';
import { reporter, startDetached } from './detached.ts';
import { EXEC_EXIT, execute } from './execute.ts';
import { optionsOf, type SandboxFlags, sandboxAliases, sandboxFlags } from './flags.ts';

export const runCommand = buildCommand({
  docs: {
    brief: 'Run a command in a network namespace of its own, with networks',
    fullDescription: `Makes a sandbox, connects it, runs the command there and removes the sandbox with whatever still runs in it. No image is needed: files are those of the machine, but /etc/resolv.conf and /etc/hosts. The exit status is the command's, 128 and a signal's number where that ended it, 127 where there is no such command, 126 where it cannot be executed, and 125 where netloom itself failed.

With --detach the command goes on without the terminal; "netloom sandbox ls" shows its ports, "netloom sandbox rm --force" ends it, and its own end takes the sandbox away, too.

--plan and --script tell of all that, and do nothing. The script makes the sandbox and its networks, and runs the command there with the same files and in the foreground; what it has made it leaves.

Examples:
  netloom run --network web -- ping -c 1 10.90.0.1
  netloom run --name site --network web,ip=10.90.0.20 -p 8080:80 -- python3 -m http.server 80
  netloom run -d --name site --network web -p 80 -- python3 -m http.server 80
  netloom run --network container:site -- ip addr`,
  },
  parameters: {
    flags: {
      ...sandboxFlags,
      ...planFlags,
      detach: {
        kind: 'boolean',
        default: false,
        brief: 'Leave the command running, without input and output, and print the name of its sandbox',
      },
    },
    aliases: { ...sandboxAliases, d: 'detach' },
    positional: {
      kind: 'array',
      minimum: 1,
      parameter: { parse: String, placeholder: 'CMD', brief: 'Command with its arguments, after "--"' },
    },
  },
  async func(
    this: CommandContext,
    { plan, script, detach, ...flags }: SandboxFlags & PlanFlags & { readonly detach: boolean },
    ...command: string[]
  ) {
    if (isPlanned({ plan, script })) {
      const options = { ...optionsOf(flags), command };
      return printSandboxPlan(this, runtimeContext(), options, { plan, script, json: false }, 'run');
    }
    const report = reporter();
    if (detach && report === undefined) {
      const begun = await startDetached(process.argv.slice(2));
      if ('name' in begun) this.process.stdout.write(`${begun.name}\n`);
      else {
        this.process.stderr.write(begun.message);
        process.exitCode = begun.status;
      }
      return;
    }
    process.exitCode = await run(flags, command, report);
  },
});

/** @param report for a command that nobody waits for: told when it has begun, or why it has not */
async function run(
  flags: SandboxFlags,
  command: readonly string[],
  report: ReturnType<typeof reporter>,
): Promise<number> {
  const context = runtimeContext();
  let status: number = EXEC_EXIT.failed;
  const fail = (message: string, failure: number) => {
    process.stderr.write(message);
    report?.({ status: failure, message });
  };
  try {
    const { sandbox } = createSandbox(context, { ...optionsOf(flags), command });
    try {
      const begun = () => report?.({ name: sandbox.name });
      status = await execute(context, sandbox, command, { begun, failed: fail });
    } finally {
      endSandbox(context, sandbox);
    }
  } catch (error) {
    // Where only the end failed, the command's own status is worth more than ours.
    fail(`${sentencesOf(error)}\n`, EXEC_EXIT.failed);
  }
  return status;
}
