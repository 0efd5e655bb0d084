/** The command line, for people. Each command has a file of its own beside this one. */
import { buildApplication, buildRouteMap, run } from '@stricli/core';
import { agentCommand } from './agent.ts';
import { COMPLETE, complete, completionCommand } from './completion.ts';
import { connectCommand } from './connect/connect.ts';
import { disconnectCommand } from './connect/disconnect.ts';
import { demoRoutes } from './demo/routes.ts';
import { doctorCommand } from './doctor.ts';
import { EXIT, text } from './errors.ts';
import { explainCommand } from './explain/explain.ts';
import { inspectCommand } from './inspect/inspect.ts';
import { installCommand, uninstallCommand } from './install.ts';
import { networkRoutes } from './network/routes.ts';
import { overlayRoutes } from './overlay/routes.ts';
import { pluginsCommand } from './plugins.ts';
import { policyCommand } from './policy/command.ts';
import { showProgress } from './progress.ts';
import { execCommand } from './sandbox/exec.ts';
import { psCommand } from './sandbox/list.ts';
import { sandboxRoutes } from './sandbox/routes.ts';
import { runCommand } from './sandbox/run.ts';
import { statusCommand } from './status.ts';
import { checkCommand, gcCommand, restoreCommand } from './upkeep.ts';
import { VERSION } from './version.ts';

const commands = buildRouteMap({
  routes: {
    network: networkRoutes,
    connect: connectCommand,
    disconnect: disconnectCommand,
    run: runCommand,
    exec: execCommand,
    ps: psCommand,
    sandbox: sandboxRoutes,
    inspect: inspectCommand,
    explain: explainCommand,
    doctor: doctorCommand,
    check: checkCommand,
    gc: gcCommand,
    restore: restoreCommand,
    completion: completionCommand,
    install: installCommand,
    uninstall: uninstallCommand,
    plugins: pluginsCommand,
    agent: agentCommand,
    status: statusCommand,
    policy: policyCommand,
    overlay: overlayRoutes,
    demo: demoRoutes,
  },
  docs: {
    brief: 'Wires containers to networks',
    fullDescription:
      'netloom wires containers to networks.\n\nContainer runtimes execute it as their CNI plugin: "netloom install" puts it where they look. Executed under the name of a plugin type (bridge, ptp, …) it is that plugin.',
  },
});

const application = buildApplication(commands, {
  name: 'netloom',
  versionInfo: { currentVersion: VERSION },
  scanner: { caseStyle: 'allow-kebab-for-camel', allowArgumentEscapeSequence: true },
  documentation: {
    caseStyle: 'convert-camel-to-kebab',
    useAliasInUsageLine: false,
    // https://no-color.org: set to anything but nothing. Stricli itself looks whether the stream is a terminal.
    disableAnsiColor: (process.env['NO_COLOR'] ?? '') !== '',
  },
  localization: { text },
});

/** Runs one command. Sets the process's exit status. */
export async function main(args: readonly string[]): Promise<void> {
  const [first, ...rest] = args;
  if (first === COMPLETE) return complete(application, rest);
  const { stdout, stderr, env } = process;
  const endProgress = showProgress(args);
  await run(application, args, {
    process: {
      stdout,
      stderr,
      env,
      // Stricli has negative numbers for what it does not understand, which a shell would see as 251 and the like.
      set exitCode(status: number) {
        // A command that runs another one has set that one's.
        if (status !== 0) process.exitCode = status < 0 ? EXIT.usage : status;
      },
    },
  });
  endProgress();
}
