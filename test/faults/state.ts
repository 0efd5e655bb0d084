/** All that an attachment may touch, as text to compare. For test files that have become a host. */
import { spawnSync } from 'node:child_process';
import { mounts, type Sandbox } from '../support/host.ts';
import type { Lab } from '../support/lab.ts';

/** Links, addresses, routes, rules, files; mounts; and the settings of each link. */
export function stateOf(lab: Lab): string {
  return [lab.snapshot(), mounts(), settings()].join('\n');
}

/**
 * By a program, for there are some hundred for each link. It says nothing of a secret that was never set, and is not
 * well then.
 */
function settings(): string {
  const places = ['/proc/sys/net/ipv4/conf', '/proc/sys/net/ipv6/conf'];
  return spawnSync('grep', ['-rs', '', ...places], { encoding: 'utf8' })
    .stdout.split('\n')
    .sort()
    .join('\n');
}

/** The same with what the container has: links, addresses, rules, routes of every table, settings. */
export function stateOfBoth(lab: Lab, sandbox: Sandbox): string {
  const script =
    'printf "%s\\n" link addr rule "route show table all" | ip -d -o -batch - && ip -6 rule && cat /proc/sys/net/ipv4/conf/*/*';
  const inside = sandbox
    .run('sh', '-c', script)
    .replace(/valid_lft.*|state [A-Z]+|,LOWER_UP|promiscuity \d+/g, '')
    .split('\n')
    // Link-local addresses, and routes to one's own, come by themselves, some time after the link.
    .filter((line) => !/fe80::|ff00::|table local/.test(line))
    .sort();
  return [stateOf(lab), ...inside].join('\n');
}
