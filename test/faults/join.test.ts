/** Joining an overlay through the store `file` when the disk fails. */
import './faulty-ffi.ts';
import { mkdirSync, readdirSync } from 'node:fs';
import { join as pathOf } from 'node:path';
import test from 'ava';
import { Cidr } from '../../src/net/cidr.ts';
import { Ip } from '../../src/net/ip.ts';
import { join } from '../../src/overlay/file-store.ts';
import { makeRoot } from '../support/host.ts';
import { withFault } from './faulty-ffi.ts';

test('a record has its name once it is on the disk, and not before', (t) => {
  const root = makeRoot();
  t.teardown(() => root.remove());
  const store = pathOf(root.path, 'store');
  mkdirSync(store);
  const applicant = { name: 'a', address: Ip.parse('192.0.2.1'), machine: 'one' };
  const joins = () => join(store, Cidr.parse('10.96.0.0/16'), 24, applicant);
  t.throws(() => withFault('fail', 1, joins, new Set(['fsync'])), { code: 'EIO' });
  t.deepEqual(readdirSync(store), ['lock']);
  const { subnet } = joins();
  t.deepEqual(readdirSync(store).sort(), [`${subnet.ip}_24.json`, 'lock']);
});
