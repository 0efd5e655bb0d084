/**
 * Calls of a main plugin to the IPAM plugin that its configuration names. Where CNI_PATH leads to this very executable,
 * host-local and static run in this process: executing them would double the time of a call. Any other plugin is
 * executed, and its errors are passed on.
 */
import type { CniCall, Command, NetConf } from '../cni/call.ts';
import { readHeader } from '../cni/config.ts';
import { execAdd, execPlugin, findPlugin, isSelf } from '../cni/exec.ts';
import type { Plugin } from '../cni/plugin.ts';
import type { CniResult } from '../cni/result.ts';
import { NetloomError } from '../error.ts';
import { hostLocal } from './host-local/plugin.ts';
import { staticIpam } from './static/plugin.ts';

/** Whether a plugin's executable is the one that runs here. Tests run on Node, so they pass their own. */
export type IsSelf = (file: string) => boolean;

/**
 * Allocates addresses. NB: a result may have none; a main plugin that needs one has to check.
 * @throws NetloomError plugin-not-found, or the error of the IPAM plugin
 */
export function ipamAdd(call: CniCall, isOurs: IsSelf = isSelf): CniResult {
  const target = targetOf(call, isOurs);
  return typeof target === 'string' ? execAdd(target, call, call.stdin, call.conf.cniVersion) : target.add();
}

/** Releases addresses. Also the undo of ipamAdd(). */
export function ipamDel(call: CniCall, isOurs: IsSelf = isSelf): void {
  run(call, 'DEL', isOurs);
}

export function ipamCheck(call: CniCall, isOurs: IsSelf = isSelf): void {
  run(call, 'CHECK', isOurs);
}

export function ipamGc(call: CniCall, isOurs: IsSelf = isSelf): void {
  run(call, 'GC', isOurs);
}

export function ipamStatus(call: CniCall, isOurs: IsSelf = isSelf): void {
  run(call, 'STATUS', isOurs);
}

/** A plugin of ours that runs in this process, with its configuration read. */
interface InProcess {
  add(): CniResult;
  run(command: Exclude<Command, 'ADD' | 'VERSION'>): void;
}

function run(call: CniCall, command: Exclude<Command, 'ADD' | 'VERSION'>, isOurs: IsSelf): void {
  const target = targetOf(call, isOurs);
  if (typeof target === 'string') execPlugin(target, command, call, call.stdin);
  else target.run(command);
}

/** NB: our own plugins are also looked up in CNI_PATH. */
const OWN = `"ipam.type" names it; netloom's own are "${hostLocal.type}" and "${staticIpam.type}"`;

/** The plugin to run here, or the file to execute. */
function targetOf(call: CniCall, isOurs: IsSelf): InProcess | string {
  const type = call.conf.ipam?.type;
  if (type === undefined) throw new NetloomError('invalid-config', `failed to load netconf: "ipam" is missing`);
  const file = findPlugin(type, call.path, OWN);
  if (type === hostLocal.type && isOurs(file)) return inProcess(hostLocal, call);
  if (type === staticIpam.type && isOurs(file)) return inProcess(staticIpam, call);
  return file;
}

function inProcess<C extends NetConf>(plugin: Plugin<C>, call: CniCall): InProcess {
  // As if it were executed: the configuration is read from stdin and checked against the plugin's own schema.
  const own: CniCall<C> = {
    ...call,
    conf: plugin.schema.read(readHeader(call.stdin)),
    warn: (text) => call.warn(text),
  };
  return {
    add: () => plugin.add(own),
    run(command) {
      const verbs = { DEL: plugin.del, CHECK: plugin.check, GC: plugin.gc, STATUS: plugin.status };
      verbs[command](own);
    },
  };
}
