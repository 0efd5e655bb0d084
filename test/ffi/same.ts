/**
 * Prints the results of the lowest layer, for runtimes.test.ts: they must be the same on Node, Bun and QuickJS.
 * Argument: an empty directory.
 */
import { NetloomError } from '../../src/error.ts';
import { writeFault } from '../../src/ffi/access.ts';
import { tryList } from '../../src/ffi/directory.ts';
import * as file from '../../src/ffi/file.ts';
import { cString, errno, libc } from '../../src/ffi/libc.ts';
import { trySetMtime, tryTouch } from '../../src/ffi/mtime.ts';
import { printLine } from '../../src/ffi/print.ts';
import { randomBytes } from '../../src/ffi/random.ts';
import { run } from '../../src/ffi/spawn.ts';
import { Cidr } from '../../src/net/cidr.ts';
import { Ip } from '../../src/net/ip.ts';
import { readSysctl } from '../../src/net/sysctl.ts';
import { openNetns } from '../../src/netns/namespace.ts';
import { pinNew, unpin } from '../../src/netns/pin.ts';
import { withNetns } from '../../src/netns/within.ts';
import * as addr from '../../src/rtnl/addr.ts';
import { RTNLGRP } from '../../src/rtnl/constants.ts';
import * as link from '../../src/rtnl/link.ts';
import * as route from '../../src/rtnl/route.ts';
import { openRoute } from '../../src/rtnl/socket.ts';

const dir = process.argv[2] ?? '';
const results: Record<string, unknown> = {};

function tell(name: string, get: () => unknown): void {
  try {
    results[name] = get();
  } catch (error) {
    results[name] = error instanceof NetloomError ? `${error.code}: ${error.message}` : `not ours: ${error}`;
  }
}

tell('encode', () =>
  ['ünï', 'a\0b', '\u{1F310}', '\uD800', 'a\uDC00b', ''].map((text) => [...new TextEncoder().encode(text)]),
);
tell('decode', () => {
  // Bytes of every kind that a decoder distinguishes, always in the same order.
  const kinds = [
    0x41, 0x7f, 0x80, 0xbf, 0xc0, 0xc3, 0xe0, 0xe2, 0xed, 0xa0, 0xef, 0xbb, 0xf0, 0x9f, 0xf4, 0x90, 0xf5, 0xff,
  ];
  let state = 1;
  const next = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 16) % below;
  };
  const decoders = [new TextDecoder(), new TextDecoder('utf-8', { ignoreBOM: true })];
  return Array.from({ length: 2000 }, () => {
    const bytes = Uint8Array.from({ length: next(7) }, () => kinds[next(kinds.length)] ?? 0);
    return decoders.map((decoder) => decoder.decode(bytes));
  });
});
tell('numbers', () => [
  `${BigInt.asUintN(64, -1n)} ${BigInt.asIntN(64, 1n << 63n)} ${BigInt('0xfe86e3d4ffffffff') % 1009n} ${(1n << 127n) >> 3n}`,
  ~24714283 >>> 0,
  0.1 + 0.2,
  (1234.5678).toFixed(2),
  Number('0x10'),
  Number.parseInt('12a', 10),
]);
tell('errno', () => {
  const seen = new Set<string>();
  for (let i = 0; i < 1000; i++) {
    libc.open(cString('/nonexistent'), 0, 0);
    const first = errno();
    libc.close(-1);
    seen.add(`${first}, ${errno()}`);
  }
  return [...seen];
});
tell('pid', () => libc.getpid() === process.pid);
tell('uid', () => libc.geteuid());
tell('random', () => randomBytes(64).some((byte) => byte !== 0));
tell('write', () => file.replaceText(`${dir}/ünï code`, 'text \u{1F310}'));
tell('read', () => file.readText(`${dir}/ünï code`));
tell('large', () => {
  file.replaceText(`${dir}/large`, 'x'.repeat(300_000));
  return file.readText(`${dir}/large`).length;
});
tell('empty', () => {
  file.replaceText(`${dir}/empty`, '');
  return file.readText(`${dir}/empty`);
});
tell('missing', () => file.readText(`${dir}/missing`));
tell('missing quietly', () => file.tryReadText(`${dir}/missing`) ?? 'nothing');
tell('nul', () => file.readText('a\0b'));
tell('directories', () => file.makeDirectories(`${dir}/a/b/c/`));
tell('in the way', () => file.makeDirectories(`${dir}/large/x`));
tell('touch', () => tryTouch(`${dir}/large`));
tell('mtime', () => trySetMtime(`${dir}/large`, 1_234_567_890_123_456_789n));
tell('stat', () => {
  const stat = file.tryStat(`${dir}/large`);
  return { mode: stat?.mode, uid: stat?.uid, size: stat?.size, mtime: `${stat?.mtime}` };
});
tell('links', () => [
  file.trySymlink('tärget', `${dir}/soft`),
  file.tryReadlink(`${dir}/soft`),
  file.tryLink(`${dir}/large`, `${dir}/hard`),
]);
tell('rename', () => file.rename(`${dir}/hard`, `${dir}/harder`));
tell('unlink', () => [file.unlink(`${dir}/harder`), file.unlink(`${dir}/harder`)]);
tell('list', () => tryList(dir)?.sort());
tell('access', () => [writeFault(dir), writeFault('/proc/version/x')]);
tell('lock', () => {
  using fd = file.open(`${dir}/empty`);
  file.lock(fd.number, 'empty');
  file.unlock(fd.number);
  return 'locked';
});
tell('limit', () => {
  using fd = file.open('/dev/zero');
  return file.readAll(fd.number, 'zeros', 100);
});
tell('full', () => {
  using fd = file.open('/dev/full', file.O.WRONLY);
  file.writeAll(fd.number, Uint8Array.of(1), 'full');
});
tell('run', () => {
  const { status, signal, stdout } = run('/bin/cat', ['cat'], {}, new TextEncoder().encode('through'));
  return [status, signal, new TextDecoder().decode(stdout)];
});
tell('ordinary file', () => openNetns('/proc/self/ns/mnt'));

