/** The parameters that a plugin gets in its environment. https://www.cni.dev/docs/spec/#parameters */
import { NetloomError } from '../error.ts';
import { ifnameFault } from '../net/ifname.ts';
import type { Command } from './call.ts';
import { isName } from './config.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** The CNI_* variables, checked. Those that a command does not use may be empty. */
export interface CniEnvironment {
  readonly command: Command;
  readonly containerId: string;
  readonly netns: string;
  readonly ifname: string;
  readonly args: string;
  /** The directories of CNI_PATH. */
  readonly path: readonly string[];
  /** CNI_NETNS_OVERRIDE: the namespace may be the caller's own. */
  readonly mayBeOwnNetns: boolean;
}

/** What each command needs. NB: a DEL comes without a namespace when that is gone already. */
const NEEDED: Readonly<Record<Command, readonly string[]>> = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_PATH'],
  GC: ['CNI_PATH'],
  STATUS: ['CNI_PATH'],
  VERSION: [],
};

/** @throws NetloomError invalid-environment; one message lists every variable that is missing */
export function readEnvironment(environment: Environment): CniEnvironment {
  const of = (name: string) => environment[name] ?? '';
  const command = commandOf(of('CNI_COMMAND'));
  const missing = NEEDED[command].filter((name) => of(name) === '');
  if (missing.length > 0) throw invalid(`required env variables [${missing.join(',')}] missing`);
  const isEndpoint = NEEDED[command].includes('CNI_IFNAME');
  if (isEndpoint) {
    checkContainerId(of('CNI_CONTAINERID'));
    checkIfname(of('CNI_IFNAME'));
  }
  return {
    command,
    containerId: of('CNI_CONTAINERID'),
    netns: of('CNI_NETNS'),
    ifname: of('CNI_IFNAME'),
    args: of('CNI_ARGS'),
    path: of('CNI_PATH')
      .split(':')
      .filter((directory) => directory !== ''),
    mayBeOwnNetns: ['1', 'true'].includes(of('CNI_NETNS_OVERRIDE').toLowerCase()),
  };
}

function commandOf(text: string): Command {
  if (text === '') throw invalid('required env variables [CNI_COMMAND] missing');
  if (!Object.hasOwn(NEEDED, text)) {
    throw invalid(`unknown CNI_COMMAND: ${JSON.stringify(text)}, expected one of ${Object.keys(NEEDED).join(', ')}`);
  }
  return text as Command;
}

function checkContainerId(id: string): void {
  if (isName(id)) return;
  throw invalid(
    `invalid characters in CNI_CONTAINERID ${JSON.stringify(id)}, expected a letter or digit, then letters, digits, "_", "." and "-"`,
  );
}

function checkIfname(ifname: string): void {
  const fault = ifnameFault(ifname);
  if (fault !== undefined)
    throw invalid(`CNI_IFNAME ${JSON.stringify(ifname)} cannot be an interface's name, ${fault}`);
}

function invalid(message: string): NetloomError {
  return new NetloomError('invalid-environment', message);
}
