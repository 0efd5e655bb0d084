import test from 'ava';
import fc from 'fast-check';
import { NetloomError } from '../../src/error.ts';
import * as codec from '../../src/netlink/codec.ts';
import { type Ack, NetlinkError, readAck, readDone } from '../../src/netlink/error.ts';
import {
  type MessageKind,
  messagesOf,
  NLM_F,
  type RawMessage,
  readMessage,
  request,
  writeMessage,
} from '../../src/netlink/message.ts';
import { struct } from '../../src/netlink/struct.ts';
import { bytes, hex, viewOf, written } from './bytes.ts';

const kind = {
  name: 'thing',
  header: struct({ family: codec.u8, port: codec.be16, index: codec.s32 }),
  attrs: { name: [3, codec.str], mtu: [4, codec.u32] },
} as const satisfies MessageKind;

const GOLDEN = bytes(`
  28 00 00 00                                     # nlmsg_len 40
  10 00                                           # nlmsg_type 16
  05 06                                           # nlmsg_flags REQUEST, ACK, EXCL, CREATE
  07 00 00 00                                     # nlmsg_seq
  00 00 00 00                                     # nlmsg_pid: the kernel's to fill in
  0a  00 50  ff ff ff ff  00                      # u8, be16, s32, padding to 4
  08 00  04 00  dc 05 00 00                       # mtu 1500
  07 00  03 00  6c 6f 00  00                      # name "lo"
`);

const thing = request(
  kind,
  16,
  NLM_F.CREATE | NLM_F.EXCL,
  { family: 10, port: 80, index: -1 },
  { mtu: 1500, name: 'lo' },
  { action: () => 'make the thing "lo"', command: () => 'thing add lo' },
);

function one(datagram: Uint8Array): RawMessage {
  const [raw, ...rest] = messagesOf(datagram);
  if (raw === undefined || rest.length > 0) throw new Error(`expected one message, got ${rest.length + 1}`);
  return raw;
}

function code(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof NetloomError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return '';
}

test('a request has the bytes of the kernel', (t) => {
  const flags = thing.flags | NLM_F.REQUEST | NLM_F.ACK;
  t.is(hex(written((out) => writeMessage(out, thing.type, flags, 7, (body) => thing.write(body)))), hex(GOLDEN));
});

test('a message is read with header and attributes', (t) => {
  const raw = one(GOLDEN);
  t.is(raw.sequence, 7);
  t.deepEqual(readMessage(kind, raw), {
    type: 16,
    header: { family: 10, port: 80, index: -1 },
    attrs: { mtu: 1500, name: 'lo' },
  });
});

test('a datagram has several messages, each padded to four bytes', (t) => {
  const datagram = bytes(`
    12 00 00 00  03 00  02 00  01 00 00 00  00 00 00 00   aa bb  00 00   # 18 bytes and padding
    10 00 00 00  01 00  00 00  02 00 00 00  00 00 00 00                  # NLMSG_NOOP
    11 00 00 00  63 00  00 00  03 00 00 00  00 00 00 00   cc             # the last one may lack its padding
  `);
  t.deepEqual(
    [...messagesOf(datagram)].map(({ type, sequence, payload }) => [type, sequence, payload.byteLength]),
    [
      [3, 1, 2],
      [1, 2, 0],
      [99, 3, 1],
    ],
  );
});

test('a datagram that is cut is an error, not a shorter list', (t) => {
  t.is(
    code(() => [...messagesOf(GOLDEN.subarray(0, 39))]),
    'malformed-message: Cannot read a netlink message: the message at offset 0 says that it has 40 bytes, 39 are left',
  );
  t.is(
    code(() => [...messagesOf(GOLDEN.subarray(0, 9))]),
    'malformed-message: Cannot read a netlink message: 9 bytes are left at offset 0, a header has 16',
  );
  const tiny = GOLDEN.slice();
  tiny[0] = 15;
  t.is(
    code(() => [...messagesOf(tiny)]),
    'malformed-message: Cannot read a netlink message: the message at offset 0 says that it has 15 bytes, 40 are left',
  );
});

test('a payload shorter than its fixed header is an error', (t) => {
  const raw = { type: 16, flags: 0, sequence: 1, payload: viewOf(new Uint8Array(5)) };
  t.is(
    code(() => readMessage(kind, raw)),
    'malformed-message: Cannot read a netlink message: its header has 8 bytes, 5 are there',
  );
});

