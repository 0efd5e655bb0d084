import { buildCommand, type CommandContext } from '@stricli/core';
import { portWords } from '../../runtime/ports.ts';
import { runtimeContext } from '../context.ts';
import { jsonFlag, printJson, printTable } from '../print.ts';
import { describeSandboxes } from './describe.ts';

export const listCommand = buildCommand({
  docs: {
    brief: 'List sandboxes',
    fullDescription: `Lists the sandboxes with their processes, networks and published ports. STATE is
  present  the sandbox can be used
  missing  the namespace is gone, as after a boot: run "netloom restore"
  lost     the record is damaged or gone: "netloom sandbox rm NAME" removes the
           rest

Example: netloom sandbox ls --json`,
  },
  parameters: { flags: { json: jsonFlag } },
  func(this: CommandContext, { json }: { readonly json: boolean }) {
    const context = runtimeContext();
    const all = describeSandboxes(context);
    if (json) printJson(this, all);
    else {
      printTable(
        this,
        ['NAME', 'STATE', 'PROCESSES', 'NETWORK', 'PORTS'],
        all.map(({ name, state, mode, endpoints, processes }) => [
          name,
          state,
          String(processes.length),
          endpoints.map(({ network, addresses }) => `${network} ${addresses.join(' ')}`.trim()).join(', ') ||
            (mode === 'own' ? 'none' : mode),
          endpoints.flatMap(({ ports }) => ports.map(portWords)).join(', '),
        ]),
      );
    }
  },
});

export const psCommand = buildCommand({
  docs: {
    brief: 'List the processes in sandboxes',
    fullDescription: `Lists every process in a sandbox that has a network namespace of its own.

Example: netloom ps --json`,
  },
  parameters: { flags: { json: jsonFlag } },
  func(this: CommandContext, { json }: { readonly json: boolean }) {
    const context = runtimeContext();
    const rows = describeSandboxes(context).flatMap(({ name, processes }) =>
      processes.map((process) => ({ sandbox: name, ...process })),
    );
    if (json) printJson(this, rows);
    else
      printTable(
        this,
        ['SANDBOX', 'PID', 'COMMAND'],
        rows.map(({ sandbox, pid, command }) => [sandbox, String(pid), command]),
      );
  },
});
