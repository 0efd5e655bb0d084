import test from 'ava';
import { NetloomError } from '../../src/error.ts';
import * as codec from '../../src/netlink/codec.ts';
import { NetlinkError } from '../../src/netlink/error.ts';
import { type MessageKind, NLM_F, NLMSG, type Request, request } from '../../src/netlink/message.ts';
import type { NetlinkSocket } from '../../src/netlink/socket.ts';
import { struct } from '../../src/netlink/struct.ts';
import { type Arrival, ack, datagram, done, fakeKernel, message } from './fake-kernel.ts';

const ENOBUFS = 105;

const kind = { name: 'thing', header: struct({ index: codec.u32 }), attrs: {} } as const satisfies MessageKind;

function ask(index: number, flags = 0): Request<typeof kind> {
  const texts = { action: () => `ask for thing ${index}`, command: () => `thing show ${index}` };
  return request(kind, 18, flags, { index }, {}, texts);
}

function thing(sequence: number, index: number, flags = 0): Uint8Array {
  return message(16, flags, sequence, new Uint8Array(Uint32Array.of(index).buffer));
}

test('execute returns the object that comes before the acknowledgement', (t) => {
  const { socket, sent } = fakeKernel(({ sequence }) => [thing(sequence, 7), ack(sequence)]);
  t.deepEqual(socket.execute(ask(7))?.header, { index: 7 });
  t.deepEqual(
    sent.map(({ flags }) => flags),
    [NLM_F.REQUEST | NLM_F.ACK],
  );
});

test('execute takes object and acknowledgement out of one datagram too', (t) => {
  const { socket } = fakeKernel(({ sequence }) => [datagram(thing(sequence, 7), ack(sequence))]);
  t.deepEqual(socket.execute(ask(7))?.header, { index: 7 });
});

test('execute throws what the kernel answers', (t) => {
  const { socket } = fakeKernel(({ sequence }) => [ack(sequence, 19)]);
  const error = t.throws(() => socket.execute(ask(7)), { instanceOf: NetlinkError });
  t.is(error?.message, 'Cannot ask for thing 7: ENODEV, no such device');
});

test('find returns undefined for the errno that says so, and throws any other', (t) => {
  const { socket } = fakeKernel(({ sequence }) => [ack(sequence, 19)]);
  t.is(socket.find(ask(7), 19), undefined);
  t.is(t.throws(() => socket.find(ask(7), 2), { instanceOf: NetlinkError })?.code, 'ENODEV');
});

test("answers to somebody else's sequence number are passed over", (t) => {
  const { socket } = fakeKernel(({ sequence }) => [
    thing(sequence + 1, 1),
    datagram(ack(0, 1), ack(sequence - 1, 1)),
    thing(sequence, 7),
    ack(sequence),
  ]);
  t.deepEqual(socket.execute(ask(7))?.header, { index: 7 });
});

test('an answer that is left over from an interrupted call does not reach the next one', (t) => {
  const { socket } = fakeKernel(({ sequence }) => [
    message(16, 0, sequence, new Uint8Array(1)),
    ack(sequence, sequence === 1 ? 1 : 0),
  ]);
  t.is(t.throws(() => socket.execute(ask(1)), { instanceOf: NetloomError })?.code, 'malformed-message');
  const second = fakeKernel(({ sequence }) =>
    sequence === 1 ? [thing(1, 1), ack(1)] : [thing(sequence, 2), ack(sequence)],
  );
  second.arrive(ack(0, 1));
  t.deepEqual(second.socket.execute(ask(1))?.header, { index: 1 });
  t.deepEqual(second.socket.execute(ask(2))?.header, { index: 2 });
});

test('a value that cannot be written leaves nothing for the next request to send', (t) => {
  const { socket, sent } = fakeKernel(({ sequence }) => [ack(sequence)]);
  const broken: Request = {
    ...ask(1),
    action: '',
    command: '',
    write(out) {
      out.u32(1);
      throw new Error('unwritable');
    },
  };
  t.throws(() => socket.execute(broken), { message: 'unwritable' });
  socket.execute(ask(2));
  t.is(sent.length, 1);
});

test('a dump gathers all parts', (t) => {
  const { socket, sent } = fakeKernel(({ sequence }) => [
    datagram(thing(sequence, 1, 2), thing(sequence, 2, 2)),
    datagram(thing(sequence, 3, 2)),
    done(sequence),
  ]);
  t.deepEqual(
    socket.dump(ask(0)).map(({ header }) => header.index),
    [1, 2, 3],
  );
  t.deepEqual(
    sent.map(({ flags }) => flags),
    [NLM_F.REQUEST | NLM_F.DUMP],
  );
});

