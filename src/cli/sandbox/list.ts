import { buildCommand, type CommandContext } from '@stricli/core';
import { portWords } from '../../runtime/ports.ts';
import { runtimeContext } from '../context.ts';
import { jsonFlag, printJson, printTable } from '../print.ts';
import { describeSandboxes } from './describe.ts';

export const listCommand = buildCommand({
  docs: {
    brief: 'List the sandboxes',
    fullDescription:
      'STATE is "missing" where the namespace is gone, as after a boot: "netloom restore" brings it back. It is "lost" where the record is damaged or gone: "netloom sandbox rm" removes what is left.\n\nExample: netloom sandbox ls --json',
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
  docs: { brief: 'List the processes that run in sandboxes', fullDescription: 'Example: netloom ps --json' },
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
