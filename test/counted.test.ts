import test from 'ava';
import { counted } from '../src/counted.ts';

test('a number has its noun in the singular or the plural', (t) => {
  t.is(counted(0, 'difference'), '0 differences');
  t.is(counted(1, 'process', 'processes'), '1 process');
  t.is(counted(2, 'process', 'processes'), '2 processes');
});
