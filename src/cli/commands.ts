/** The tree of commands. Each command is in a file of its own beside this one. */
import { buildRouteMap } from '@stricli/core';
import { agentCommand } from './agent.ts';
import { completionCommand } from './completion.ts';
import { connectCommand } from './connect/connect.ts';
import { disconnectCommand } from './connect/disconnect.ts';
import { demoRoutes } from './demo/routes.ts';
import { doctorCommand } from './doctor.ts';
import { explainCommand } from './explain/explain.ts';
import { inspectCommand } from './inspect/inspect.ts';
import { installCommand, uninstallCommand } from './install.ts';
import { networkRoutes } from './network/routes.ts';
import { overlayRoutes } from './overlay/routes.ts';
import { pluginsCommand } from './plugins.ts';
import { policyCommand } from './policy/command.ts';
import { execCommand } from './sandbox/exec.ts';
import { psCommand } from './sandbox/list.ts';
import { sandboxRoutes } from './sandbox/routes.ts';
import { runCommand } from './sandbox/run.ts';
import { statusCommand } from './status.ts';
import { checkCommand, gcCommand, restoreCommand } from './upkeep.ts';

const tree = buildRouteMap({
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
    brief: 'Connects containers to networks',
    fullDescription: `netloom connects containers to networks, and shows how they are connected.

Container runtimes call it as their CNI plugins: "netloom install" puts it where
they look. Called by the name of a plugin type, such as bridge, it is that
plugin.

To begin with, try "netloom demo", which does not change this machine, and
"netloom inspect", which shows what is connected to what.

Exit status: 0 done; 1 failed, or "check", "doctor" or "inspect diff" found
something; 2 the command line was not understood, and nothing was done. "run"
and "exec" return the status of their command.`,
  },
});

/**
 * With one usage line for all commands: stricli's line for each command lists options, which only the command's own
 * help explains.
 */
export const commands: typeof tree = {
  ...tree,
  formatHelp: (args) =>
    tree
      .formatHelp(args)
      .replace(/\n[\s\S]*?\n\n/, '\n  netloom COMMAND [OPTION]... [ARGUMENT]...\n  netloom COMMAND --help\n\n'),
};
