/**
 * One call of one plugin of a chain. A type that this executable contains runs in this process, whatever CNI_PATH has
 * under its name; any other is executed.
 */
import { begin } from '../activity.ts';
import type { Command } from '../cni/call.ts';
import { foreignError } from '../cni/error.ts';
import { execPlugin, findPlugin, tryReadError } from '../cni/exec.ts';
import { checkNetns } from '../cni/netns.ts';
import { serve } from '../cni/serve.ts';
import { NetloomError } from '../error.ts';
import { type AnyPlugin, plugins } from '../plugins/registry.ts';
import type { Json } from './conflist.ts';
import type { RuntimeContext } from './context.ts';

/** The subject of a call: one interface of one container. */
export interface Endpoint {
  readonly containerId: string;
  /** Path of its network namespace; empty where that is gone. */
  readonly netns: string;
  readonly ifname: string;
  /** CNI_ARGS. */
  readonly args: readonly (readonly [key: string, value: string])[];
  /** The runtime's arguments by capability: `portMappings`, `ips`, `mac`. */
  readonly capabilityArgs: Json;
}

/**
 * Calls a plugin.
 * @returns what it printed
 * @throws NetloomError the plugin's own error, plugin-not-found, plugin-failed
 */
export function invoke(
  context: RuntimeContext,
  command: Command,
  type: string,
  conf: Json,
  endpoint: Endpoint | undefined,
): string {
  const environment = environmentOf(context, command, endpoint);
  const stdin = JSON.stringify(conf);
  begin(
    `${command} of the plugin "${type}"${endpoint === undefined ? '' : ` for ${endpoint.ifname} of ${endpoint.containerId}`}`,
  );
  const own = plugins.get(type);
  if (own !== undefined) return runHere(context, own, environment, stdin);
  const file = findPlugin(type, context.pluginPath);
  return execPlugin(file, command, { environment, warn: (line) => context.warn(line) }, stdin);
}

/** Whether this executable contains a plugin type. */
export function isOwn(type: string): boolean {
  return plugins.has(type);
}

function environmentOf({ environment, pluginPath }: RuntimeContext, command: Command, endpoint: Endpoint | undefined) {
  const others = Object.entries(environment).filter(([name]) => !name.startsWith('CNI_'));
  return {
    ...Object.fromEntries(others),
    CNI_COMMAND: command,
    CNI_PATH: pluginPath.join(':'),
    ...(endpoint !== undefined && {
      CNI_CONTAINERID: endpoint.containerId,
      CNI_NETNS: endpoint.netns,
      CNI_IFNAME: endpoint.ifname,
      CNI_ARGS: endpoint.args.map(([key, value]) => `${key}=${value}`).join(';'),
    }),
  };
}

/** As if it were executed, through the same entry point: with the same checks and the same error object. */
function runHere(
  context: RuntimeContext,
  plugin: AnyPlugin,
  environment: Readonly<Record<string, string | undefined>>,
  stdin: string,
): string {
  let stdout = '';
  const status = serve(plugin, {
    environment,
    readStdin: () => stdin,
    writeStdout: (text) => {
      stdout += text;
    },
    writeStderr: (text) => context.warn(text.trimEnd()),
    checkNetns,
  });
  if (status === 0) return stdout;
  const error = tryReadError(stdout);
  if (error === undefined) throw new NetloomError('plugin-failed', `"${plugin.type}" failed without saying why`);
  throw foreignError(error.code, error.msg, error.details);
}
