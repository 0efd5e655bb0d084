import test from 'ava';
import fc from 'fast-check';
import { NetloomError } from '../../src/error.ts';
import { Ip } from '../../src/net/ip.ts';
import { parseMac } from '../../src/net/mac.ts';
import { type AttrTable, attrNameAt, list, nest, readAttrs, writeAttrs } from '../../src/netlink/attribute.ts';
import * as codec from '../../src/netlink/codec.ts';
import { attrsOf } from './arbitraries.ts';
import { bytes, hex, viewOf, written } from './bytes.ts';

const inner = { mtu: [2, codec.u32], advmss: [8, codec.u32] } as const satisfies AttrTable;

const table = {
  u8: [1, codec.u8],
  u16: [2, codec.u16],
  u32: [3, codec.u32],
  s32: [4, codec.s32],
  u64: [5, codec.u64],
  be16: [6, codec.be16],
  be32: [7, codec.be32],
  be64: [8, codec.be64],
  flag8: [9, codec.flag8],
  flag: [10, codec.flag],
  str: [11, codec.str],
  bytes: [12, codec.bytes],
  mac: [13, codec.mac],
  ip: [14, codec.ip],
  ip4: [15, codec.ip4],
  ip6: [16, codec.ip6],
  nest: [17, nest(inner)],
  list: [18, list(1, codec.u16)],
} as const satisfies AttrTable;

/** Each field as it is in memory: length with header, type, payload, padding. */
const GOLDEN = bytes(`
  05 00  01 00  ff  00 00 00                              # u8 255
  06 00  02 00  34 12  00 00                              # u16 0x1234
  08 00  03 00  78 56 34 12                               # u32 0x12345678
  08 00  04 00  ff ff ff ff                               # s32 -1
  0c 00  05 00  08 07 06 05 04 03 02 01                   # u64
  06 00  06 00  12 34  00 00                              # be16 0x1234
  08 00  07 00  12 34 56 78                               # be32
  0c 00  08 00  01 02 03 04 05 06 07 08                   # be64
  05 00  09 00  01  00 00 00                              # flag8 true
  04 00  0a 00                                            # flag: nothing but the header
  09 00  0b 00  65 74 68 30 00  00 00 00                  # str "eth0" with its NUL
  07 00  0c 00  01 02 03  00                              # bytes
  0a 00  0d 00  02 42 0a 01 00 02  00 00                  # mac 02:42:0a:01:00:02
  08 00  0e 00  0a 01 00 02                               # ip 10.1.0.2
  08 00  0f 00  c0 a8 00 01                               # ip4 192.168.0.1
  14 00  10 00  fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01  # ip6 fd00::1
  14 00  11 80                                            # nest, NLA_F_NESTED
    08 00  02 00  dc 05 00 00                             #   mtu 1500
    08 00  08 00  b4 05 00 00                             #   advmss 1460
  14 00  12 80                                            # list
    06 00  01 00  07 00  00 00                            #   7
    06 00  01 00  08 00  00 00                            #   8
`);

const VALUES = {
  u8: 255,
  u16: 0x1234,
  u32: 0x12345678,
  s32: -1,
  u64: 0x0102030405060708n,
  be16: 0x1234,
  be32: 0x12345678,
  be64: 0x0102030405060708n,
  flag8: true,
  flag: true,
  str: 'eth0',
  bytes: Uint8Array.of(1, 2, 3),
  mac: parseMac('02:42:0a:01:00:02'),
  ip: Ip.parse('10.1.0.2'),
  ip4: Ip.parse('192.168.0.1'),
  ip6: Ip.parse('fd00::1'),
  nest: { mtu: 1500, advmss: 1460 },
  list: [7, 8],
} as const;

function fault(data: string, of: AttrTable = table): string {
  const view = viewOf(bytes(data));
  try {
    readAttrs(of, view);
  } catch (error) {
    if (error instanceof NetloomError && error.code === 'malformed-message') return error.message;
    throw error;
  }
  return '';
}

test('every codec writes the bytes of the kernel', (t) => {
  t.is(hex(written((out) => writeAttrs(out, table, VALUES))), hex(GOLDEN));
});

test('every codec reads the bytes of the kernel', (t) => {
  t.deepEqual(readAttrs(table, viewOf(GOLDEN)), VALUES);
});

test('what is written is read again', (t) => {
  fc.assert(
    fc.property(attrsOf(table, { nest: attrsOf(inner), list: fc.array(fc.nat(0xffff)) }), (attrs) => {
      t.deepEqual(readAttrs(table, viewOf(written((out) => writeAttrs(out, table, attrs)))), attrs);
    }),
  );
});

