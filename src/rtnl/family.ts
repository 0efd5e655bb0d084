/** Address families by their numbers in messages: AF_INET and AF_INET6. */
import type { Family } from '../net/ip.ts';
import { AF } from './constants.ts';

export function familyNumber(family: Family): number {
  return family === 4 ? AF.INET : AF.INET6;
}

/** Undefined for any other family, such as that of the multicast routes in a dump of all families. */
export function familyOf(number: number): Family | undefined {
  if (number === AF.INET) return 4;
  return number === AF.INET6 ? 6 : undefined;
}

/** How an `ip` command for a family begins: IPv4 is the default. */
export function ipCommand(family: Family): string {
  return family === 6 ? 'ip -6' : 'ip';
}
