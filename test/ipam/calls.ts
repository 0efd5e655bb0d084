/** Calls of IPAM plugins, as an executable gets them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { CniCall, Command, NetConf } from '../../src/cni/call.ts';
import { readHeader } from '../../src/cni/config.ts';
import type { Plugin } from '../../src/cni/plugin.ts';
import type { CniResult } from '../../src/cni/result.ts';
import { encodeResult } from '../../src/cni/versions.ts';
import { pathsOf } from '../../src/paths.ts';

export interface CallOptions {
  readonly command?: Command;
  readonly containerId?: string;
  readonly args?: string;
  readonly path?: readonly string[];
  readonly warnings?: string[];
}

/** A directory that is removed when the test ends. */
export function temporary(t: ExecutionContext): string {
  const root = mkdtempSync(join(tmpdir(), 'netloom-ipam-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  return root;
}

export function callOf<C extends NetConf>(
  plugin: Pick<Plugin<C>, 'schema'>,
  root: string,
  conf: object,
  options: CallOptions = {},
): CniCall<C> {
  const { command = 'ADD', containerId = 'c1', args = '', path = [], warnings = [] } = options;
  const stdin = JSON.stringify({ cniVersion: '1.1.0', name: 'net', type: 'bridge', ...conf });
  const environment = {
    NETLOOM_ROOT: root,
    CNI_COMMAND: command,
    CNI_CONTAINERID: containerId,
    CNI_NETNS: '/some/where',
    CNI_IFNAME: 'eth0',
    CNI_ARGS: args,
    CNI_PATH: path.join(':'),
  };
  return {
    command,
    containerId,
    netns: '/some/where',
    ifname: 'eth0',
    args,
    path,
    conf: plugin.schema.read(readHeader(stdin)),
    stdin,
    paths: pathsOf(environment),
    environment,
    warn: (message) => warnings.push(message),
  };
}

/** A result as JSON of version 1.1.0, without that version. */
export function shown(result: CniResult): unknown {
  const { cniVersion: _, ...rest } = encodeResult(result, '1.1.0');
  return JSON.parse(JSON.stringify(rest));
}