/** The kernel's answer with the body of the request, and without it, as with NETLINK_CAP_ACK. */
const REFUSAL = {
  whole: bytes(`
    58 00 00 00  02 00  00 02  07 00 00 00  d2 04 00 00   # NLMSG_ERROR, NLM_F_ACK_TLVS
    de ff ff ff                                           # -34, ERANGE
    28 00 00 00  10 00  05 06  07 00 00 00  00 00 00 00   # the request's nlmsghdr
    0a  00 50  ff ff ff ff  00                            #   and all of its body
    08 00  04 00  dc 05 00 00
    07 00  03 00  6c 6f 00  00
    0c 00  01 00  6d 74 75 20 62 61 64 00                 # NLMSGERR_ATTR_MSG "mtu bad"
    08 00  02 00  18 00 00 00                             # NLMSGERR_ATTR_OFFS 24: mtu
    08 00  05 00  03 00 00 00                             # NLMSGERR_ATTR_MISS_TYPE 3: name
  `),
  capped: bytes(`
    40 00 00 00  02 00  00 03  07 00 00 00  d2 04 00 00   # NLMSG_ERROR, NLM_F_CAPPED and NLM_F_ACK_TLVS
    de ff ff ff                                           # -34, ERANGE
    28 00 00 00  10 00  05 06  07 00 00 00  00 00 00 00   # the request's nlmsghdr, its length as it was
    0c 00  01 00  6d 74 75 20 62 61 64 00                 # NLMSGERR_ATTR_MSG "mtu bad"
    08 00  02 00  18 00 00 00                             # NLMSGERR_ATTR_OFFS 24: mtu
    08 00  05 00  03 00 00 00                             # NLMSGERR_ATTR_MISS_TYPE 3: name
  `),
  bare: bytes(`
    24 00 00 00  02 00  00 01  07 00 00 00  d2 04 00 00   # NLMSG_ERROR, NLM_F_CAPPED
    de ff ff ff                                           # -34, ERANGE
    28 00 00 00  10 00  05 06  07 00 00 00  00 00 00 00   # the request's nlmsghdr
  `),
};

const SAID: Ack = { errno: 34, sentence: 'mtu bad', offset: 24, missing: 3 };

test('NLMSG_ERROR is read whole, capped, and without attributes', (t) => {
  t.deepEqual(readAck(one(REFUSAL.whole)), SAID);
  t.deepEqual(readAck(one(REFUSAL.capped)), SAID);
  t.deepEqual(readAck(one(REFUSAL.bare)), { errno: 34, sentence: undefined, offset: undefined });
});

test('NLMSG_ERROR with errno 0 is success, and may carry a warning', (t) => {
  const success = REFUSAL.capped.slice();
  success.fill(0, 16, 20);
  t.deepEqual(readAck(one(success)), { ...SAID, errno: 0 });
});

test("a refusal names action, errno, the kernel's sentence, the command, and the attributes at fault", (t) => {
  const error = new NetlinkError(thing, SAID);
  t.is(error.code, 'ERANGE');
  t.is(error.errno, 34);
  t.is(error.message, 'Cannot make the thing "lo": ERANGE, mtu bad');
  t.is(
    error.details,
    'equivalent command: thing add lo; the kernel points at the attribute "mtu"; the kernel misses the attribute "name"',
  );
});

test('a refusal without a sentence of the kernel has that of the errno', (t) => {
  const error = new NetlinkError(thing, { errno: 17, sentence: undefined, offset: undefined });
  t.is(error.message, 'Cannot make the thing "lo": EEXIST, it exists already');
  t.is(error.details, 'equivalent command: thing add lo');
});

test('NLMSG_DONE is read with an errno, with attributes, and empty as old kernels send it', (t) => {
  const end = bytes(`
    20 00 00 00  03 00  02 02  07 00 00 00  00 00 00 00   # NLMSG_DONE, NLM_F_MULTI and NLM_F_ACK_TLVS
    ea ff ff ff                                           # -22, EINVAL
    0c 00  01 00  6d 74 75 20 62 61 64 00                 # NLMSGERR_ATTR_MSG "mtu bad"
  `);
  t.deepEqual(readDone(one(end)), { errno: 22, sentence: 'mtu bad', offset: undefined, missing: undefined });
  t.is(readDone(one(bytes('14 00 00 00 03 00 02 00 07 00 00 00 00 00 00 00  00 00 00 00'))).errno, 0);
  t.is(readDone(one(bytes('10 00 00 00 03 00 02 00 07 00 00 00 00 00 00 00'))).errno, 0);
});

test('an acknowledgement that is cut anywhere is malformed-message', (t) => {
  for (const refusal of Object.values(REFUSAL)) {
    const { payload, ...head } = one(refusal);
    for (let length = 0; length < payload.byteLength; length++) {
      const cut = { ...head, payload: new DataView(payload.buffer, payload.byteOffset, length) };
      const text = code(() => readAck(cut));
      // If it is cut between two attributes, it is valid, only shorter.
      t.true(text === '' || text.startsWith('malformed-message: '), text);
    }
  }
});

test('no bytes make a reader of messages fail otherwise than with malformed-message', (t) => {
  const changed = fc
    .record({
      base: fc.constantFrom(GOLDEN, ...Object.values(REFUSAL)),
      changes: fc.array(fc.tuple(fc.nat(), fc.nat(0xff)), { maxLength: 6 }),
      length: fc.nat(120),
    })
    .map(({ base, changes, length }) => {
      const data = base.slice(0, Math.max(length, 1));
      for (const [at, value] of changes) data[at % data.length] = value;
      return data;
    });
  fc.assert(
    fc.property(fc.oneof(changed, fc.uint8Array({ maxLength: 100 })), (data) => {
      try {
        for (const raw of messagesOf(data)) {
          for (const read of [readAck, readDone, (each: RawMessage) => readMessage(kind, each)]) {
            try {
              read(raw);
            } catch (error) {
              if (!(error instanceof NetloomError && error.code === 'malformed-message')) throw error;
            }
          }
        }
      } catch (error) {
        if (!(error instanceof NetloomError && error.code === 'malformed-message')) throw error;
      }
    }),
    { numRuns: 5000 },
  );
  t.pass();
});
