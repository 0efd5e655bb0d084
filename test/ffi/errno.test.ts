import { execFileSync } from 'node:child_process';
import test from 'ava';
import { hasCode, NetloomError } from '../../src/error.ts';
import { errnoName, errnoSentence, systemError } from '../../src/ffi/errno.ts';
import { check, cString, errno, libc, uninterrupted } from '../../src/ffi/libc.ts';

test('errno is what the call before it left, time after time', (t) => {
  const missing = cString('/nonexistent/file');
  for (let i = 0; i < 20_000; i++) {
    if (libc.open(missing, 0, 0) !== -1 || errno() !== 2) t.fail(`ENOENT in round ${i}`);
    if (libc.close(-1) !== -1 || errno() !== 9) t.fail(`EBADF in round ${i}`);
  }
  t.pass();
});

test('check lets a result pass and throws what errno says', (t) => {
  t.is(check(libc.getpid(), 'count'), process.pid);
  const error = t.throws(() => check(libc.close(-1), 'close nothing'), { instanceOf: NetloomError });
  t.is(error?.message, 'Cannot close nothing: EBADF, bad file descriptor');
  t.true(hasCode(error, 'EBADF'));
});

test('a call that fails otherwise than by a signal is not repeated', (t) => {
  let calls = 0;
  const result = uninterrupted(() => {
    calls++;
    return libc.close(-1);
  });
  t.is(result, -1);
  t.is(calls, 1);
});

test('a string with a NUL inside is refused', (t) => {
  t.deepEqual(cString('ü'), Uint8Array.of(0xc3, 0xbc, 0));
  t.is(t.throws(() => cString('a\0b'), { instanceOf: NetloomError })?.code, 'EINVAL');
});

test('every errno of the network and of files has the name that the C library gives it', (t) => {
  const script = 'import errno, json; print(json.dumps({str(k): v for k, v in errno.errorcode.items()}))';
  const names: Record<string, string> = JSON.parse(execFileSync('python3', ['-c', script], { encoding: 'utf8' }));
  for (const [number, name] of Object.entries(names)) {
    const ours = errnoName(Number(number));
    if (!/^E\d/.test(ours)) t.is(ours, name === 'EWOULDBLOCK' ? 'EAGAIN' : name === 'ENOTSUP' ? 'EOPNOTSUPP' : name);
  }
  t.is(errnoName(4095), 'E4095');
  t.is(errnoSentence(4095), 'error 4095');
});

test('a system error has code, action, name and sentence', (t) => {
  const error = systemError(2, 'open "/x"', { hint: 'make it' });
  t.is(error.code, 'ENOENT');
  t.is(error.message, 'Cannot open "/x": ENOENT, no such file or directory');
  t.is(error.hint, 'make it');
});
