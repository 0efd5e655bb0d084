/** `netloom policy apply FILE`: sets policies of running containers, in place of those that they had. */
import { readFileSync } from 'node:fs';
import { buildCommand, type CommandContext } from '@stricli/core';
import { commentOf } from '../../attach/owner.ts';
import { entriesOf, filterBridges, remember, setPolicy } from '../../attach/policy.ts';
import { type PolicyRules, readPolicy } from '../../attach/policy-rules.ts';
import { readJson } from '../../cni/json.ts';
import type { Source } from '../../cni/schema.ts';
import { messageOf, NetloomError } from '../../error.ts';
import { pathsOf } from '../../paths.ts';
import { openRoute } from '../../rtnl/socket.ts';
import { type EndpointName, findEndpoint } from './endpoint.ts';

interface Item {
  readonly name: EndpointName;
  readonly rules: PolicyRules;
}

export const applyCommand = buildCommand({
  docs: {
    brief: 'Set the policies of running containers',
    fullDescription: `Limits what running containers may reach (egress) and who may reach them
(ingress). FILE is JSON, an object like this one or a list of them:

  { "network": "lab", "container": "web", "ifname": "eth0", "policy": {
    "ingress": { "allow": [{ "from": ["10.1.0.0/24"],
                             "ports": [{ "protocol": "tcp", "port": 80 }] }] },
    "egress": { "default": "deny" } } }

"container" is the id that the runtime gave, or at least its first 12 digits.
"ifname" may be left out: eth0. Each policy replaces the one that the container
had. All of a file takes effect at the same moment, or none of it. The FILE "-"
is the standard input.

Examples:
  netloom policy apply web.json
  netloom policy apply - < web.json`,
  },
  parameters: {
    positional: {
      kind: 'tuple',
      parameters: [{ brief: 'File with policies, or "-"', parse: String, placeholder: 'FILE' }],
    },
    flags: { json: { kind: 'boolean', default: false, brief: 'Print JSON' } },
  },
  func(this: CommandContext, { json }: { json: boolean }, file: string) {
    const items = readItems(file);
    using nl = openRoute();
    const found = items.map(({ name, rules }) => ({ ...findEndpoint(nl, name), rules }));
    const entries = found.flatMap(({ owner, ips, rules }) => entriesOf(commentOf(owner), ips, rules));
    filterBridges(
      nl,
      found.map(({ hostEnd }) => hostEnd),
    );
    // NB: before the elements, because a DEL that finds the record removes the elements that exist.
    for (const { owner } of found) remember(pathsOf(process.env), owner);
    setPolicy(entries);
    const done = found.map(({ owner, ips }) => ({ endpoint: owner, addresses: ips.map(String) }));
    this.process.stdout.write(
      json
        ? `${JSON.stringify(done, null, 2)}\n`
        : done.map(({ endpoint, addresses }) => `${endpoint}: ${addresses.join(', ')}\n`).join(''),
    );
  },
});

function readItems(file: string): Item[] {
  const source: Source = { code: 'invalid-json', action: `Cannot read the policies in "${file}"` };
  const json = readJson(textOf(file, source), source);
  const isList = Array.isArray(json);
  return (isList ? (json as unknown[]) : [json]).map((each, i) => readItem(each, isList ? `[${i}].` : ''));
}

function textOf(file: string, { code, action }: Source): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (cause) {
    throw new NetloomError(code, `${action}: ${messageOf(cause)}`, { cause });
  }
}

function readItem(json: unknown, at: string): Item {
  const item = typeof json === 'object' && json !== null ? (json as Readonly<Record<string, unknown>>) : {};
  const text = (key: string, otherwise?: string) => {
    const value = item[key] ?? otherwise;
    if (typeof value === 'string' && value !== '' && !value.includes('/')) return value;
    throw new NetloomError('invalid-config', `"${at}${key}" is ${JSON.stringify(value) ?? 'missing'}, expected a name`);
  };
  for (const key in item) {
    if (!['network', 'container', 'ifname', 'policy'].includes(key)) {
      throw new NetloomError(
        'invalid-config',
        `"${at}${key}" is an unknown key, expected network, container, ifname, policy`,
      );
    }
  }
  return {
    name: { network: text('network'), container: text('container'), ifname: text('ifname', 'eth0') },
    rules: readPolicy(item['policy'], `${at}policy`),
  };
}