test('a dump that was interrupted is asked for again, and its first part forgotten', (t) => {
  const { socket, sent } = fakeKernel(({ sequence }, round) =>
    round === 0
      ? [thing(sequence, 1, 2), thing(sequence, 9, 2 | NLM_F.DUMP_INTR), done(sequence, 2 | NLM_F.DUMP_INTR)]
      : [thing(sequence, 1, 2), done(sequence)],
  );
  t.deepEqual(
    socket.dump(ask(0)).map(({ header }) => header.index),
    [1],
  );
  t.is(sent.length, 2);
});

test('a dump of which only the end says that it was interrupted is asked for again too', (t) => {
  const { socket, sent } = fakeKernel(({ sequence }, round) => [
    thing(sequence, 1, 2),
    done(sequence, round === 0 ? 2 | NLM_F.DUMP_INTR : 2),
  ]);
  t.is(socket.dump(ask(0)).length, 1);
  t.is(sent.length, 2);
});

test('a dump that never comes whole ends in EINTR', (t) => {
  const { socket } = fakeKernel(({ sequence }) => [done(sequence, 2 | NLM_F.DUMP_INTR)]);
  const error = t.throws(() => socket.dump(ask(0)), { instanceOf: NetloomError });
  t.is(error?.code, 'EINTR');
  t.is(error?.message, 'Cannot ask for thing 0: it changed while it was read, 16 times');
});

test('a dump throws the errno of NLMSG_ERROR and of NLMSG_DONE', (t) => {
  const refused = fakeKernel(({ sequence }) => [ack(sequence, 95)]);
  t.is(t.throws(() => refused.socket.dump(ask(0)), { instanceOf: NetlinkError })?.code, 'EOPNOTSUPP');
  const ended = fakeKernel(({ sequence }) => [thing(sequence, 1, 2), done(sequence, 2, 22)]);
  t.is(t.throws(() => ended.socket.dump(ask(0)), { instanceOf: NetlinkError })?.code, 'EINVAL');
});

test('a dump with a malformed part is read to its end before that is said', (t) => {
  const { socket } = fakeKernel(({ sequence }, round) =>
    round === 0
      ? [message(16, 2, sequence, new Uint8Array(1)), thing(sequence, 2, 2), done(sequence)]
      : [thing(sequence, 3, 2), done(sequence)],
  );
  t.is(t.throws(() => socket.dump(ask(0)), { instanceOf: NetloomError })?.code, 'malformed-message');
  t.deepEqual(
    socket.dump(ask(0)).map(({ header }) => header.index),
    [3],
  );
});

test('attempt tells the error of each request by its place, over several datagrams', (t) => {
  const { socket, sent } = fakeKernel((raw) => [ack(raw.sequence, raw.payload.getUint32(0, true) % 3 === 0 ? 17 : 0)]);
  const errors = socket.attempt(Array.from({ length: 1000 }, (_, i) => ask(i)));
  t.is(sent.length, 1000);
  t.deepEqual(
    [...errors.keys()],
    Array.from({ length: 334 }, (_, i) => i * 3),
  );
  t.is(errors.get(999)?.message, 'Cannot ask for thing 999: EEXIST, it exists already');
});

test('attempt asks for no echoes, which the socket could not hold', (t) => {
  const { socket, sent } = fakeKernel(({ sequence }) => [ack(sequence)]);
  socket.attempt([ask(1, NLM_F.ECHO | NLM_F.CREATE)]);
  t.deepEqual(
    sent.map(({ flags }) => flags),
    [NLM_F.REQUEST | NLM_F.ACK | NLM_F.CREATE],
  );
});

test('executeAll throws the first error', (t) => {
  const { socket } = fakeKernel((raw) => [ack(raw.sequence, raw.payload.getUint32(0, true))]);
  t.is(t.throws(() => socket.executeAll([ask(0), ask(17), ask(19)]), { instanceOf: NetlinkError })?.code, 'EEXIST');
  t.notThrows(() => socket.executeAll([ask(0)]));
  t.notThrows(() => socket.executeAll([]));
});

test('after ENOBUFS an answer that is there is taken', (t) => {
  const { socket } = fakeKernel(({ sequence }) => [ENOBUFS, thing(sequence, 7), ack(sequence)]);
  t.deepEqual(socket.execute(ask(7))?.header, { index: 7 });
});

