/** The socket against the live kernel, and against other senders. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import test from 'ava';
import { adapter } from '#ffi';
import { hasCode, NetloomError } from '../../src/error.ts';
import { tryList } from '../../src/ffi/directory.ts';
import { check, libc } from '../../src/ffi/libc.ts';
import { messagesOf, NLMSG } from '../../src/netlink/message.ts';
import { openTransport } from '../../src/netlink/transport.ts';
import { RTNLGRP } from '../../src/rtnl/constants.ts';
import * as link from '../../src/rtnl/link.ts';
import { openRoute } from '../../src/rtnl/socket.ts';
import { becomeHost, ip } from '../support/host.ts';
import { ack } from './fake-kernel.ts';

becomeHost();

const NETLINK_ROUTE = 0;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;

const lib = adapter.load({ getsockname: { args: ['i32', 'ptr', 'ptr'], returns: 'i32' } });

/** The descriptors of open sockets. */
function sockets(): string[] {
  return (tryList('/proc/self/fd') ?? []).filter((fd) => fdTarget(fd).startsWith('socket:'));
}

function fdTarget(fd: string): string {
  const buffer = new Uint8Array(100);
  const length = libc.readlink(new TextEncoder().encode(`/proc/self/fd/${fd}\0`), buffer, buffer.length);
  return new TextDecoder().decode(buffer.subarray(0, Math.max(length, 0)));
}

/** The one socket that a function opens. */
function opened<T>(open: () => T): readonly [T, number] {
  const before = new Set(sockets());
  const value = open();
  const [fd] = sockets().filter((each) => !before.has(each));
  return [value, Number(fd)];
}

test('a socket that has sent nothing yet hears a group that it joined', (t) => {
  using nl = openRoute();
  using events = openRoute();
  events.join(RTNLGRP.LINK);
  nl.execute(link.add({ name: 'heard0', linkinfo: { kind: 'bridge' } }));
  const names = events.next(2000).map((raw) => raw.type);
  t.deepEqual(names, [16]); // RTM_NEWLINK
});

test('what is told while an answer is awaited comes out of next', (t) => {
  using nl = openRoute();
  nl.join(RTNLGRP.LINK);
  nl.execute(link.add({ name: 'heard1', linkinfo: { kind: 'bridge' } }));
  nl.execute(link.set({ name: 'heard1' }, {}, { up: true }));
  link.list(nl);
  t.true(nl.next(0).length >= 1);
});

test('an answer that does not come from the kernel is passed over', (t) => {
  const [transport, fd] = opened(() => openTransport(NETLINK_ROUTE));
  const address = new Uint8Array(12);
  check(lib.getsockname(fd, address, Uint8Array.of(12, 0, 0, 0)), 'read the name of a socket');
  const stranger = check(libc.socket(16, 3, NETLINK_ROUTE), 'open a socket');
  const lie = ack(1, 1);
  check(libc.sendto(stranger, lie, lie.length, 0, address, address.length), 'send to another socket');
  t.true(transport.poll(2000));
  t.is(transport.receive(false), undefined);

  // The same lie arrives before the kernel's answer.
  using nl = openRoute({ transport });
  check(libc.sendto(stranger, lie, lie.length, 0, address, address.length), 'send to another socket');
  t.is(link.get(nl, { name: 'lo' }).name, 'lo');
  libc.close(stranger);
});

test("a datagram longer than the socket's buffer is sent whole", (t) => {
  using nl = openRoute();
  // 128 requests of 4 KiB each: 512 KiB, the buffer has 208.
  const requests = Array.from({ length: 128 }, (_, i) => ({
    ...link.set({ name: 'lo' }, {}),
    action: `try ${i}`,
    command: '',
    write: link.set({ name: 'lo' }, { other: [{ type: 9, payload: new Uint8Array(4096) }] }).write,
  }));
  const errors = nl.attempt(requests);
  t.is(errors.size === 0 || errors.size === 128, true);
  t.is(link.get(nl, { name: 'lo' }).name, 'lo');
});

