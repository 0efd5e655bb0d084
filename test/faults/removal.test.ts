/** The agent removes a link and runs out of descriptors halfway: what it has opened is closed. */
import './faulty-ffi.ts';
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import test from 'ava';
import { removeInBackground } from '../../src/agent/removal.ts';
import { removeOnHost } from '../../src/attach/removal.ts';
import * as link from '../../src/rtnl/link.ts';
import { openRoute } from '../../src/rtnl/socket.ts';
import { becomeHost } from '../support/host.ts';
import { withFault } from './faulty-ffi.ts';

becomeHost();

test('whichever socket cannot be opened, none is left', (t) => {
  removeInBackground();
  execFileSync('ip', ['link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1']);
  using nl = openRoute();
  const { index } = link.get(nl, { name: 'v0' });
  const open = () => readdirSync('/proc/self/fd').length;
  const before = open();
  const only = new Set(['socket']);
  for (const at of [1, 2]) {
    t.throws(() => withFault('fail', at, () => removeOnHost(nl, index), only), { code: 'EMFILE' });
    t.is(open(), before, `the socket ${at}`);
  }
  t.true(removeOnHost(nl, index));
});
