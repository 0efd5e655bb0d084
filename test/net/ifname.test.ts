import test from 'ava';
import { ifnameFault } from '../../src/net/ifname.ts';

for (const name of ['eth0', 'a', 'veth0123456789a', 'eth0.100', '...', 'ä', 'wlan-1_2@x', 'all0', 'default0']) {
  test(`${JSON.stringify(name)} can be the name of an interface`, (t) => {
    t.is(ifnameFault(name), undefined);
  });
}

for (const [name, fault] of [
  ['', 'it is empty'],
  ['veth0123456789ab', 'it is longer than 15 bytes'],
  ['ääääääää', 'it is longer than 15 bytes'],
  ['.', 'it is a directory'],
  ['..', 'it is a directory'],
  ['a/b', 'it has a slash, a colon or white space'],
  ['eth0:1', 'it has a slash, a colon or white space'],
  ['eth 0', 'it has a slash, a colon or white space'],
  ['eth0\n', 'it has a slash, a colon or white space'],
  ['eth%d', 'it has a "%", for which the kernel puts a number'],
  ['%', 'it has a "%", for which the kernel puts a number'],
  ['all', 'it stands for the settings of every interface'],
  ['default', 'it stands for the settings of every interface'],
  ['eth\0', 'it has a slash, a colon or white space'],
] as const) {
  test(`${JSON.stringify(name)} cannot be the name of an interface: ${fault}`, (t) => {
    t.is(ifnameFault(name), fault);
  });
}
