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
    brief: 'Run a command in a network namespace of its own',
    fullDescription: `Makes a sandbox (a network namespace), connects it to its networks, and runs CMD
there. When CMD ends, the sandbox is removed, with every process that is left in
it. Without --network there is only lo. There is no image: CMD sees the files of
this machine, but has an /etc/resolv.conf and an /etc/hosts of its own.

With --detach CMD runs on without a terminal, and the name of its sandbox is
printed. "netloom sandbox ls" shows its ports, "netloom sandbox rm --force NAME"
ends it.

--plan and --script only print the steps. The script runs CMD in the foreground,
and leaves the sandbox and its networks in place.

Exit status: that of CMD; 128 + N if signal N ended it; 127 if there is no such
command; 126 if it cannot be executed; 125 if netloom failed.

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
        brief: 'Run CMD in the background, without input and output',
      },
    },
    aliases: { ...sandboxAliases, d: 'detach' },
    positional: {
      kind: 'array',
      minimum: 1,
      parameter: {
        parse: String,
        placeholder: 'CMD',
        brief: 'Command and its arguments; options of netloom come before it',
      },
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

/** @param report called when the command of a detached run has begun, or with the reason why it has not */
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
    // Where only the cleanup failed, the command's own status is more useful than ours.
    fail(`${sentencesOf(error)}\n`, EXEC_EXIT.failed);
  }
  return status;
}
