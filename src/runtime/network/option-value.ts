/** Values of `-o NAME=VALUE`. Each reader throws what was expected, as the end of a sentence for options.ts. */
import { Cidr } from '../../net/cidr.ts';
import { ifnameFault } from '../../net/ifname.ts';

export function integer(value: string, min: number, max: number): number {
  const number = Number(value);
  if (/^\d{1,9}$/.test(value) && number >= min && number <= max) return number;
  throw `a whole number from ${min} to ${max}`;
}

export function boolean(value: string): boolean {
  if (value === 'true' || value === 'false') return value === 'true';
  throw 'true or false';
}

export function oneOf(value: string, all: readonly string[]): string {
  if (all.includes(value)) return value;
  throw `one of ${all.join(', ')}`;
}

export function absolute(value: string): string {
  if (value.startsWith('/')) return value;
  throw 'a path from the root';
}

export function urls(value: string): string[] {
  const all = value.split(',');
  if (all.every((url) => /^https?:\/\/[^\s/]+:\d{1,5}\/?$/.test(url))) return all;
  throw 'URLs such as http://192.0.2.1:2379';
}

export function subnet(value: string): string {
  const found = Cidr.tryParse(value);
  if (found !== undefined && !found.hasHostBits()) return value;
  throw 'a subnet such as 192.0.2.0/24';
}

export function linkName(value: string): string {
  const fault = ifnameFault(value);
  if (fault === undefined) return value;
  throw `the name of a link, ${fault}`;
}
