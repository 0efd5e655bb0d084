/** `netloom agent`: the resident part, see src/agent. */
import { buildCommand, type CommandContext } from '@stricli/core';
import { runAgent } from '../agent/agent.ts';
import { libc } from '../ffi/libc.ts';
import { become } from '../ffi/spawn.ts';
import { pathsOf } from '../paths.ts';

const ENGINE_OPTION = 'BUN_JSC_useFTLJIT';

interface Flags {
  readonly foreground: boolean;
  readonly callLimit: number;
  readonly drainLimit: number;
}

export const agentCommand = buildCommand({
  docs: {
    brief: 'Serve plugin calls from a resident process, several times as fast',
    fullDescription:
      'Waits for calls at /run/netloom/agent.sock and carries them out for the plugins that "netloom install" put in place. Without it they carry them out themselves. SIGTERM ends it when its calls have ended; it may be killed at any time. A new agent takes the place of a running one.\n\nExample: /opt/cni/bin/netloom agent',
  },
  parameters: {
    flags: {
      foreground: {
        kind: 'boolean',
        default: true,
        brief: 'Stay in the foreground, as service managers want it (there is no other way)',
      },
      callLimit: { kind: 'parsed', parse: seconds, default: '120', brief: 'Seconds that a call may take' },
      drainLimit: {
        kind: 'parsed',
        parse: seconds,
        default: '30',
        brief: 'Seconds that calls may go on after SIGTERM',
      },
    },
  },
  func(this: CommandContext, { callLimit, drainLimit }: Flags) {
    if (libc.geteuid() !== 0) {
      this.process.stderr.write('netloom agent: it has to run as root\n');
      process.exitCode = 1;
      return;
    }
    // The optimizing compiler of last resort: 20 MB and a fifth of the processor's time for code that waits for the kernel. An option of the engine
    // can only be given in the environment of a process that begins.
    if (process.env[ENGINE_OPTION] === undefined) {
      become(process.execPath, [process.argv0, ...process.argv.slice(2)], { ...process.env, [ENGINE_OPTION]: '0' });
    }
    runAgent({ paths: pathsOf(process.env), callLimit: callLimit * 1000, drainLimit: drainLimit * 1000 });
  },
});

function seconds(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 86_400)) throw new Error(`"${text}", expected a number of seconds up to 86400`);
  return value;
}
