/** Steps that are all run, and the error that they throw in the end. */
import test from 'ava';
import { gather } from '../../src/attach/gather.ts';
import { NetloomError } from '../../src/error.ts';

const fails = (code: string) => () => {
  throw new NetloomError(code, `Cannot ${code}`);
};

test('every step runs, and the only error comes out as it is', (t) => {
  const ran: number[] = [];
  const error = t.throws(
    () =>
      gather(
        () => ran.push(1),
        fails('one'),
        () => ran.push(3),
      ),
    { instanceOf: NetloomError },
  );
  t.deepEqual(ran, [1, 3]);
  t.is(error?.message, 'Cannot one');
  t.is(error?.code, 'one');
});

test('several errors become one that lists them, with the code of the first', (t) => {
  const error = t.throws(() => gather(fails('one'), fails('two')), { instanceOf: NetloomError });
  t.is(error?.message, 'Cannot one; Cannot two');
  t.is(error?.code, 'one');
});

test('without an error nothing is thrown', (t) => {
  t.notThrows(() => gather());
  t.notThrows(() => gather(() => {}));
});