pinNew(`${dir}/netns`);
using netns = openNetns(`${dir}/netns`);
using nl = withNetns(netns, () => openRoute());
using events = withNetns(netns, () => openRoute());
events.join(RTNLGRP.LINK);
const peer = { attrs: { name: 'b', address: '02:00:00:00:00:0b' as link.Link['mac'] & string } };
tell('add', () => {
  const made = link.made(nl, link.add({ name: 'a', linkinfo: { kind: 'veth', data: { peer } } }, { up: true }));
  return [made?.name, made?.kind, made?.isUp];
});
tell('event', () => events.next(5000).length > 0);
tell('no event', () => nl.next(20.5).length);
tell('address', () => {
  const { index } = link.get(nl, { name: 'a' });
  nl.executeAll([
    addr.add(index, Cidr.parse('10.1.0.2/24')),
    addr.add(index, Cidr.parse('fd00::2/64'), { nodad: true }),
  ]);
});
tell('refusal', () => nl.execute(link.add({ name: 'a', linkinfo: { kind: 'bridge' } })));
tell('route', () => nl.execute(route.add({ dst: Cidr.parse('10.9.0.0/16'), gateway: Ip.parse('10.1.0.9') })));
tell(
  'batch',
  () => nl.attempt(Array.from({ length: 300 }, (_, i) => link.set({ index: i % 2 === 0 ? 99999 : 1 }, {}))).size,
);
tell('links here', () => link.list(nl).map(({ name, kind, mtu }) => [name, kind, mtu]));
tell('b', () => link.get(nl, { name: 'b' }).mac);
tell('addresses', () => addr.list(nl, { family: 4 }).map(({ address }) => `${address}`));
tell('routes', () => route.list(nl, 4).map(({ dst, gateway, oif }) => [`${dst}`, `${gateway}`, oif]));
tell('sysctl', () => [
  withNetns(netns, () => readSysctl('net/ipv4/conf/a/forwarding')),
  readSysctl('net/no/such') ?? 'none',
]);
tell('after a throw', () =>
  withNetns(netns, () => {
    throw new NetloomError('thrown', 'inside');
  }),
);
tell('back', () => {
  using own = openNetns('/proc/thread-self/ns/net');
  return own.isSameAs(netns);
});
tell('unpin', () => [unpin(`${dir}/netns`), unpin(`${dir}/netns`)]);

printLine('to stderr');
file.writeAll(
  1,
  new TextEncoder().encode(
    `${JSON.stringify(results, (_, value: unknown) => (value === undefined ? 'undefined' : value), 1).replaceAll(dir, 'DIR')}\n`,
  ),
  'stdout',
);
