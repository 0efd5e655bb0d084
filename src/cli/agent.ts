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
    brief: 'Run the agent, which serves plugin calls faster',
    fullDescription: `Runs in the foreground and serves the calls of the plugins that "netloom
install" put in place. Without an agent each plugin does the work itself, with
the same result, but slower.

Run the netloom of the plugin directory: plugins do not use an agent of another
build. A new agent takes over from a running one. "netloom status" shows how it
is doing.

Signals:
  SIGTERM  end after the calls that are running
  SIGHUP   read /etc/netloom/agent.json again
It may also be killed at any time.

/etc/netloom/agent.json may have callLimit, drainLimit, logLevel and metrics;
options override it. The log is JSON on stderr, one object per line. Calls
arrive at /run/netloom/agent.sock.

Examples:
  /opt/cni/bin/netloom agent
  /opt/cni/bin/netloom agent --log-level debug --metrics 127.0.0.1:9464`,
  },
  parameters: {
    flags: {
      foreground: {
        kind: 'boolean',
        default: true,
        withNegated: false,
        brief: 'Stay in the foreground; it always does',
      },
      callLimit: {
        kind: 'parsed',
        parse: seconds(CALL_LIMIT_MAX),
        optional: true,
        placeholder: 'SECONDS',
        brief: `Longest time for a call, at most ${CALL_LIMIT_MAX} seconds; default: ${DEFAULTS.callLimit}`,
      },
      drainLimit: {
        kind: 'parsed',
        parse: seconds(DRAIN_LIMIT_MAX),
        optional: true,
        placeholder: 'SECONDS',
        brief: `Longest wait for running calls after SIGTERM, in seconds; default: ${DEFAULTS.drainLimit}`,
      },
      logLevel: {
        kind: 'enum',
        values: LEVELS,
        optional: true,
        brief: `Lowest level to log, debug logs every call; default: ${DEFAULTS.logLevel}`,
      },
      metrics: {
        kind: 'parsed',
        parse: address,
        optional: true,
        variadic: true,
        placeholder: 'ADDRESS',
        brief: 'Serve /metrics, /healthz and /status at HOST:PORT or unix:/PATH too',
      },
    },
  },
  func(this: CommandContext, { foreground: _, ...flags }: Flags) {
    if (libc.geteuid() !== 0) {
      this.process.stderr.write('netloom agent: this needs root: run it with sudo\n');
      process.exitCode = EXIT.failed;
      return;
    }
    // Switch off the engine's last optimizing compiler: it takes 20 MB and a fifth of the processor time, for code that
    // mostly waits for the kernel. Engine options can only be set in the environment of a new process.
    if (process.env[ENGINE_OPTION] === undefined) {
      become(process.execPath, [process.argv0, ...process.argv.slice(2)], { ...process.env, [ENGINE_OPTION]: '0' });
    }
    runAgent({ paths: pathsOf(process.env), version: VERSION, flags, environment: process.env });
  },
});

function seconds(most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!isSeconds(value, most)) throw new Error(`"${text}" is not a number of seconds above 0, up to ${most}`);
    return value;
  };
}

/** Only checks the address: the agent parses it again, because it takes the same notation from its file. */
function address(text: string): string {
  addressOf(text);
  return text;
}