test('1000 requests in one call do not overflow the socket: each error is told by place', (t) => {
  using nl = openRoute();
  nl.execute(link.add({ name: 'taken', linkinfo: { kind: 'bridge' } }));
  const names = Array.from({ length: 1000 }, (_, i) => (i % 50 === 49 ? `made${i}` : 'taken'));
  const errors = nl.attempt(names.map((name) => link.add({ name, linkinfo: { kind: 'bridge' } })));
  t.is(errors.size, 980);
  t.true([...errors.values()].every(({ code }) => code === 'EEXIST'));
  t.false(errors.has(49));
  t.is(ip('link', 'show').filter(({ ifname }) => String(ifname).startsWith('made')).length, 20);
});

test('of what succeeds the kernel is not asked to tell: an answer for each batch, and for each error', (t) => {
  const heard = { answers: 0 };
  using nl = openRoute({
    tap(direction, datagram) {
      if (direction === 'in') heard.answers += messagesOf(datagram).length;
    },
  });
  const failing = new Set([0, 127, 128, 299]);
  const requests = Array.from({ length: 300 }, (_, i) =>
    link.set(failing.has(i) ? { index: 99999 } : { name: 'lo' }, {}),
  );
  t.deepEqual(new Set(nl.attempt(requests).keys()), failing);
  // If the last request of a batch fails, its error is the batch's answer. This is so in two of the three batches.
  t.is(heard.answers, 3 + failing.size - 2);
});

test('what does not fit into the socket is told as NLMSG_OVERRUN, and requests go on', (t) => {
  const [transport, fd] = opened(() => openTransport(NETLINK_ROUTE));
  check(libc.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, Uint8Array.of(0, 0x20, 0, 0), 4), 'make the buffer small');
  using listener = openRoute({ transport });
  listener.join(RTNLGRP.LINK);
  using nl = openRoute();
  for (let i = 0; i < 50; i++) nl.execute(link.set({ name: 'lo' }, { alias: `${i}` }));
  t.true(listener.next(2000).some(({ type }) => type === NLMSG.OVERRUN));
  // The messages that did fit are still there, and do no harm.
  while (listener.next(0).length > 0);
  t.is(link.get(listener, { name: 'lo' }).alias, '49');
});

test('a request whose answer was lost fails with ENOBUFS and does not hang', (t) => {
  const [transport, fd] = opened(() => openTransport(NETLINK_ROUTE));
  check(libc.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, Uint8Array.of(0, 0x20, 0, 0), 4), 'make the buffer small');
  using listener = openRoute({ transport });
  listener.join(RTNLGRP.LINK);
  using nl = openRoute();
  for (let i = 0; i < 50; i++) nl.execute(link.set({ name: 'lo' }, { alias: `${i}` }));
  const error = t.throws(() => link.get(listener, { name: 'lo' }), { instanceOf: NetloomError });
  t.true(hasCode(error, 'ENOBUFS'));
});

test("close may be called twice, and closes nobody else's descriptor", (t) => {
  const [transport, fd] = opened(() => openTransport(NETLINK_ROUTE));
  transport.close();
  const [other, number] = opened(() => openTransport(NETLINK_ROUTE));
  t.is(number, fd);
  transport.close();
  t.notThrows(() => other.poll(0));
  t.true(sockets().includes(String(number)));
  other.close();
});

test('a signal does not end the wait for the kernel', async (t) => {
  let count = 0;
  const onSignal = () => count++;
  process.on('SIGUSR1', onSignal);
  using events = openRoute();
  events.join(RTNLGRP.LINK);
  // Signals every 20 ms while this thread waits in poll(2). A new link after 300 ms ends the wait.
  const script = `for i in $(seq 15); do kill -USR1 ${process.pid}; sleep 0.02; done; ip link add signal0 type bridge`;
  const child = spawn('bash', ['-c', script], { stdio: 'inherit' });
  t.true(events.next(120_000).length > 0);
  await once(child, 'exit');
  await new Promise((resolve) => setImmediate(resolve));
  process.off('SIGUSR1', onSignal);
  t.true(count > 0);
});
