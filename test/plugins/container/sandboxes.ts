/** A container with a network of its own, and the configuration with which others share it. */
import { statSync } from 'node:fs';
import type { Sandbox } from '../../support/host.ts';
import { bridgeConf, type Json, type Lab, type Output } from '../../support/lab.ts';

export const sharing: Json = { cniVersion: '1.1.0', name: 'shared', type: 'container', container: 'main' };

export interface Main {
  readonly sandbox: Sandbox;
  /** The result of its bridge's ADD. */
  readonly result: Output;
}

/** The container `main`: eth0 on a bridge, and its loopback. */
export function startMain(lab: Lab): Main {
  const sandbox = lab.sandbox('main');
  lab.add({ cniVersion: '1.1.0', name: 'lo', type: 'loopback' }, { sandbox, ifname: 'lo' });
  return { sandbox, result: lab.add(bridgeConf(), { sandbox }) };
}

/** The identity of the namespace that a path leads to. */
export function namespaceAt(path: string): string {
  const { dev, ino } = statSync(path);
  return `${dev}/${ino}`;
}
