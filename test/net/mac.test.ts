import test from 'ava';
import fc from 'fast-check';
import { hasCode } from '../../src/error.ts';
import { isMulticastMac, localMac, macBytes, macOf, parseMac, tryParseMac } from '../../src/net/mac.ts';

const six = fc.uint8Array({ minLength: 6, maxLength: 6 });

test('property: a MAC is read from colons, hyphens and dots, in both cases', (t) => {
  fc.assert(
    fc.property(six, (bytes) => {
      const mac = macOf(bytes);
      const digits = mac.replaceAll(':', '');
      const dotted = `${digits.slice(0, 4)}.${digits.slice(4, 8)}.${digits.slice(8)}`;
      for (const text of [mac, mac.toUpperCase(), mac.replaceAll(':', '-'), dotted]) t.is(parseMac(text), mac);
      t.deepEqual(macBytes(mac), bytes);
    }),
  );
});

test('property: a MAC made of random bytes is one that an interface can have, and local', (t) => {
  fc.assert(
    fc.property(six, (bytes) => {
      const mac = localMac(bytes);
      t.false(isMulticastMac(mac));
      t.is((macBytes(mac)[0] ?? 0) & 2, 2);
    }),
  );
});

for (const text of [
  '',
  '02:42:0a:01:00',
  '02:42:0a:01:00:02:03',
  '02:42:0a:01-00-02',
  '0242.0a01',
  '02:42:0a:01:00:0g',
  ' 02:42:0a:01:00:02',
]) {
  test(`${JSON.stringify(text)} is no MAC`, (t) => {
    t.is(tryParseMac(text), undefined);
    t.true(
      hasCode(
        t.throws(() => parseMac(text)),
        'invalid-mac',
      ),
    );
  });
}

test('the lowest bit of the first byte makes a group', (t) => {
  t.true(isMulticastMac(parseMac('01:00:5e:00:00:01')));
  t.true(isMulticastMac(parseMac('ff:ff:ff:ff:ff:ff')));
  t.false(isMulticastMac(parseMac('02:00:00:00:00:01')));
});
