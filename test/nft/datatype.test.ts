/** Types of keys and data, and userdata: what is encoded is decoded again, and its text is nft's. */

import test from 'ava';
import fc from 'fast-check';
import { Ip } from '../../src/net/ip.ts';
import { Writer } from '../../src/netlink/writer.ts';
import {
  concat,
  ctState,
  fibAddrType,
  ifname,
  inetProto,
  inetService,
  ipv4Addr,
  ipv6Addr,
  mark,
} from '../../src/nft/datatype.ts';
import { nftCommand } from '../../src/nft/text.ts';
import { setData, userdata } from '../../src/nft/userdata.ts';

const ip4 = fc.uint8Array({ minLength: 4, maxLength: 4 }).map(Ip.of);
const ip6 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map(Ip.of);
const port = fc.integer({ min: 0, max: 65535 });
const name = fc.stringMatching(/^[a-z0-9.@-]{1,15}$/);

test('a concatenation is read back field by field, each padded to four bytes', (t) => {
  const type = concat<[Ip, number, Ip, string, number]>(ipv4Addr, inetService, ipv6Addr, ifname, mark);
  t.is(type.size, 4 + 4 + 16 + 16 + 4);
  fc.assert(
    fc.property(fc.tuple(ip4, port, ip6, name, fc.nat()), (values) => {
      const bytes = type.encode(values);
      t.is(bytes.length, type.size);
      t.deepEqual(type.decode(bytes).map(String), values.map(String));
    }),
  );
});

test('the number of a concatenation is what nft computes', (t) => {
  // `nft --debug=mnl` shows 0x730d for a set of this type.
  t.is(concat<[Ip, string | number, number]>(ipv4Addr, inetProto, inetService).id, 0x730d);
});

test('ports are in the order of the packet, marks in that of the machine', (t) => {
  t.deepEqual([...inetService.encode(80)], [0, 80]);
  t.deepEqual([...mark.encode(0x2000)], [0, 0x20, 0, 0]);
  t.deepEqual([...mark.encode(0xffffdfff)], [0xff, 0xdf, 0xff, 0xff]);
  t.is(mark.decode(Uint8Array.of(0xff, 0xff, 0xff, 0xff)), 0xffffffff);
  t.is(mark.text(1), '0x00000001');
});

test('words are read back, numbers without a word as numbers', (t) => {
  t.is(inetProto.decode(inetProto.encode('tcp')), 'tcp');
  t.is(inetProto.decode(inetProto.encode(99)), 99);
  t.is(ctState.decode(ctState.encode('related')), 'related');
  t.is(fibAddrType.decode(fibAddrType.encode('local')), 'local');
});

test('a value of another type is refused by name', (t) => {
  t.throws(() => ipv4Addr.encode(Ip.parse('::1')), { message: '"::1" is not an ipv4_addr' });
  t.throws(() => inetService.encode(65536), { message: '65536 is not an inet_service of 2 bytes' });
  t.throws(() => ifname.encode('a'.repeat(16)), { message: /is longer than an ifname/ });
});

test('userdata is read back, and what we do not know in it is skipped', (t) => {
  const codec = userdata(setData);
  const text = fc.string({ unit: fc.constantFrom('a', 'é', ' ', '/', '☃'), maxLength: 80 });
  fc.assert(
    fc.property(fc.record({ keyOrder: fc.nat(), comment: text }), (values) => {
      const out = new Writer();
      out.raw(Uint8Array.of(3, 2, 1, 1));
      codec.write(out, values);
      const bytes = out.bytes.slice();
      t.deepEqual(codec.read(new DataView(bytes.buffer)), values);
    }),
  );
});

test('userdata of any bytes is read without a fault', (t) => {
  const codec = userdata(setData);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      t.notThrows(() => codec.read(new DataView(bytes.slice().buffer)));
    }),
  );
});

test('a command survives the shell', (t) => {
  t.is(nftCommand(`add rule inet t c comment "it's"`), `nft 'add rule inet t c comment "it'\\''s"'`);
});
