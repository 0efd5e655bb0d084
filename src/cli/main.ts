/** The command line, for people. Each command has a file of its own beside this one. */
import { buildApplication, buildRouteMap, type CommandContext, run } from '@stricli/core';
import { demoCommand } from './demo/demo.ts';
import { installCommand, uninstallCommand } from './install.ts';
import { pluginsCommand } from './plugins.ts';
import { VERSION } from './version.ts';

const commands = buildRouteMap({
  routes: {
    install: installCommand,
    uninstall: uninstallCommand,
    plugins: pluginsCommand,
    demo: demoCommand,
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
  scanner: { caseStyle: 'allow-kebab-for-camel' },
});

/** Runs one command. Sets the process's exit status. */
export async function main(args: readonly string[]): Promise<void> {
  await run(application, args, { process: process as CommandContext['process'] });
}
