/**
 * The routes and entries that lead from a machine to others, as iproute2 prints them, with the ifindex of its devices,
 * which shows whether they were replaced.
 */
import type { Machine } from './cluster.ts';

export function wiring({ sandbox }: Pick<Machine, 'sandbox'>): string {
  const script =
    'ip -o link | grep -o "^[0-9]*: nl[bx]-[^:]*"; ip route show proto 111; ip -6 route show proto 111; ip neigh show nud permanent; bridge fdb show | grep "dst.*permanent" | sort';
  return sandbox.run('bash', '-c', script).replaceAll(/ linkdown| pref medium/g, '');
}