test('after ENOBUFS an answer that was lost is not waited for', (t) => {
  const calls: ((nl: NetlinkSocket) => unknown)[] = [
    (nl) => nl.execute(ask(7)),
    (nl) => nl.dump(ask(7)),
    (nl) => nl.attempt([ask(7)]),
  ];
  for (const lost of calls) {
    const { socket } = fakeKernel(() => [ENOBUFS]);
    t.is(t.throws(() => lost(socket), { instanceOf: NetloomError })?.code, 'ENOBUFS');
  }
});

test('after ENOBUFS the next request waits again', (t) => {
  const { socket } = fakeKernel(({ sequence }, round) => (round === 0 ? [ENOBUFS] : [ack(sequence)]));
  t.throws(() => socket.execute(ask(7)));
  t.notThrows(() => socket.execute(ask(7)));
});

test('notifications come out of next, a datagram at a time', (t) => {
  const { socket, arrive } = fakeKernel(() => []);
  socket.join(1);
  t.deepEqual(socket.next(0), []);
  arrive(datagram(thing(0, 1), thing(0, 2)), thing(0, 3));
  t.is(socket.next(0).length, 2);
  t.is(socket.next(0).length, 1);
});

test('a notification that comes while an answer is awaited is kept for next', (t) => {
  const { socket } = fakeKernel(({ sequence, flags }): Arrival[] =>
    (flags & NLM_F.DUMP) === 0
      ? [thing(0, 1), ack(sequence)]
      : [thing(0, 2), thing(sequence, 5, 2), thing(0, 3), done(sequence)],
  );
  socket.join(1);
  socket.execute(ask(7));
  socket.attempt([ask(7)]);
  socket.dump(ask(0));
  t.deepEqual(
    socket.next(0).map(({ payload }) => payload.getUint32(0, true)),
    [1, 1, 2, 3],
  );
  t.deepEqual(socket.next(0), []);
});

test('a socket that listens to no group keeps nothing', (t) => {
  const { socket } = fakeKernel(({ sequence }) => [thing(0, 1), ack(sequence)]);
  socket.execute(ask(7));
  t.deepEqual(socket.next(0), []);
});

test('notifications that were lost are told of as NLMSG_OVERRUN', (t) => {
  const { socket, arrive } = fakeKernel(({ sequence }) => [ENOBUFS, ack(sequence)]);
  socket.join(1);
  arrive(ENOBUFS);
  t.deepEqual(
    socket.next(0).map(({ type }) => type),
    [NLMSG.OVERRUN],
  );
  socket.execute(ask(7));
  t.deepEqual(
    socket.next(0).map(({ type }) => type),
    [NLMSG.OVERRUN],
  );
});

test('a tap sees every datagram both ways', (t) => {
  const seen: [string, number, number][] = [];
  const { socket, arrive } = fakeKernel(({ sequence }) => [thing(sequence, 7), ack(sequence)], {
    tap: (direction, data, protocol) => seen.push([direction, data.length, protocol]),
  });
  socket.join(1);
  socket.execute(ask(7));
  arrive(thing(0, 1));
  socket.next(0);
  t.deepEqual(seen, [
    ['out', 20, 0],
    ['in', 20, 0],
    ['in', 36, 0],
    ['in', 20, 0],
  ]);
});

test('transact sends everything as one datagram and tells errors by place', (t) => {
  const rounds: number[] = [];
  const { socket, sent } = fakeKernel((raw, round) => {
    rounds.push(round);
    return raw.type === 18 && raw.payload.getUint32(0, true) === 2
      ? [ack(raw.sequence, 17), thing(raw.sequence, 2)]
      : [];
  });
  const frame = (type: number) => (out: Parameters<Request['write']>[0], sequence: number) => {
    out.raw(message(type, 1, sequence));
  };
  const { errors, answers } = socket.transact([ask(1), ask(2), ask(3)], () => 0, {
    before: frame(98),
    after: frame(99),
  });
  t.deepEqual(
    sent.map(({ type, sequence }) => [type, sequence]),
    [
      [98, 1],
      [18, 2],
      [18, 3],
      [18, 4],
      [99, 5],
    ],
  );
  t.deepEqual(new Set(rounds), new Set([0]));
  t.deepEqual(
    [...errors].map(([place, { errno }]) => [place, errno]),
    [[1, 17]],
  );
  t.is(answers.length, 1);
});
