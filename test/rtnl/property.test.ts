/** What holds for every message, not only for hand-written examples. */
import test from 'ava';
import fc from 'fast-check';
import { NetloomError } from '../../src/error.ts';
import { readAttrs, writeAttrs } from '../../src/netlink/attribute.ts';
import { readMessage } from '../../src/netlink/message.ts';
import { bridgeVlanKind } from '../../src/rtnl/bridge-vlan.ts';
import { viewOf, written } from '../netlink/bytes.ts';
import { rtnetlink } from './arbitraries.ts';

for (const { kind, attrs } of rtnetlink) {
  test(`the attributes of any ${kind.name} are read as they were written`, (t) => {
    fc.assert(
      fc.property(attrs, (values) => {
        t.deepEqual(readAttrs(kind.attrs, viewOf(written((out) => writeAttrs(out, kind.attrs, values)))), values);
      }),
      { numRuns: 300 },
    );
  });

  test(`a ${kind.name} message that is damaged in any way is read, or is malformed-message`, (t) => {
    const damaged = fc
      .tuple(attrs, fc.array(fc.tuple(fc.nat(), fc.nat(0xff)), { maxLength: 5 }), fc.nat(), fc.boolean())
      .map(([values, changes, length, isCut]) => {
        const whole = written((out) => {
          kind.header.write(out, {});
          writeAttrs(out, kind.attrs, values);
        });
        const data = isCut ? whole.slice(0, length % (whole.length + 1)) : whole;
        for (const [at, value] of changes) if (data.length > 0) data[at % data.length] = value;
        return data;
      });
    fc.assert(
      fc.property(damaged, (data) => {
        for (const each of [kind, bridgeVlanKind]) {
          try {
            readMessage(each, { type: 0, flags: 0, sequence: 0, payload: viewOf(data) });
          } catch (error) {
            if (!(error instanceof NetloomError && error.code === 'malformed-message')) throw error;
          }
        }
      }),
      { numRuns: 2000 },
    );
    t.pass();
  });
}
