/** Everything that an attachment may touch, as text to compare. For test files that have become a host. */
import { spawnSync } from 'node:child_process';
import { mounts, type Sandbox } from '../support/host.ts';
import type { Lab } from '../support/lab.ts';

/** Links, addresses, routes, rules, files, mounts, and the settings of each link. */
export function stateOf(lab: Lab): string {
  return [lab.snapshot(), mounts(), settings()].join('\n');
}

/**
 * Read with grep: there are several hundred files per link. grep skips a stable_secret that was never set, and exits
 * with an error.
 */
function settings(): string {
  const places = ['/proc/sys/net/ipv4/conf', '/proc/sys/net/ipv6/conf'];
  return spawnSync('grep', ['-rs', '', ...places], { encoding: 'utf8' })
    .stdout.split('\n')
    .sort()
    .join('\n');
}

/** stateOf(), and the container's links, addresses, rules, routes of every table, and settings. */
export function stateOfBoth(lab: Lab, sandbox: Sandbox): string {
  const script =
    'printf "%s\\n" link addr rule "route show table all" | ip -d -o -batch - && ip -6 rule && cat /proc/sys/net/ipv4/conf/*/*';
  const inside = sandbox
    .run('sh', '-c', script)
    .replace(/valid_lft.*|state [A-Z]+|,LOWER_UP|promiscuity \d+/g, '')
    .split('\n')
    // The kernel adds link-local addresses, and routes to its own addresses, some time after the link.
    .filter((line) => !/fe80::|ff00::|table local/.test(line))
    .sort();
  return [stateOf(lab), ...inside].join('\n');
}
