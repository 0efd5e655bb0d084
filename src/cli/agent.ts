/** `netloom agent`: the resident part, see src/agent. */
import { buildCommand, type CommandContext } from '@stricli/core';
import { runAgent } from '../agent/agent.ts';
import { LEVELS, type Level } from '../agent/log.ts';
import { addressOf, CALL_LIMIT_MAX, DEFAULTS, DRAIN_LIMIT_MAX, isSeconds } from '../agent/settings.ts';
import { libc } from '../ffi/libc.ts';
import { become } from '../ffi/spawn.ts';
import { pathsOf } from '../paths.ts';
import { EXIT } from './errors.ts';
import { VERSION } from './version.ts';

const ENGINE_OPTION = 'BUN_JSC_useFTLJIT';

interface Flags {
  readonly foreground: boolean;
  readonly callLimit?: number;
  readonly drainLimit?: number;
  readonly logLevel?: Level;
  readonly metrics?: readonly string[];
}

export const agentCommand = buildCommand({
  docs: {
    brief: 'Serve plugin calls from a resident process, several times as fast',
    fullDescription:
      'Waits for calls at /run/netloom/agent.sock and carries them out for the plugins that "netloom install" put in place. Without it they carry them out themselves. SIGTERM ends it when its calls have ended; it may be killed at any time. A new agent takes the place of a running one. SIGHUP makes it read /etc/netloom/agent.json again, which has the same settings as the flags: callLimit, drainLimit, logLevel, metrics. The log is lines of JSON on stderr. "netloom status" asks how it goes.\n\nExample: /opt/cni/bin/netloom agent',
  },
  parameters: {
    flags: {
      foreground: {
        kind: 'boolean',
        default: true,
        brief: 'Stay in the foreground, as service managers want it (there is no other way)',
      },
      callLimit: {
        kind: 'parsed',
        parse: seconds(CALL_LIMIT_MAX),
        optional: true,
        brief: `Seconds that a call may take (${DEFAULTS.callLimit})`,
      },
      drainLimit: {
        kind: 'parsed',
        parse: seconds(DRAIN_LIMIT_MAX),
        optional: true,
        brief: `Seconds that calls may go on after SIGTERM (${DEFAULTS.drainLimit})`,
      },
      logLevel: {
        kind: 'enum',
        values: LEVELS,
        optional: true,
        brief: `The lowest level that is logged (${DEFAULTS.logLevel}); debug tells of each call`,
      },
      metrics: {
        kind: 'parsed',
        parse: address,
        optional: true,
        variadic: true,
        brief: 'Answer /metrics, /healthz and /status at HOST:PORT or unix:/PATH, too',
      },
    },
  },
  func(this: CommandContext, { foreground: _, ...flags }: Flags) {
    if (libc.geteuid() !== 0) {
      this.process.stderr.write('netloom agent: it has to run as root\n');
      process.exitCode = EXIT.failed;
      return;
    }
    // The optimizing compiler of last resort: 20 MB and a fifth of the processor's time for code that waits for the
    // kernel. An option of the engine can only be given in the environment of a process that begins.
    if (process.env[ENGINE_OPTION] === undefined) {
      become(process.execPath, [process.argv0, ...process.argv.slice(2)], { ...process.env, [ENGINE_OPTION]: '0' });
    }
    runAgent({ paths: pathsOf(process.env), version: VERSION, flags, environment: process.env });
  },
});

function seconds(most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!isSeconds(value, most)) throw new Error(`"${text}", expected a number of seconds up to ${most}`);
    return value;
  };
}

/** Read again by the agent, which takes the same words from its file. */
function address(text: string): string {
  addressOf(text);
  return text;
}
