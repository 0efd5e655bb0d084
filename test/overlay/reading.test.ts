/** How often a call reads a store. */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { readRecords } from '../../src/overlay/file-store.ts';
import { readingOfDirectory } from '../../src/overlay/reading.ts';
import { makeRoot } from '../support/host.ts';

const silent = () => {};

test('a store that takes its time is read once for a call, and again where it has changed', (t) => {
  const root = makeRoot();
  t.teardown(() => root.remove());
  const path = join(root.path, 'store');
  mkdirSync(path);
  const write = (number: number, address: string) => {
    const subnet = `10.${64 + (number >> 8)}.${number & 255}.0/24`;
    writeFileSync(join(path, '.new'), JSON.stringify({ name: `node${number}`, address, subnet }));
    renameSync(join(path, '.new'), join(path, `${subnet.replace('/', '_')}.json`));
  };
  for (let number = 0; number < 3000; number++) write(number, '192.0.2.1');
  const records = readingOfDirectory({ path });
  const first = records(silent);
  t.is(first?.length, 3000);
  t.is(records(silent), first);
  write(7, '192.0.2.7');
  const second = records(silent);
  t.not(second, first);
  t.deepEqual(second, readRecords(path, silent));
});

test('one that is not there is none, whenever it is asked for', (t) => {
  const root = makeRoot();
  t.teardown(() => root.remove());
  const path = join(root.path, 'store');
  const records = readingOfDirectory({ path });
  t.is(records(silent), undefined);
  mkdirSync(path);
  t.deepEqual(records(silent), []);
});