test('an attribute that the table does not know is kept and written back', (t) => {
  const data = bytes(`
    08 00  03 00  01 00 00 00    # u32
    07 00  63 00  aa bb cc  00   # 99, three bytes
    04 00  64 00                 # 100, empty
  `);
  const attrs = readAttrs(table, viewOf(data));
  t.deepEqual(attrs.other, [
    { type: 99, payload: Uint8Array.of(0xaa, 0xbb, 0xcc) },
    { type: 100, payload: new Uint8Array() },
  ]);
  t.is(hex(written((out) => writeAttrs(out, table, attrs))), hex(data));
});

test("NLA_F_NESTED and NLA_F_NET_BYTEORDER are no part of an attribute's type", (t) => {
  t.deepEqual(readAttrs(table, viewOf(bytes('08 00 03 c0 01 00 00 00'))), { u32: 1 });
});

test('of an attribute that comes twice the last wins', (t) => {
  t.deepEqual(readAttrs(table, viewOf(bytes('08 00 03 00 01 00 00 00 08 00 03 00 02 00 00 00'))), { u32: 2 });
});

test('text is read with and without its NUL', (t) => {
  t.is(readAttrs(table, viewOf(bytes('08 00 0b 00 65 74 68 30'))).str, 'eth0');
  t.is(readAttrs(table, viewOf(bytes('0a 00 0b 00 65 74 00 68 30 00 00 00'))).str, 'et');
});

test('text with a NUL inside is refused, not cut', (t) => {
  const error = t.throws(() => written((out) => writeAttrs(out, table, { str: 'a\0b' })), { instanceOf: NetloomError });
  t.is(error?.message, 'Cannot pass "a\\u0000b" to the kernel, it has a NUL byte: EINVAL, invalid argument');
});

test('a value of a wrong length is named with attribute, codec, offset, and both lengths', (t) => {
  t.is(
    fault('08 00 03 00 01 00 00 00   07 00 03 00 01 02 03 00'),
    'Cannot read a netlink message: attribute "u32" (3, u32) has 3 bytes at offset 8, expected 4',
  );
  t.is(
    fault('09 00 0e 00 01 02 03 04 05 00 00 00'),
    'Cannot read a netlink message: attribute "ip" (14, ip) has 5 bytes at offset 0, expected 4 or 16',
  );
  t.is(
    fault('09 00 12 80  05 00 01 00 07 00 00 00'),
    'Cannot read a netlink message: attribute "list" (1, u16) has 1 bytes at offset 0, expected 2',
  );
});

test('a length that runs out of its message is named', (t) => {
  t.is(
    fault('08 00 01 00'),
    'Cannot read a netlink message: attribute "u8" (1) at offset 0 says that it has 8 bytes with its header, 4 are left',
  );
  t.is(
    fault('03 00 63 00'),
    'Cannot read a netlink message: attribute 99 at offset 0 says that it has 3 bytes with its header, 4 are left',
  );
});

test('bytes after the last attribute that are too few for another are padding', (t) => {
  t.is(fault('08 00 03 00 01 00 00 00 00 00 00'), '');
});

test('an attribute has at most 65535 bytes', (t) => {
  t.notThrows(() => written((out) => writeAttrs(out, table, { bytes: new Uint8Array(0xffff - 4) })));
  const tooLong = () => written((out) => writeAttrs(out, table, { bytes: new Uint8Array(0xffff - 3) }));
  t.is(t.throws(tooLong, { instanceOf: NetloomError })?.code, 'too-long');
});

test('an offset has the name of the attribute that is there, nests included', (t) => {
  const view = viewOf(GOLDEN);
  const at = (attribute: string) => hex(GOLDEN).indexOf(attribute) / 3;
  t.is(attrNameAt(table, view, 0), 'u8');
  t.is(attrNameAt(table, view, at('08 00 03 00') + 4), 'u32');
  t.is(attrNameAt(table, view, at('14 00 11 80')), 'nest');
  t.is(attrNameAt(table, view, at('14 00 11 80') + 12), 'nest.advmss');
  t.is(attrNameAt(table, view, GOLDEN.length), undefined);
  t.is(attrNameAt(table, view, -4), undefined);
});

test('no bytes make a reader fail otherwise than with malformed-message', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (data) => {
      try {
        readAttrs(table, viewOf(data));
      } catch (error) {
        if (!(error instanceof NetloomError && error.code === 'malformed-message')) throw error;
      }
    }),
    { numRuns: 3000 },
  );
  t.pass();
});
