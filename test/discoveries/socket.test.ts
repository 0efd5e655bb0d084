/** What we learned about netlink sockets, and rely on. */
import { execFileSync } from 'node:child_process';
import test from 'ava';
import { check, libc } from '../../src/ffi/libc.ts';
import { becomeHost } from '../support/host.ts';

becomeHost();

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const MSG_DONTWAIT = 0x40;

/** Whether a socket that joined RTNLGRP_LINK receives the message about a new link. */
function hears(name: string, isBound: boolean): boolean {
  const fd = check(libc.socket(AF_NETLINK, SOCK_RAW, 0), 'open a socket');
  try {
    const address = Uint8Array.of(AF_NETLINK, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    if (isBound) check(libc.bind(fd, address, address.length), 'bind a socket');
    check(libc.setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, Uint8Array.of(1, 0, 0, 0), 4), 'join a group');
    execFileSync('ip', ['link', 'add', name, 'type', 'bridge']);
    return libc.recvfrom(fd, new Uint8Array(8192), 8192, MSG_DONTWAIT, null, null) > 0;
  } finally {
    libc.close(fd);
  }
}

/**
 * do_one_broadcast() skips the socket that has the sender's port. A socket has port 0, which is the kernel's, until it
 * is bound or sends. No command shows it: `ip monitor` binds.
 */
test('a socket that joined a group hears nothing until it is bound', (t) => {
  t.false(hears('unbound0', false));
  t.true(hears('bound0', true));
});
