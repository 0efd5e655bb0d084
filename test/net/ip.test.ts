import test from 'ava';
import { Ip } from '../../src/net/ip.ts';
import { readText } from '../../src/ffi/file.ts';
test('canonical', (t) => { t.is(Ip.parse('FD00:0:0::1').toString(), 'fd00::1'); t.true(readText('/etc/hostname').length > 0); });
