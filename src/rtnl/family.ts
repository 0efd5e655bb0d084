/** The families of addresses by the numbers that messages have: AF_INET and AF_INET6. */
import type { Family } from '../net/ip.ts';
import { AF } from './constants.ts';

export function familyNumber(family: Family): number {
  return family === 4 ? AF.INET : AF.INET6;
}

/** Undefined for any other, such as multicast routes have in a dump of all families. */
export function familyOf(number: number): Family | undefined {
  if (number === AF.INET) return 4;
  return number === AF.INET6 ? 6 : undefined;
}

/** What a command of that family begins with: `ip` takes IPv4 for granted. */
export function ipCommand(family: Family): string {
  return family === 6 ? 'ip -6' : 'ip';
}
