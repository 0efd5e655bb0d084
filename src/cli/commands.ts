/** The tree of commands. Each has a file of its own beside this one. */
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

export const commands = buildRouteMap({
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
      'netloom wires containers to networks.\n\nContainer runtimes execute it as their CNI plugin: "netloom install" puts it where they look. Executed under the name of a plugin type (bridge, ptp, …) it is that plugin.\n\nLeaves with 0 when all is done, 1 when it failed, 2 when it was not understood; "run" and "exec" with the status of their command.',
  },
});
