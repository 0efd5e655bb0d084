/**
 * A sandbox that plays the rest of the world. It is one wire away from the host, and has a route back to the
 * containers.
 */
import { execFileSync } from 'node:child_process';
import type { Sandbox } from './host.ts';
import type { Lab } from './lab.ts';

/** Its addresses. */
export const OUTSIDE = { 4: '192.0.2.2', 6: '2001:db8::2' } as const;

export function addOutside(lab: Lab): Sandbox {
  const outside = lab.sandbox('outside');
  const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' });
  ip('link', 'add', 'out0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', outside.path);
  ip('addr', 'add', '192.0.2.1/24', 'dev', 'out0');
  ip('addr', 'add', '2001:db8::1/64', 'dev', 'out0', 'nodad');
  ip('link', 'set', 'out0', 'up');
  outside.run('ip', 'addr', 'add', `${OUTSIDE[4]}/24`, 'dev', 'eth0');
  outside.run('ip', 'addr', 'add', `${OUTSIDE[6]}/64`, 'dev', 'eth0', 'nodad');
  outside.run('ip', 'link', 'set', 'eth0', 'up');
  outside.run('ip', 'route', 'add', 'default', 'via', '192.0.2.1');
  outside.run('ip', '-6', 'route', 'add', 'default', 'via', '2001:db8::1');
  return outside;
}
